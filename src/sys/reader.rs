//! Whether anybody reads what is written, as far as each way to write shows it.

use super::shm::ReaderState;
use super::sock::Listener;

/// What is known of whoever reads an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// Of a segment, which shows whether its samples are taken.
    Segment(ReaderState),
    /// Of a socket, which shows only whether somebody has it.
    Socket(Listener),
}

impl Reader {
    /// Whether there certainly is none.
    pub fn is_absent(self) -> bool {
        matches!(
            self,
            Self::Segment(ReaderState::Absent) | Self::Socket(Listener::Absent)
        )
    }
}
