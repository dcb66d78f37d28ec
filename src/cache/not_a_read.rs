//! The error of a statement that does not only read.

/// The reason why a statement cannot be cached or have a fallback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotARead {
    /// Its first word is not that of a query.
    #[error(
        "only SELECT, VALUES, TABLE and WITH can be cached or have a fallback, not other statements"
    )]
    NoQuery,
    /// It contains this word, with which it writes or may write.
    #[error(
        "a statement with {0} writes, and cannot be cached or have a fallback (quote it if it is a name)"
    )]
    Writes(&'static str),
    /// It locks rows, or takes another lock, with this word.
    #[error("a statement with {0} locks, and cannot be cached or have a fallback")]
    Locks(&'static str),
    /// It calls this function, which occupies a connection for as long as it is told.
    #[error("a statement with {0} waits, and cannot be cached or have a fallback")]
    Waits(&'static str),
    /// The text contains more than one statement.
    #[error("several statements at once cannot be cached or have a fallback")]
    Several,
    /// It contains a quote or a comment that has no end, a comment that some servers execute, or a name
    /// with escapes.
    #[error("the statement has {0}, so it is unclear whether it only reads")]
    Unclear(&'static str),
}
