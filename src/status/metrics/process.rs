//! What the kernel knows of this process, under the names that all clients of Prometheus use.
//!
//! In: /proc/self. Out: numbers, or nothing where /proc does not tell.

use crate::engine::time::Span;
use crate::sys::clock::processor_time;
use std::fs;

/// This process.
pub(super) struct Process {
    pub(super) processor: Span,
    /// Bytes.
    pub(super) resident: Option<u64>,
    /// Bytes.
    pub(super) virtual_size: Option<u64>,
    pub(super) open_files: Option<u64>,
    pub(super) most_files: Option<u64>,
}

impl Process {
    pub(super) fn read() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let bytes = |key: &str| number_after(&status, key)?.checked_mul(1_024);
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let open = fs::read_dir("/proc/self/fd").ok();
        Self {
            processor: processor_time(),
            resident: bytes("VmRSS:"),
            virtual_size: bytes("VmSize:"),
            // The directory itself is open while it is read.
            open_files: open.map(|open| open.count().saturating_sub(1) as u64),
            most_files: number_after(&limits, "Max open files"),
        }
    }
}

/// The number that follows `key` on its line.
fn number_after(text: &str, key: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_what_this_process_uses() {
        let process = Process::read();
        let megabyte = Some(1 << 20);
        assert!(process.resident > megabyte && process.virtual_size >= process.resident);
        assert!(process.open_files >= Some(3) && process.most_files >= process.open_files);
        assert!(process.processor > Span::ZERO);
    }
}
