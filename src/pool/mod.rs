//! Any pool, guarded through an adapter: the only implementation of leases, admission, statements, later
//! rows and probing. `sqlx` and every deadpool pool are adapters of it.

pub(crate) mod acquire;
pub(crate) mod adapter;
#[cfg(feature = "cache")]
pub(crate) mod cache;
pub(crate) mod connection_state;
pub(crate) mod guarded;
pub(crate) mod lease;
mod prober;
#[cfg(feature = "cache")]
pub(crate) mod read;
#[cfg(feature = "cache")]
pub(crate) mod read_error;
#[cfg(any(feature = "sqlx", feature = "diesel"))]
pub(crate) mod rows;
pub(crate) mod settings;
pub(crate) mod shared;
pub(crate) mod snapshot;
pub(crate) mod statement;
mod target;
pub(crate) mod tasks;
pub(crate) mod transaction;
