//! Whether a statement reached the database.

/// Whether a statement may have reached the database.
///
/// ```
/// use fusepool::Delivery;
///
/// /// A write is sent again only if that cannot execute it twice.
/// fn may_retry(delivery: Delivery) -> bool {
///     delivery == Delivery::NotSent
/// }
/// assert!(!may_retry(Delivery::Unknown));
/// ```
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
