//! Leap seconds, as far as a sample needs them.

/// The leap second announced for the end of the current month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Leap {
    /// None.
    #[default]
    None,
    /// A second 23:59:60 is inserted.
    Insert,
    /// The second 23:59:59 is left out.
    Delete,
}
