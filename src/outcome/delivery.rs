//! Whether a statement got anywhere.

/// Whether a statement may have reached the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Delivery {
    /// It was never sent: safe to retry.
    NotSent,
    /// It may have been sent, and its outcome is unknown.
    Unknown,
    /// The database answered.
    Answered,
}

/// SQLSTATEs with which a server turns a new connection away: no slot, starting or stopping, wrong
/// password. MySQL sends none at all before the handshake is done.
#[cfg(any(feature = "sqlx", feature = "deadpool-postgres"))]
pub(crate) fn refuses_connection(sqlstate: Option<&str>) -> bool {
    matches!(
        sqlstate,
        None | Some("53300" | "08004" | "57P03" | "28000" | "28P01")
    )
}
