//! Whether a connection may be used again, as sqlx's adapter sees it.

use crate::health;

/// What has become of a connection since it was leased.
#[derive(Debug, Default)]
pub(super) struct Health {
    pub(super) lease: health::Health,
    /// The statement that was started begins a transaction or savepoint. If it does not end, nobody
    /// knows what later statements would be part of.
    pub(super) beginning: bool,
}
