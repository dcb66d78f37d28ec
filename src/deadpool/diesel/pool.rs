//! The pool and related types, under diesel-async's names.

use diesel_async::pooled_connection;

use super::connection::Connection;
use super::driver::Driver;
use super::object::Object;
use crate::deadpool::{builder, error, pool};

/// The driver's connection behind a guarded one. With it, the type aliases take guarded
/// connections, so that code for diesel-async compiles unchanged: a `Pool<AsyncPgConnection>` is a
/// pool of the driver's connections that leases guarded ones.
pub trait Leased {
    /// The driver's connection.
    type Raw: Driver;
}

// Implemented for `Object<C>` and not for `C`, so that rustc finds the only implementation before
// it knows `C`. It can then infer `C` through the aliases below.
impl<R: Driver> Leased for Object<Connection<R>> {
    type Raw = R;
}

/// diesel-async's manager of the driver's connections.
pub type AsyncDieselConnectionManager<C> =
    pooled_connection::AsyncDieselConnectionManager<<Object<C> as Leased>::Raw>;
/// The configuration of a manager: how connections are opened and recycled.
pub type ManagerConfig<C> = pooled_connection::ManagerConfig<<Object<C> as Leased>::Raw>;
/// How connections are tested when they are recycled.
pub type RecyclingMethod<C> = pooled_connection::RecyclingMethod<<Object<C> as Leased>::Raw>;
/// A guarded pool of diesel-async connections. See the [module's page](super) for an example.
pub type Pool<C> = pool::Pool<AsyncDieselConnectionManager<C>, Object<C>>;
/// A weak reference to a [`Pool`], which does not keep it alive.
pub type WeakPool<C> = pool::WeakPool<AsyncDieselConnectionManager<C>, Object<C>>;
/// Configures a guarded [`Pool`].
pub type PoolBuilder<C> = builder::PoolBuilder<AsyncDieselConnectionManager<C>, Object<C>>;
/// Why no connection was leased.
pub type PoolError = error::PoolError<pooled_connection::PoolError>;
/// A hook that a pool runs when it creates or recycles a connection.
pub type Hook<C> = deadpool::managed::Hook<AsyncDieselConnectionManager<C>>;
/// The error of a [`Hook`].
pub type HookError = deadpool::managed::HookError<pooled_connection::PoolError>;

impl<R: Driver, S> builder::PoolBuilder<R::Manager, Object<Connection<R>>, S> {
    #[doc = include_str!("../../pool/probe_query.md")]
    pub fn probe_query(mut self, sql: impl Into<String>) -> Self {
        self.settings.probe_query = Some(sql.into());
        self
    }
}
