//! Any pool, guarded through an adapter.

mod acquire;
pub(crate) mod adapter;
#[cfg(any(
    feature = "deadpool-postgres",
    feature = "diesel-postgres",
    feature = "diesel-mysql"
))]
pub(crate) mod by_hand;
pub(crate) mod connection_state;
pub(crate) mod guarded;
pub(crate) mod lease;
pub(crate) mod prober;
pub(crate) mod settings;
pub(crate) mod shared;
mod target;
pub(crate) mod tasks;
#[cfg(any(feature = "sqlx", feature = "deadpool-postgres", feature = "diesel"))]
pub(crate) mod transaction;
