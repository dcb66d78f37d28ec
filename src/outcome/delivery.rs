//! Whether a statement reached the database.

/// Whether a statement may have reached the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Delivery {
    /// The statement was not sent, or the server refused it before it began. Sending it again cannot
    /// execute it twice.
    NotSent,
    /// It may have been sent, and its outcome is unknown.
    Unknown,
    /// The database answered, with a result or an error.
    Answered,
}
