//! The pool and what belongs to it, by the names that diesel-async has for them.

use diesel_async::pooled_connection;

use super::connection::Connection;
use super::driver::Driver;
use super::object::Object;
use crate::deadpool::{builder, error, pool};

/// What is behind a guarded connection, which stands for the driver's in the names of diesel-async: a
/// `Pool<AsyncPgConnection>` is a pool of the driver's connections that hands out guarded ones.
pub trait Leased {
    /// The driver's connection.
    type Raw: Driver;
}

// For `Object<C>`, of which rustc knows the only implementation there is before it knows `C`. So `C` is
// inferred through the aliases below, from either side; for a bare `C` it would have to be given.
impl<R: Driver> Leased for Object<Connection<R>> {
    type Raw = R;
}

/// diesel-async's manager of the driver's connections.
pub type AsyncDieselConnectionManager<C> =
    pooled_connection::AsyncDieselConnectionManager<<Object<C> as Leased>::Raw>;
/// What a manager can be given: how connections are opened and recycled.
pub type ManagerConfig<C> = pooled_connection::ManagerConfig<<Object<C> as Leased>::Raw>;
/// How connections are recycled.
pub type RecyclingMethod<C> = pooled_connection::RecyclingMethod<<Object<C> as Leased>::Raw>;
/// A guarded pool.
pub type Pool<C> = pool::Pool<AsyncDieselConnectionManager<C>, Object<C>>;
/// A reference to a [`Pool`] that does not keep it alive.
pub type WeakPool<C> = pool::WeakPool<AsyncDieselConnectionManager<C>, Object<C>>;
/// Configures a guarded pool.
pub type PoolBuilder<C> = builder::PoolBuilder<AsyncDieselConnectionManager<C>, Object<C>>;
/// Why there is no connection.
pub type PoolError = error::PoolError<pooled_connection::PoolError>;
/// A hook of a pool.
pub type Hook<C> = deadpool::managed::Hook<AsyncDieselConnectionManager<C>>;
/// An error of a hook.
pub type HookError = deadpool::managed::HookError<pooled_connection::PoolError>;
