//! From settings to what the rooms below take: the one place where names of settings meet their structs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::engine::{Engine, EngineParts, EngineSettings, OpenError};
use crate::runtime::{RuntimeSettings, WallClock};
use crate::serving::adhoc::AdHocSettings;
use crate::settings::{Compatibility, OffsetReset, SettingValue, Settings};
use crate::topics::TopicLog;
use crate::types::Partition;

/// Opens the engine of a server that answers at `host` (`127.0.0.1:8088`).
///
/// # Errors
/// As [`Engine::open`].
pub(super) fn open_engine(
    settings: &Settings,
    log: Arc<dyn TopicLog>,
    cluster_id: String,
    host: String,
    folder: &Path,
) -> Result<Arc<Engine>, OpenError> {
    let mut engine_settings = engine_settings(settings);
    engine_settings.shown = shown(settings, &host, folder);
    Engine::open(EngineParts {
        log,
        clock: Arc::new(WallClock::default()),
        settings: engine_settings,
        cluster_id,
        host,
        scheduler: None,
    })
}

/// The settings as they came to be, where they are not the defaults: with the port that was taken, and the folder that
/// was found.
fn shown(settings: &Settings, host: &str, folder: &Path) -> BTreeMap<&'static str, String> {
    let usual = Settings::default().texts();
    let mut shown = settings.texts();
    shown.retain(|name, text| usual.get(name) != Some(text));
    shown.insert("data.dir", folder.display().to_string());
    if let [_] = settings.http.listen.as_slice() {
        shown.insert("listen", host.to_owned());
    }
    shown
}

fn engine_settings(settings: &Settings) -> EngineSettings {
    let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    EngineSettings {
        service_id: settings.service.id.clone(),
        defaults: statement_defaults(settings),
        shown: BTreeMap::new(),
        max_text_bytes: settings.sql.max_text.bytes(),
        max_statements: count(settings.sql.max_statements),
        max_persistent_queries: count(settings.sql.max_persistent),
        max_push_queries: count(settings.sql.max_push),
        pull_timeout: settings.sql.pull_timeout,
        command_timeout: settings.sql.command_timeout,
        queries_start_paused: false,
        runtime: runtime_settings(settings),
        ad_hoc: AdHocSettings {
            threads: settings.sql.pull_threads,
            memory_bytes: settings.sql.pull_memory.bytes(),
            max_queries: count(settings.sql.max_pull),
            timeout: settings.sql.pull_max_time,
        },
        push_buffer_batches: settings.sql.push_buffer,
        processing_log: settings.processing_log.enabled,
        processing_log_buffer: settings.processing_log.buffer,
        processing_log_partitions: i32::try_from(settings.processing_log.partitions).unwrap_or(i32::MAX),
    }
}

fn runtime_settings(settings: &Settings) -> RuntimeSettings {
    let (knobs, usual) = (&settings.runtime, RuntimeSettings::default());
    RuntimeSettings {
        worker_threads: if knobs.worker_threads == 0 { usual.worker_threads } else { knobs.worker_threads },
        batch_rows: knobs.batch_rows,
        read_bytes: knobs.read_max.bytes(),
        epoch_interval: knobs.epoch_interval.unwrap_or(usual.epoch_interval),
        background_epoch_interval: knobs.epoch_interval.unwrap_or(usual.background_epoch_interval),
        epoch_max_bytes: knobs.epoch_max.bytes(),
        state_max_bytes: knobs.state_max.bytes(),
        exchange_rows: knobs.exchange_rows,
        source_idle: knobs.source_idle,
        windows_close_idle: knobs.windows_close_idle,
        retry_backoff: knobs.retry_backoff,
        max_failures: knobs.max_failures,
        append_partition: knobs.append_partition.and_then(|number| i32::try_from(number).ok()).map(Partition),
        log_records: settings.processing_log.rows,
        push_queue_batches: knobs.push_queue,
        // The embedded log has one writer, whoever commits.
        commit_producers: if settings.service.bootstrap_servers.is_empty() { 1 } else { knobs.commit_producers },
    }
}

/// What holds where a request says nothing; only what differs from the defaults, which the engine knows.
fn statement_defaults(settings: &Settings) -> BTreeMap<String, String> {
    let (ours, usual) = (&settings.sql, Settings::default());
    let (guarantee, usual_guarantee) = (settings.runtime.guarantee, usual.runtime.guarantee);
    let usual = usual.sql;
    let compatibility = match ours.compatibility {
        Compatibility::Extended => "extended",
        Compatibility::Ksqldb => "ksqldb",
    };
    let reset = match ours.offset_reset {
        OffsetReset::Earliest => "earliest",
        OffsetReset::Latest => "latest",
    };
    [
        ("sql.compatibility", compatibility.to_owned(), ours.compatibility != usual.compatibility),
        ("auto.offset.reset", reset.to_owned(), ours.offset_reset != usual.offset_reset),
        ("processing.guarantee", guarantee.text(), guarantee != usual_guarantee),
        ("cache.max.bytes.buffering", ours.cache.0.to_string(), ours.cache != usual.cache),
        (
            "variable.substitution",
            ours.variable_substitution.to_string(),
            ours.variable_substitution != usual.variable_substitution,
        ),
        ("format.default.key", ours.key_format.clone(), ours.key_format != usual.key_format),
        ("format.default.value", ours.value_format.clone(), ours.value_format != usual.value_format),
        ("topic.name.prefix", ours.topic_prefix.clone(), ours.topic_prefix != usual.topic_prefix),
        ("emit.final.kafka-loss", ours.emit_final_loss.to_string(), ours.emit_final_loss != usual.emit_final_loss),
        (
            "join.streams.ttl",
            format!("{}ms", ours.join_streams_ttl.as_millis()),
            ours.join_streams_ttl != usual.join_streams_ttl,
        ),
    ]
    .into_iter()
    .filter(|(_, _, differs)| *differs)
    .map(|(name, value, _)| (name.to_owned(), value))
    .collect()
}
