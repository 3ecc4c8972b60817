//! What librdkafka's clients say to us: log lines, errors, and answers of the asynchronous interface.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::numbers::Counted;
use crate::topics::TopicError;

/// Writes a client's log lines to ours, and keeps its numbers. A broker that is away is told once a client, at WARN.
#[derive(Debug)]
pub(super) struct Log(pub(super) Counted);

impl ClientContext for Log {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka client");
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.0.statistics(statistics);
    }
}

impl ConsumerContext for Log {}

/// One line of librdkafka's.
pub(super) fn log_line(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error
        | RDKafkaLogLevel::Warning => tracing::warn!(facility, message, "kafka client"),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
            tracing::debug!(facility, message, "kafka client");
        }
    }
}

/// Why a client or the cluster refused, and what may be done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) code: RDKafkaErrorCode,
    pub(super) text: String,
    /// The client is of no use any more.
    pub(super) is_fatal: bool,
    /// The call may be repeated.
    pub(super) is_retriable: bool,
    /// The open transaction has to be aborted.
    pub(super) requires_abort: bool,
}

impl Refused {
    /// A refusal that only the text tells about.
    pub(super) fn plain(text: &str) -> Self {
        Self { text: text.to_owned(), ..Self::code(RDKafkaErrorCode::Fail) }
    }

    /// A refusal with librdkafka's own words for its code.
    pub(super) fn code(code: RDKafkaErrorCode) -> Self {
        Self { code, text: code.to_string(), is_fatal: false, is_retriable: false, requires_abort: false }
    }

    /// Ok if there is no error.
    pub(super) fn check(code: RDKafkaErrorCode) -> Result<(), Self> {
        if code == RDKafkaErrorCode::NoError { Ok(()) } else { Err(Self::code(code)) }
    }

    /// True if another client has taken over the transactional id, or the broker took it away.
    pub(super) fn is_fenced(&self) -> bool {
        matches!(
            self.code,
            RDKafkaErrorCode::Fenced
                | RDKafkaErrorCode::ProducerFenced
                | RDKafkaErrorCode::InvalidProducerEpoch
                | RDKafkaErrorCode::InvalidProducerIdMapping
        )
    }

    /// True if a topic is to blame.
    pub(super) fn is_of_topic(&self) -> bool {
        matches!(
            self.code,
            RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::TopicAuthorizationFailed
        )
    }

    /// As the room tells it.
    pub(super) fn told(self, action: &'static str) -> TopicError {
        match self.code {
            RDKafkaErrorCode::ClusterAuthorizationFailed
            | RDKafkaErrorCode::TransactionalIdAuthorizationFailed
            | RDKafkaErrorCode::Authentication
            | RDKafkaErrorCode::Fail => TopicError::Storage { action, reason: self.text },
            _ => TopicError::Unavailable { action, reason: self.text },
        }
    }
}

impl From<KafkaError> for Refused {
    fn from(error: KafkaError) -> Self {
        if let KafkaError::Transaction(error) = &error {
            return Self {
                code: error.code(),
                text: error.string(),
                is_fatal: error.is_fatal(),
                is_retriable: error.is_retriable(),
                requires_abort: error.txn_requires_abort(),
            };
        }
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
        Self { text: error.to_string(), ..Self::code(code) }
    }
}

/// Runs a future to its end on this thread; the client's own threads wake it.
pub(super) fn wait_for<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}
