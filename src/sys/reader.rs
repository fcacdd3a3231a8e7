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
    /// All that can be known of the reader of a segment.
    const OF_A_SEGMENT: [Self; 3] = [
        Self::Segment(ReaderState::Live),
        Self::Segment(ReaderState::Attached),
        Self::Segment(ReaderState::Absent),
    ];

    /// All that can be known of the reader of a socket.
    const OF_A_SOCKET: [Self; 2] = [
        Self::Socket(Listener::Bound),
        Self::Socket(Listener::Absent),
    ];

    /// All that can be known of the reader of such an output.
    pub fn alike(self) -> &'static [Self] {
        match self {
            Self::Segment(_) => &Self::OF_A_SEGMENT,
            Self::Socket(_) => &Self::OF_A_SOCKET,
        }
    }

    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Segment(ReaderState::Live) => "live",
            Self::Segment(ReaderState::Attached) => "attached",
            Self::Socket(Listener::Bound) => "bound",
            Self::Segment(ReaderState::Absent) | Self::Socket(Listener::Absent) => "absent",
        }
    }

    /// Whether there certainly is none.
    pub fn is_absent(self) -> bool {
        matches!(
            self,
            Self::Segment(ReaderState::Absent) | Self::Socket(Listener::Absent)
        )
    }
}
