//! The module of this name of diesel-async, with guarded pools.
//!
//! What is not replaced here is diesel-async's own, so that the paths of an application change only in the
//! name of the crate.

pub use diesel_async::pooled_connection::*;

pub use super::pool::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod};

/// Guarded pools under the names of diesel-async's module for deadpool.
pub mod deadpool {
    pub use super::super::object::Object;
    pub use super::super::pool::{Hook, HookError, Pool, PoolBuilder, PoolError, WeakPool};
    pub use crate::deadpool::error::BuildError;
}
