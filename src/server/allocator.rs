//! How the process gives memory back to the system that it needs no more.
//!
//! Rows are allocated by mimalloc (`docs/decisions/0009-allocator.md`), what librdkafka holds by the system's allocator,
//! of which this tells; its numbers were measured when rows were in it too.
//!
//! glibc's allocator maps large blocks on their own and gives them back when they are freed, but each block that is
//! freed raises the size from which it does so, up to 32 MiB: after the first epochs all of them come from the heap,
//! where small blocks that live longer lie between, and what was needed once is never given back. Said once what is
//! large, it stays so. Measured with a Kafka topic read as fast as it goes (`benches/peers`, q0), when all
//! memory was glibc's: 125 MiB without, 92 MiB with it. What is not Rust's, librdkafka's above all, still is glibc's.

/// From this size on a block is mapped on its own. Larger than what is allocated for each batch of rows.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: libc::c_int = 1 << 20;
/// Free memory at the heap's end that is kept.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT: libc::c_int = 2 << 20;

/// Sets the allocator up, where it is glibc's. To be called before there are threads.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "the allocator has no safe interface; measured, see above")]
pub(super) fn set_up_allocator() {
    // SAFETY: the calls change numbers of the allocator and touch no memory of ours. A number that it does not take
    // changes nothing.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
    }
}

/// Other allocators are left as they are.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(super) fn set_up_allocator() {}
