//! Whether a statement reached the database.

/// Whether a statement may have reached the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Delivery {
    /// It was never sent, so it is safe to retry.
    NotSent,
    /// It may have been sent, and its outcome is unknown.
    Unknown,
    /// The database answered, with a result or an error.
    Answered,
}

/// Whether a server refuses a new connection with this SQLSTATE: it has no slot, is starting or
/// stopping, or rejects the password. MySQL sends no SQLSTATE before the handshake is done.
#[cfg(any(feature = "sqlx", feature = "deadpool-postgres"))]
pub(crate) fn refuses_connection(sqlstate: Option<&str>) -> bool {
    matches!(
        sqlstate,
        None | Some("53300" | "08004" | "57P03" | "28000" | "28P01")
    )
}
