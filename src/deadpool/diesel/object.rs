//! A connection leased from a pool.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use deadpool::managed::{Metrics, ObjectId};

use super::connection::Connection;
use super::dialect::Diesel;
use super::driver::Driver;
use crate::deadpool::adapter::Managed;
use crate::deadpool::object::{Known, Wrapper};
use crate::deadpool::{object, pool};
use crate::pool::statement::Watch;

/// A connection leased from a [`Pool`](super::Pool). diesel's statements run on `&mut object` and
/// are guarded.
///
/// Dropping it returns the connection to the pool. If a statement was abandoned on it, or broke it,
/// the connection is closed instead.
#[must_use]
pub struct Object<C>(C);

impl<R: Driver> From<object::Object<R::Manager>> for Object<Connection<R>> {
    fn from(object: object::Object<R::Manager>) -> Self {
        Self(Connection {
            object,
            limit: None,
            invalidates: Vec::new(),
        })
    }
}

impl<R: Driver> Wrapper<R::Manager> for Object<Connection<R>> {
    fn known() -> Known<R::Manager> {
        Known(Arc::new(Diesel::<R>::default()))
    }
}

impl<R: Driver> Object<Connection<R>> {
    pub(super) fn into_inner(self) -> Connection<R> {
        self.0
    }

    /// The driver's connection, and the watch on its statements, borrowed side by side.
    pub(super) fn parts(&mut self) -> (&mut R, Watch<'_, Managed<R::Manager>>) {
        self.0.object.lease.parts()
    }

    /// Removes the driver's connection from the pool permanently. The pool may open another.
    #[must_use]
    pub fn take(this: Self) -> R {
        object::Object::take(this.0.object)
    }

    /// The id of this connection in its pool.
    pub fn id(this: &Self) -> ObjectId {
        object::Object::id(&this.0.object)
    }

    /// The age of the connection, and how often it was recycled.
    pub fn metrics(this: &Self) -> &Metrics {
        object::Object::metrics(&this.0.object)
    }

    /// The pool of this connection. Always `Some`.
    #[must_use]
    pub fn pool(this: &Self) -> Option<pool::Pool<R::Manager, Self>> {
        Some(pool::Pool::new(this.0.object.lease.pool()))
    }
}

impl<C> Deref for Object<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.0
    }
}

impl<C> DerefMut for Object<C> {
    fn deref_mut(&mut self) -> &mut C {
        &mut self.0
    }
}

impl<C> AsRef<C> for Object<C> {
    fn as_ref(&self) -> &C {
        self
    }
}

impl<C> AsMut<C> for Object<C> {
    fn as_mut(&mut self) -> &mut C {
        self
    }
}

impl<C: fmt::Debug> fmt::Debug for Object<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Object").field(&self.0).finish()
    }
}
