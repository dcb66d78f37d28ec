//! The guard of any connection pool, which reaches the pool through an [`Adapter`](adapter::Adapter).
//!
//! This is the only implementation of leases, admission, statements, later rows and probing. The
//! pools of sqlx and deadpool are adapters of it.

pub(crate) mod acquire;
pub(crate) mod adapter;
#[cfg(feature = "cache")]
mod cache;
pub(crate) mod connection_state;
pub(crate) mod created;
pub(crate) mod guarded;
#[cfg(any(feature = "sqlx", feature = "deadpool"))]
pub(crate) mod homes;
#[cfg(feature = "sql")]
pub(crate) mod invalidation;
pub(crate) mod lease;
mod lint;
mod long_running;
mod lost;
pub(crate) mod opening;
mod prober;
#[cfg(feature = "cache")]
pub(crate) mod read;
#[cfg(feature = "cache")]
pub(crate) mod read_error;
pub(crate) mod release;
mod role;
#[cfg(any(feature = "sqlx", feature = "diesel"))]
pub(crate) mod rows;
mod sampler;
pub(crate) mod session;
pub(crate) mod settings;
pub(crate) mod shared;
mod side;
pub(crate) mod snapshot;
mod stall;
pub(crate) mod statement;
mod target;
pub(crate) mod tasks;
#[cfg(feature = "sql")]
pub(crate) mod transaction;
#[cfg(feature = "sql")]
mod unsettled;
