//! Whether a connection may be used again.

/// What has become of a connection since it was leased.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// A statement was started, and has not ended.
    pub(super) in_flight: bool,
    /// The statement that was started begins a transaction or savepoint. If it does not end, nobody
    /// knows what later statements would be part of.
    pub(super) beginning: bool,
    /// It must not be used again, for this reason.
    pub(super) close: Option<&'static str>,
}
