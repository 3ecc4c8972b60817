//! The one list of settings: name, type, default, range, doc sentence. Structs, file and documentation come from it.
//!
//! To add a setting, add a line to [`settings!`](self) below and run the tests with `THALWEG_UPDATE=1`.
//! No name may be the beginning of another (`a.b` beside `a.b.c`): in TOML dots are tables.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::value::{
    ByteSize, Compatibility, CompressionKind, FsyncPolicy, ListenAddress, LogFormat, OffsetReset, ProcessingGuarantee,
    SettingValue,
};

/// When a changed value takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// When the server starts.
    Restart,
    /// For the next statement: also settable by `SET 'name'='value'` and per request.
    Statement,
}

/// What is known of one setting.
#[derive(Debug, Clone, Copy)]
pub struct Definition {
    /// Dotted lower-case name.
    pub name: &'static str,
    /// What it does; whole sentences, lines as written.
    pub doc: &'static [&'static str],
    /// Type in words.
    pub kind: &'static str,
    /// Default as text.
    pub default: &'static str,
    /// Smallest and largest value as text, both allowed.
    pub range: Option<(&'static str, &'static str)>,
    /// When a changed value takes effect.
    pub effect: Effect,
    /// True if the value stands in quotes in TOML.
    pub quoted: bool,
}

/// Settings that belong together.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    /// What they are about.
    pub title: &'static str,
    /// The settings in the order of the documentation.
    pub settings: &'static [Definition],
}

/// Reads one value and checks its range; the error is a whole sentence.
fn read<T: SettingValue>(definition: &Definition, text: &str) -> Result<T, String> {
    let name = definition.name;
    let value = T::read(text.trim()).map_err(|expected| format!("`{name}` is \"{text}\", which is not {expected}"))?;
    if let (Some((low, high)), Some(magnitude)) = (definition.range, value.magnitude()) {
        let bound = |text| T::read(text).ok().and_then(|value| value.magnitude());
        if bound(low).is_some_and(|low| magnitude < low) || bound(high).is_some_and(|high| magnitude > high) {
            return Err(format!("`{name}` is \"{text}\", which is not between {low} and {high}"));
        }
    }
    Ok(value)
}

macro_rules! settings {
    ($(
        $(#[doc = $group_doc:literal])+
        $group:ident: $group_type:ident = $title:literal {$(
            $(#[doc = $doc:literal])+
            $field:ident: $ty:ty = $name:literal, $default:literal, $effect:ident $(, $low:literal ..= $high:literal)?;
        )*}
    )*) => {
        $(
            $(#[doc = $group_doc])+
            #[derive(Debug, Clone, PartialEq)]
            pub struct $group_type {
                $($(#[doc = $doc])+ pub $field: $ty,)*
            }

            impl $group_type {
                const GROUP: Group = Group {
                    title: $title,
                    settings: &[$(Definition {
                        name: $name,
                        doc: &[$($doc),+],
                        kind: <$ty as SettingValue>::KIND,
                        default: $default,
                        range: range!($($low, $high)?),
                        effect: Effect::$effect,
                        quoted: <$ty as SettingValue>::QUOTED,
                    },)*],
                };

                fn from_texts(texts: &BTreeMap<&'static str, String>, errors: &mut Vec<String>) -> Option<Self> {
                    let mut definitions = Self::GROUP.settings.iter();
                    $(
                        let definition = definitions.next()?;
                        let text = texts.get($name).map_or($default, String::as_str);
                        let $field: Option<$ty> = read(definition, text).map_err(|error| errors.push(error)).ok();
                    )*
                    Some(Self { $($field: $field?,)* })
                }

                fn texts(&self) -> impl Iterator<Item = (&'static str, String)> {
                    [$(($name, SettingValue::text(&self.$field)),)*].into_iter()
                }
            }
        )*

        /// Every setting of a server, checked.
        #[derive(Debug, Clone, PartialEq)]
        pub struct Settings {
            $($(#[doc = $group_doc])+ pub $group: $group_type,)*
            /// `kafka.*`, without the prefix: what is handed to Kafka's client as it is written.
            pub kafka: BTreeMap<String, String>,
        }

        impl Settings {
            /// All settings, in the order of the documentation.
            pub const GROUPS: &'static [Group] = &[$($group_type::GROUP,)*];

            /// Every value as text, by the setting's name.
            pub fn texts(&self) -> BTreeMap<&'static str, String> {
                let mut texts = BTreeMap::new();
                $(texts.extend(self.$group.texts());)*
                texts
            }

            /// Reads every value; what has no text gets its default.
            ///
            /// # Errors
            /// A sentence for each value that cannot be.
            pub(super) fn from_texts(texts: &BTreeMap<&'static str, String>) -> Result<Self, Vec<String>> {
                let mut errors = Vec::new();
                $(let $group = $group_type::from_texts(texts, &mut errors);)*
                match ($($group,)*) {
                    ($(Some($group),)*) => Ok(Self { $($group,)* kafka: BTreeMap::new() }),
                    _ => Err(errors),
                }
            }
        }
    };
}

macro_rules! range {
    () => {
        None
    };
    ($low:literal, $high:literal) => {
        Some(($low, $high))
    };
}

settings! {
    /// Who the server is and where it keeps its things.
    service: ServiceSettings = "Service" {
        /// Name of this database among those that share a log; part of every internal topic's name.
        id: String = "service.id", "default_", Restart;
        /// Folder of the log and snapshots. Empty: `$XDG_DATA_HOME/thalweg`, else `~/.local/share/thalweg`.
        data_dir: Option<PathBuf> = "data.dir", "", Restart;
        /// Kafka brokers, `host:port` separated by commas. Empty: the embedded log.
        /// Settings of Kafka's clients are named `kafka.` and what librdkafka calls them: `kafka.security.protocol`.
        bootstrap_servers: Vec<String> = "bootstrap.servers", "", Restart;
        /// A file of statements that say what is to be and run: what is not there yet, or otherwise, is made at start. The
        /// API then takes no statement that defines, changes or drops something.
        queries_file: Option<PathBuf> = "queries.file", "", Restart;
    }

    /// The HTTP doors.
    http: HttpSettings = "HTTP" {
        /// Addresses to listen on, separated by commas. Beyond loopback only with `insecure`, until
        /// authentication is built. Port 0 takes any free port.
        listen: Vec<ListenAddress> = "listen", "127.0.0.1:8088", Restart;
        /// Allows listening beyond loopback without authentication: everyone who reaches the port owns the data.
        insecure: bool = "insecure", "false", Restart;
        /// Largest request body that is read whole (statements).
        max_body: ByteSize = "http.max.body.bytes", "4MiB", Restart, "1KiB"..="1GiB";
        /// Largest line of a streaming request (a row or record as JSON).
        max_line: ByteSize = "http.max.line.bytes", "4MiB", Restart, "1KiB"..="1GiB";
        /// Connections served at once; more wait.
        max_connections: u32 = "http.max.connections", "4096", Restart, "1"..="1000000";
        /// How long a stopping server waits for answers under way.
        shutdown_timeout: Duration = "http.shutdown.timeout", "2s", Restart, "0ms"..="1m";
    }

    /// What statements may do.
    sql: SqlSettings = "Statements" {
        /// `extended` accepts everything this server can do; `ksqldb` rejects what ksqlDB rejects.
        compatibility: Compatibility = "sql.compatibility", "extended", Statement;
        /// Longest text of statements in one request.
        max_text: ByteSize = "statement.max.bytes", "1MiB", Restart, "1KiB"..="64MiB";
        /// Most statements in one request.
        max_statements: u32 = "request.max.statements", "1000", Restart, "1"..="1000000";
        /// How long a request waits for the command whose number it names, until it is refused.
        command_timeout: Duration = "command.response.timeout", "5s", Restart, "0ms"..="1h";
        /// Persistent queries that may exist at once.
        max_persistent: u32 = "queries.max.persistent", "10000", Restart, "0"..="1000000";
        /// Push queries, scans of streams and PRINTs that may run at once.
        max_push: u32 = "queries.max.push", "100", Restart, "0"..="1000000";
        /// Rows that one pull query may answer with.
        max_pull_rows: u64 = "query.pull.max.rows", "10000000", Restart, "1"..="1000000000000";
        /// How long a pull query waits for its tables to be read up to what was committed before it. The first query of a
        /// table reads it whole.
        pull_timeout: Duration = "query.pull.timeout", "10s", Restart, "0ms"..="1h";
        /// Pull queries beyond the dialect (ORDER BY, sub-queries, …) that may run at once.
        max_pull: u32 = "queries.max.pull", "100", Restart, "0"..="1000000";
        /// Threads that run such queries.
        pull_threads: usize = "query.pull.threads", "2", Restart, "1"..="1024";
        /// What such queries may hold in sorts, groups and joins, all together.
        pull_memory: ByteSize = "query.pull.memory.bytes", "256MiB", Restart, "1MiB"..="64TiB";
        /// How long such a query may run.
        pull_max_time: Duration = "query.pull.max.time", "1m", Restart, "1ms"..="24h";
        /// Batches of rows that wait for a client before its query waits for it.
        push_buffer: usize = "push.buffer.batches", "16", Restart, "1"..="100000";
        /// Where a query without offsets of its own begins to read.
        offset_reset: OffsetReset = "auto.offset.reset", "latest", Statement;
        /// Bytes of changes a persistent query may hold back to merge changes of one key; 0 emits every change.
        cache: ByteSize = "cache.max.bytes.buffering", "10000000", Statement, "0"..="1TiB";
        /// Replaces `${name}` in statements.
        variable_substitution: bool = "variable.substitution", "true", Statement;
        /// Key format of sources that name none.
        key_format: String = "format.default.key", "KAFKA", Statement;
        /// Value format of sources that name none. Empty: they must name one.
        value_format: String = "format.default.value", "", Statement;
        /// Put in front of the name of a sink's topic where the statement names none.
        topic_prefix: String = "topic.name.prefix", "", Statement;
        /// True lets EMIT FINAL lose windows that close in a jump of time, as Kafka Streams does.
        emit_final_loss: bool = "emit.final.kafka-loss", "false", Statement;
        /// How far apart rows may lie that meet in a join of two streams without WITHIN, and so how long they are kept.
        /// 0: such joins are refused. Not under `sql.compatibility = "ksqldb"`.
        join_streams_ttl: Duration = "join.streams.ttl", "0ms", Statement, "0ms"..="366d";
    }

    /// How queries run.
    runtime: RuntimeKnobs = "Running queries" {
        /// Threads that run queries. 0: one a core.
        worker_threads: usize = "worker.threads", "0", Restart, "0"..="1024";
        /// What a crash may do to results: `exactly_once_v2` nothing, `at_least_once` repeat some,
        /// `at_most_once` lose some. State is exact under all three. A query keeps what it was created with.
        guarantee: ProcessingGuarantee = "processing.guarantee", "exactly_once_v2", Statement;
        /// Longest time between two commits of a query that has something to say.
        /// Empty: 5 ms, and 100 ms under `at_least_once`, where results do not wait for it.
        epoch_interval: Option<Duration> = "epoch.interval", "", Statement, "0ms"..="1h";
        /// Bytes read and written by a query that close an epoch early.
        epoch_max: ByteSize = "epoch.max.bytes", "16MiB", Restart, "64KiB"..="4GiB";
        /// Most rows in a batch.
        batch_rows: usize = "batch.rows", "8192", Restart, "1"..="1000000";
        /// Bytes that one read of a partition asks for.
        read_max: ByteSize = "source.read.max.bytes", "4MiB", Restart, "1KiB"..="1GiB";
        /// A partition that is read to its end for so long no longer holds back the time of the others.
        source_idle: Duration = "source.idle", "1s", Restart, "0ms"..="24h";
        /// When all sources of a query are read to their ends for so long, time goes on by the clock and closes the
        /// windows of EMIT FINAL; what comes for them later is late. 0: they wait for later records.
        windows_close_idle: Duration = "windows.close.idle", "0ms", Restart, "0ms"..="24h";
        /// Rows that may wait between one task and the next.
        exchange_rows: usize = "exchange.max.rows", "65536", Restart, "1"..="100000000";
        /// Batches that may wait inside a push query for its client.
        push_queue: usize = "push.queue.batches", "4", Restart, "1"..="100000";
        /// How long a failed commit or query rests before the next try, doubled each time up to 64 times.
        retry_backoff: Duration = "retry.backoff", "50ms", Restart, "1ms"..="10m";
        /// Failures on the same records after which a query stays in ERROR.
        max_failures: u32 = "query.max.failures", "3", Restart, "1"..="1000000";
        /// Appends everything that queries write to this partition, whatever the keys say. Empty: keys decide.
        append_partition: Option<u32> = "append.partition", "", Restart, "0"..="2147483647";
        /// Memory that the state of one query may take; beyond it the query stops as STATE_LIMIT.
        state_max: ByteSize = "state.max.bytes", "1GiB", Restart, "1MiB"..="64TiB";
        /// Committers that carry epochs to Kafka. The embedded log needs one and ignores this.
        commit_producers: u32 = "commit.producers", "1", Restart, "1"..="64";
    }

    /// The embedded log.
    topics: TopicKnobs = "Log" {
        /// Copies that a Kafka cluster keeps of internal topics: commands, offsets and state. The embedded log has one.
        internal_replicas: u32 = "topics.internal.replicas", "1", Restart, "1"..="100";
        /// `commit`: a commit is on disk before it is acknowledged. `interval`: the disk may lag
        /// by `topics.sync.interval`. `os`: the system decides. Under all three the death of the process
        /// loses nothing; they differ in what the death of the machine loses.
        fsync: FsyncPolicy = "topics.fsync", "commit", Restart;
        /// How long acknowledged records may wait for the disk under `topics.fsync = "interval"`.
        sync_interval: Duration = "topics.sync.interval", "100ms", Restart, "1ms"..="1m";
        /// Packs batches as lz4 blocks.
        compression: CompressionKind = "topics.compression", "none", Restart;
        /// Largest record: key, value and headers together.
        max_record: ByteSize = "topics.max.record.bytes", "16MiB", Restart, "1KiB"..="1GiB";
        /// The latest records kept in memory, so that readers at the tail never touch the disk; on Kafka at most so many, as
        /// far back as several readers of a partition are apart.
        cache: ByteSize = "topics.cache.bytes", "64MiB", Restart, "1MiB"..="1TiB";
        /// Transactions that wait for the writer; beyond it commits are tried again later.
        queue: ByteSize = "topics.queue.bytes", "256MiB", Restart, "1MiB"..="1TiB";
        /// A file of the log is closed when it is so long; retention and compaction work on closed files.
        segment: ByteSize = "topics.segment.bytes", "128MiB", Restart, "64KiB"..="16GiB";
        /// How long compaction keeps null values, so that readers learn of deletions.
        delete_retention: Duration = "topics.delete.retention", "24h", Restart, "0ms"..="36500d";
        /// How often retention and compaction look for work.
        cleanup_interval: Duration = "topics.cleanup.interval", "30s", Restart, "1ms"..="24h";
    }

    /// The stream of failed records.
    processing_log: ProcessingLogSettings = "Processing log" {
        /// Writes records that fail to the topic `<service.id>ksql_processing_log`, with a stream over it.
        enabled: bool = "processing.log.enabled", "true", Restart;
        /// Puts the bytes of the failed record into its entry.
        rows: bool = "processing.log.rows", "false", Restart;
        /// Entries that wait for the log; what comes on top is counted and dropped.
        buffer: usize = "processing.log.buffer.entries", "10000", Restart, "1"..="10000000";
        /// Partitions of its topic.
        partitions: u32 = "processing.log.partitions", "1", Restart, "1"..="10000";
    }

    /// What the server tells of itself.
    telemetry: TelemetrySettings = "Telemetry" {
        /// Least important log lines to write: `error`, `warn`, `info`, `debug`, `trace`, or a filter such as
        /// `info,thalweg::runtime=debug`.
        level: String = "log.level", "info", Restart;
        /// `text` for people, `json` for machines.
        format: LogFormat = "log.format", "text", Restart;
    }
}

/// The setting of this name.
pub fn find(name: &str) -> Option<&'static Definition> {
    Settings::GROUPS.iter().flat_map(|group| group.settings).find(|definition| definition.name == name)
}

/// Every name, in the order of the documentation.
pub fn names() -> impl Iterator<Item = &'static str> {
    Settings::GROUPS.iter().flat_map(|group| group.settings).map(|definition| definition.name)
}
