//! Whether a statement reached the database.

/// Whether a statement may have reached the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Delivery {
    /// It was never sent, or refused before it began, so it is safe to retry.
    NotSent,
    /// It may have been sent, and its outcome is unknown.
    Unknown,
    /// The database answered, with a result or an error.
    Answered,
}
