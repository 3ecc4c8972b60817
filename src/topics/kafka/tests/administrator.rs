//! Whoever else has rights on a cluster: gives topics partitions, deletes them, takes rights away.
#![expect(unsafe_code, reason = "librdkafka has no safe wrapper for rights")]

use std::ffi::CString;
use std::ptr;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::bindings as sys;
use rdkafka::client::DefaultClientContext;

use crate::topics::kafka::client::wait_for;

const TIMEOUT: Duration = Duration::from_secs(10);

/// A client with all rights.
pub(crate) struct Administrator {
    admin: AdminClient<DefaultClientContext>,
}

impl Administrator {
    pub(crate) fn connect(servers: &str) -> Self {
        Self { admin: ClientConfig::new().set("bootstrap.servers", servers).create().unwrap() }
    }

    fn options() -> AdminOptions {
        AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT))
    }

    pub(crate) fn create(&self, topic: &str, partitions: i32, config: &[(&str, &str)]) {
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        let new = config.iter().fold(new, |new, (name, value)| new.set(name, value));
        wait_for(self.admin.create_topics([&new], &Self::options())).unwrap().remove(0).unwrap();
    }

    pub(crate) fn delete(&self, topic: &str) {
        wait_for(self.admin.delete_topics(&[topic], &Self::options())).unwrap().remove(0).unwrap();
    }

    /// Has a topic have so many partitions.
    pub(crate) fn grow(&self, topic: &str, partitions: usize) {
        let wanted = NewPartitions::new(topic, partitions);
        wait_for(self.admin.create_partitions([&wanted], &Self::options())).unwrap().remove(0).unwrap();
    }

    /// Denies everybody to write to a topic, or takes that back. False if the cluster knows no rights.
    pub(crate) fn deny_writes(&self, topic: &str, denied: bool) -> bool {
        let name = CString::new(topic).unwrap();
        let (principal, host) = (CString::new("User:*").unwrap(), CString::new("*").unwrap());
        let client = self.admin.inner().native_ptr();
        let mut text = [0; 256];
        // SAFETY: all texts live to the end; what is made here is destroyed here, the event last.
        unsafe {
            let queue = sys::rd_kafka_queue_new(client);
            let event = if denied {
                let binding = |operation, permission| {
                    sys::rd_kafka_AclBinding_new(
                        sys::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC,
                        name.as_ptr(),
                        sys::rd_kafka_ResourcePatternType_t::RD_KAFKA_RESOURCE_PATTERN_LITERAL,
                        principal.as_ptr(),
                        host.as_ptr(),
                        operation,
                        permission,
                        ptr::null_mut(),
                        0,
                    )
                };
                let mut bindings = [
                    binding(
                        sys::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_ALL,
                        sys::rd_kafka_AclPermissionType_t::RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW,
                    ),
                    binding(
                        sys::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_WRITE,
                        sys::rd_kafka_AclPermissionType_t::RD_KAFKA_ACL_PERMISSION_TYPE_DENY,
                    ),
                ];
                sys::rd_kafka_CreateAcls(client, bindings.as_mut_ptr(), bindings.len(), ptr::null(), queue);
                let event = sys::rd_kafka_queue_poll(queue, 10_000);
                bindings.into_iter().for_each(|binding| sys::rd_kafka_AclBinding_destroy(binding));
                event
            } else {
                let mut all = [sys::rd_kafka_AclBindingFilter_new(
                    sys::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC,
                    name.as_ptr(),
                    sys::rd_kafka_ResourcePatternType_t::RD_KAFKA_RESOURCE_PATTERN_LITERAL,
                    ptr::null(),
                    ptr::null(),
                    sys::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_ANY,
                    sys::rd_kafka_AclPermissionType_t::RD_KAFKA_ACL_PERMISSION_TYPE_ANY,
                    text.as_mut_ptr(),
                    text.len(),
                )];
                sys::rd_kafka_DeleteAcls(client, all.as_mut_ptr(), all.len(), ptr::null(), queue);
                let event = sys::rd_kafka_queue_poll(queue, 10_000);
                all.into_iter().for_each(|filter| sys::rd_kafka_AclBinding_destroy(filter));
                event
            };
            assert!(!event.is_null(), "the cluster answers");
            let mut is_done = sys::rd_kafka_event_error(event) == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
            let created = sys::rd_kafka_event_CreateAcls_result(event);
            if is_done && !created.is_null() {
                let mut count = 0;
                let results = sys::rd_kafka_CreateAcls_result_acls(created, &raw mut count);
                is_done = (0..count).all(|nth| sys::rd_kafka_acl_result_error(*results.add(nth)).is_null());
            }
            sys::rd_kafka_event_destroy(event);
            sys::rd_kafka_queue_destroy(queue);
            is_done
        }
    }

    /// Whether brokers know of rights on a topic: they hear of changes after these were answered.
    pub(crate) fn shows_rights(&self, topic: &str) -> bool {
        let name = CString::new(topic).unwrap();
        let client = self.admin.inner().native_ptr();
        let mut text = [0; 256];
        // SAFETY: all texts live to the end; what is made here is destroyed here, the event last.
        unsafe {
            let queue = sys::rd_kafka_queue_new(client);
            let filter = sys::rd_kafka_AclBindingFilter_new(
                sys::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC,
                name.as_ptr(),
                sys::rd_kafka_ResourcePatternType_t::RD_KAFKA_RESOURCE_PATTERN_LITERAL,
                ptr::null(),
                ptr::null(),
                sys::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_WRITE,
                sys::rd_kafka_AclPermissionType_t::RD_KAFKA_ACL_PERMISSION_TYPE_DENY,
                text.as_mut_ptr(),
                text.len(),
            );
            sys::rd_kafka_DescribeAcls(client, filter, ptr::null(), queue);
            let event = sys::rd_kafka_queue_poll(queue, 10_000);
            sys::rd_kafka_AclBinding_destroy(filter);
            assert!(!event.is_null(), "the cluster answers");
            let mut count = 0;
            let told = sys::rd_kafka_event_DescribeAcls_result(event);
            if !told.is_null() {
                sys::rd_kafka_DescribeAcls_result_acls(told, &raw mut count);
            }
            sys::rd_kafka_event_destroy(event);
            sys::rd_kafka_queue_destroy(queue);
            count > 0
        }
    }
}
