//! The pool and what belongs to it, by the names that diesel-async has for them.

use diesel_async::pooled_connection;

use super::connection::Connection;
use super::driver::Driver;
use super::object::Object;
use crate::deadpool::{builder, error, pool};

/// A guarded connection, which stands for the driver's in the names of diesel-async: a
/// `Pool<AsyncPgConnection>` is a pool of the driver's connections that hands out guarded ones.
pub trait Leased {
    /// The driver's connection.
    type Raw: Driver;
}

impl<R: Driver> Leased for Connection<R> {
    type Raw = R;
}

/// diesel-async's manager of the driver's connections.
pub type AsyncDieselConnectionManager<C> =
    pooled_connection::AsyncDieselConnectionManager<<C as Leased>::Raw>;
/// What a manager can be given: how connections are opened and recycled.
pub type ManagerConfig<C> = pooled_connection::ManagerConfig<<C as Leased>::Raw>;
/// How connections are recycled.
pub type RecyclingMethod<C> = pooled_connection::RecyclingMethod<<C as Leased>::Raw>;
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
