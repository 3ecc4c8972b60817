//! The few calls of librdkafka for which its safe wrapper has none: reading partitions in batches through queues of
//! their own, topic ids, and a commit that does not wait in steps of a tenth of a second.
//!
//! Measured before it was written: a batch of messages costs the reading thread 60 ns a message, polling them one by
//! one 241 ns. The wrapper's `commit_transaction` first polls for up to 100 ms whatever happens meanwhile; the call it
//! wraps waits on a condition.
//!
//! Invariants:
//! - nothing here outlives its client: whoever holds a pointer holds the client too;
//! - a message is destroyed before the call that took it returns; nothing borrowed leaves with it;
//! - a queue's callback is taken away before the closure that it calls is dropped.
#![expect(unsafe_code, reason = "librdkafka has no safe wrapper for these calls; measured, see above")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rdkafka::bindings as sys;
use rdkafka::client::{Client, ClientContext};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{Producer, ThreadedProducer};

use super::client::{Log, Refused};
use super::delivery::Deliveries;
use crate::types::{EventTime, Header, Offset, RecordView};

/// Messages taken in one call.
pub(super) const BATCH: usize = 4096;

/// Called when a queue that was empty is no more, on a thread of the client.
type OnReady = Box<dyn Fn() + Send + Sync>;

/// What a partition's queue gave.
pub(super) enum Taken<'a> {
    /// A record.
    Record(RecordView<'a>),
    /// Everything before this offset was taken, and there is no more yet.
    End(Offset),
    /// The partition cannot be read.
    Failed(RDKafkaErrorCode, String),
}

/// One partition, read from an offset on in the background into a queue of its own, which `queued.max.messages.kbytes`
/// bounds.
pub(super) struct Feed {
    /// Keeps the client.
    _consumer: Arc<BaseConsumer<Log>>,
    topic: NonNull<sys::rd_kafka_topic_t>,
    queue: NonNull<sys::rd_kafka_queue_t>,
    partition: i32,
    messages: Vec<*mut sys::rd_kafka_message_t>,
    /// What the queue's callback calls; a box in a box, for the outer one is a thin pointer.
    _on_ready: Box<OnReady>,
}

// SAFETY: librdkafka's handles may be used from any thread; `messages` is empty between calls.
unsafe impl Send for Feed {}

impl Feed {
    /// Begins to read. A consumer reads a partition through one feed at a time.
    ///
    /// # Errors
    /// The client's.
    pub(super) fn start(
        consumer: &Arc<BaseConsumer<Log>>,
        topic: &str,
        partition: i32,
        offset: Offset,
        on_ready: OnReady,
    ) -> Result<Self, Refused> {
        let name = CString::new(topic).map_err(|_| Refused::plain("the topic's name holds a zero byte"))?;
        let client = consumer.client().native_ptr();
        let on_ready = Box::new(on_ready);
        // SAFETY: the client lives as long as `consumer`, which the feed holds; the name ends with a zero byte; a null
        // configuration means the defaults.
        let (topic, queue) = unsafe {
            (sys::rd_kafka_topic_new(client, name.as_ptr(), ptr::null_mut()), sys::rd_kafka_queue_new(client))
        };
        let (Some(topic), Some(queue)) = (NonNull::new(topic), NonNull::new(queue)) else {
            return Err(Refused::plain("the client has no handle for the topic"));
        };
        let feed =
            Self { _consumer: Arc::clone(consumer), topic, queue, partition, messages: vec![], _on_ready: on_ready };
        let opaque: *const OnReady = &raw const *feed._on_ready;
        // SAFETY: the closure is boxed, so it stays where it is when the feed moves; `drop` takes the callback away
        // before it is dropped. Topic and queue are the feed's own.
        let started = unsafe {
            sys::rd_kafka_queue_cb_event_enable(queue.as_ptr(), Some(call_on_ready), opaque.cast_mut().cast());
            sys::rd_kafka_consume_start_queue(topic.as_ptr(), partition, offset.0, queue.as_ptr())
        };
        if started == 0 {
            return Ok(feed);
        }
        // SAFETY: reads a variable of this thread.
        Err(Refused::code(unsafe { sys::rd_kafka_last_error() }.into()))
    }

    /// Goes on from another offset; nothing from before is given any more. Does not wait.
    ///
    /// # Errors
    /// The client's.
    pub(super) fn seek(&mut self, offset: Offset) -> Result<(), Refused> {
        // SAFETY: the topic is the feed's own; a timeout of 0 asks for no answer.
        let code = unsafe { sys::rd_kafka_seek(self.topic.as_ptr(), self.partition, offset.0, 0) };
        Refused::check(code.into())
    }

    /// Takes what has come, without waiting; gives the number of messages, notices of the end among them.
    pub(super) fn take(&mut self, mut each: impl FnMut(Taken<'_>)) -> usize {
        self.messages.clear();
        self.messages.reserve(BATCH);
        // SAFETY: there is room for `BATCH` pointers, and the queue is the feed's own.
        let count =
            unsafe { sys::rd_kafka_consume_batch_queue(self.queue.as_ptr(), 0, self.messages.as_mut_ptr(), BATCH) };
        let count = usize::try_from(count).unwrap_or(0).min(BATCH);
        // SAFETY: the call filled in as many pointers as it says.
        unsafe { self.messages.set_len(count) };
        let mut headers = Vec::new();
        for message in self.messages.drain(..) {
            // SAFETY: the message is ours until it is destroyed, right below; `each` cannot keep what it borrows.
            unsafe {
                each(taken(&*message, &mut headers));
                sys::rd_kafka_message_destroy(message);
            }
        }
        count
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        // SAFETY: all handles are the feed's own and are not used again. The callback is called under the queue's lock,
        // which the first call takes: afterwards nobody calls it. Stopping waits for the client's own thread only.
        unsafe {
            sys::rd_kafka_queue_cb_event_enable(self.queue.as_ptr(), None, ptr::null_mut());
            sys::rd_kafka_consume_stop(self.topic.as_ptr(), self.partition);
            sys::rd_kafka_queue_destroy(self.queue.as_ptr());
            sys::rd_kafka_topic_destroy(self.topic.as_ptr());
        }
    }
}

/// What a queue calls.
unsafe extern "C" fn call_on_ready(_: *mut sys::rd_kafka_t, opaque: *mut c_void) {
    // SAFETY: the pointer is that of a feed's closure, which lives until the callback is taken away.
    let on_ready = unsafe { &*opaque.cast::<OnReady>() };
    on_ready();
}

/// A message as it is read.
///
/// # Safety
/// The message was given by librdkafka and is not destroyed yet.
unsafe fn taken<'a>(message: &'a sys::rd_kafka_message_t, headers: &'a mut Vec<Header>) -> Taken<'a> {
    let code = RDKafkaErrorCode::from(message.err);
    if code == RDKafkaErrorCode::PartitionEOF {
        return Taken::End(Offset(message.offset));
    }
    if code != RDKafkaErrorCode::NoError {
        // SAFETY: for a message with an error the text is valid as long as the message.
        let text = unsafe { text_of(sys::rd_kafka_message_errstr(message)) };
        return Taken::Failed(code, text);
    }
    let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    // SAFETY: pointers and lengths of key and value come together; null is null.
    unsafe {
        let timestamp = sys::rd_kafka_message_timestamp(message, &raw mut kind);
        headers_of(message, headers);
        Taken::Record(RecordView {
            offset: Offset(message.offset),
            timestamp: EventTime(timestamp),
            key: bytes_of(message.key, message.key_len),
            value: bytes_of(message.payload, message.len),
            headers,
        })
    }
}

/// # Safety
/// `start` is null or points to `len` bytes that live as long as the borrow.
unsafe fn bytes_of<'a>(start: *const c_void, len: usize) -> Option<&'a [u8]> {
    // SAFETY: the caller's word.
    (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start.cast::<u8>(), len) })
}

/// # Safety
/// `text` is null or ends with a zero byte.
unsafe fn text_of(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller's word.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// # Safety
/// The message was given by librdkafka and is not destroyed yet.
unsafe fn headers_of(message: &sys::rd_kafka_message_t, found: &mut Vec<Header>) {
    found.clear();
    let mut headers = ptr::null_mut();
    // SAFETY: headers are parsed into the message and owned by it; names end with a zero byte; values are copied.
    unsafe {
        if sys::rd_kafka_message_headers(message, &raw mut headers)
            != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
        {
            return;
        }
        let (mut name, mut value, mut len) = (ptr::null(), ptr::null(), 0);
        while sys::rd_kafka_header_get_all(headers, found.len(), &raw mut name, &raw mut value, &raw mut len)
            == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
        {
            found.push(Header { key: text_of(name), value: bytes_of(value, len).map(Bytes::copy_from_slice) });
        }
    }
}

/// What a cluster says about a topic.
#[derive(Debug, Clone)]
pub(super) struct Described {
    pub(super) name: String,
    /// Both halves of the topic's id.
    pub(super) id: (u64, u64),
    pub(super) partitions: i32,
    pub(super) replicas: i16,
    /// True if each partition has a leader.
    pub(super) is_led: bool,
    /// Kafka's own.
    pub(super) is_internal: bool,
    pub(super) error: RDKafkaErrorCode,
}

/// Asks for topics by name; waits for the answer. A topic that is not there is described by its error.
///
/// # Errors
/// The cluster did not answer in time, or refused as a whole.
pub(super) fn describe_topics<C: ClientContext>(
    client: &Client<C>,
    names: &[&str],
    timeout: Duration,
) -> Result<Vec<Described>, Refused> {
    let names: Vec<CString> = names.iter().filter_map(|name| CString::new(*name).ok()).collect();
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    let millis = c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX);
    let client = client.native_ptr();
    let mut topics = Vec::with_capacity(names.len());
    // SAFETY: names and pointers live until the collection, which copies them, is made. What is made here is destroyed
    // here, the event last, for everything read out of it is borrowed from it.
    unsafe {
        let queue = sys::rd_kafka_queue_new(client);
        let options =
            sys::rd_kafka_AdminOptions_new(client, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
        let mut text = [0; 256];
        sys::rd_kafka_AdminOptions_set_request_timeout(options, millis, text.as_mut_ptr(), text.len());
        let wanted = sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
        sys::rd_kafka_DescribeTopics(client, wanted, options, queue);
        sys::rd_kafka_TopicCollection_destroy(wanted);
        sys::rd_kafka_AdminOptions_destroy(options);
        let event = sys::rd_kafka_queue_poll(queue, millis.saturating_add(1000));
        let refused = if event.is_null() {
            Refused::check(RDKafkaErrorCode::OperationTimedOut)
        } else {
            Refused::check(sys::rd_kafka_event_error(event).into())
        };
        let result = sys::rd_kafka_event_DescribeTopics_result(event);
        if refused.is_ok() && !result.is_null() {
            let mut count = 0;
            let found = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
            for nth in 0..count {
                topics.push(described(*found.add(nth)));
            }
        }
        if !event.is_null() {
            sys::rd_kafka_event_destroy(event);
        }
        sys::rd_kafka_queue_destroy(queue);
        refused.map(|()| topics)
    }
}

/// # Safety
/// The description belongs to an event that is not destroyed yet.
unsafe fn described(topic: *const sys::rd_kafka_TopicDescription_t) -> Described {
    // SAFETY: the caller's word; the id is there if there is no error, as are the partitions.
    unsafe {
        let error = RDKafkaErrorCode::from(sys::rd_kafka_error_code(sys::rd_kafka_TopicDescription_error(topic)));
        let name = text_of(sys::rd_kafka_TopicDescription_name(topic));
        if error != RDKafkaErrorCode::NoError {
            return Described {
                name,
                id: (0, 0),
                partitions: 0,
                replicas: 0,
                is_led: false,
                is_internal: false,
                error,
            };
        }
        let id = sys::rd_kafka_TopicDescription_topic_id(topic);
        let most = sys::rd_kafka_Uuid_most_significant_bits(id);
        let least = sys::rd_kafka_Uuid_least_significant_bits(id);
        let mut count = 0;
        let partitions = sys::rd_kafka_TopicDescription_partitions(topic, &raw mut count);
        let (mut is_led, mut replicas) = (true, 0);
        for nth in 0..count {
            let leader = sys::rd_kafka_TopicPartitionInfo_leader(*partitions.add(nth));
            is_led &= !leader.is_null() && sys::rd_kafka_Node_id(leader) >= 0;
            sys::rd_kafka_TopicPartitionInfo_replicas(*partitions.add(nth), &raw mut replicas);
        }
        Described {
            name,
            id: (most.cast_unsigned(), least.cast_unsigned()),
            partitions: i32::try_from(count).unwrap_or(i32::MAX),
            replicas: i16::try_from(replicas).unwrap_or(i16::MAX),
            is_led,
            is_internal: sys::rd_kafka_TopicDescription_is_internal(topic) != 0,
            error,
        }
    }
}

/// Commits or aborts the open transaction; waits for the answer or `timeout`. Records are sent first, without
/// lingering; the producer's own thread serves the reports of their delivery.
///
/// # Errors
/// [`Refused`] says whether the call may be repeated, or the transaction has to be aborted.
pub(super) fn end_transaction(
    producer: &ThreadedProducer<Deliveries>,
    commits: bool,
    timeout: Duration,
) -> Result<(), Refused> {
    let millis = c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX);
    let client = producer.client().native_ptr();
    // SAFETY: the client lives as long as the producer; an error is read, then destroyed, and only once.
    unsafe {
        let error = if commits {
            sys::rd_kafka_commit_transaction(client, millis)
        } else {
            sys::rd_kafka_abort_transaction(client, millis)
        };
        if error.is_null() {
            return Ok(());
        }
        let refused = Refused {
            code: sys::rd_kafka_error_code(error).into(),
            text: text_of(sys::rd_kafka_error_string(error)),
            is_fatal: sys::rd_kafka_error_is_fatal(error) != 0,
            is_retriable: sys::rd_kafka_error_is_retriable(error) != 0,
            requires_abort: sys::rd_kafka_error_txn_requires_abort(error) != 0,
        };
        sys::rd_kafka_error_destroy(error);
        Err(refused)
    }
}
