//! How an exchange and a poll end, and who can do something about it if they end badly.

use super::Exchange;
use super::Span;

/// How a poll ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// With a sample.
    Sample(Exchange),
    /// With none.
    Missed {
        /// Who can do something about it.
        fault: Fault,
        /// Why, in words for the operator.
        reason: String,
    },
}

/// Who can do something about a poll that gave no sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// Whoever runs the network: no name, no way, no answer in time.
    Network,
    /// Whoever runs the server's certificates, or somebody in between.
    Tls,
    /// Whoever runs the server, or a cache or portal in front of it: what came is not used.
    Server,
    /// Whoever runs this machine.
    Local,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Network, Self::Tls, Self::Server, Self::Local];

    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Tls => "tls",
            Self::Server => "server",
            Self::Local => "local",
        }
    }
}

/// Why an exchange gave no sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Who can do something about it.
    pub fault: Fault,
    /// The cause, in words for the operator.
    pub reason: String,
    /// What is left of the connection.
    pub connection: Aftermath,
    /// How long the server asks to be left alone, if it does.
    pub retry_after: Option<Span>,
}

/// What an exchange that failed leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aftermath {
    /// A connection that can be used again.
    Usable,
    /// None, or one that cannot be used again.
    Broken,
    /// None: the server had closed the kept connection, as servers do, before it was asked. A new one is worth a try at once.
    Stale,
}
