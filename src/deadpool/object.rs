//! An object out of a pool.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use deadpool::managed::{self, Manager, Metrics, ObjectId};

use super::adapter::Managed;
use crate::breaker::verdict::Classify;
use crate::outcome::error::{GateError, WithTimeoutError};
use crate::pool::connection_state::Diagnosis;
use crate::pool::lease::Lease;

/// An object leased from a [`Pool`](super::Pool), used like deadpool's `Object`. Dropping it gives it back, unless
/// a [guarded](Self::guard) statement was given up on it, or broke it: then it is taken out of the
/// pool and dropped.
#[must_use]
pub struct Object<M: Manager + 'static> {
    pub(super) lease: Lease<Managed<M>>,
}

impl<M: Manager + 'static> Object<M> {
    /// Runs a statement with an error of the manager's kind: refused while the breaker is open,
    /// given up after the pool's `query_timeout`, and its end recorded by the pool's classes.
    ///
    /// ```
    /// # use fusepool::deadpool::{Manager, Object};
    /// # use fusepool::GateError;
    /// # use std::io;
    /// # struct Store;
    /// # impl Store { async fn get(&mut self, _: &str) -> io::Result<Vec<u8>> { Ok(vec![]) } }
    /// async fn look<M>(object: &mut Object<M>) -> Result<Vec<u8>, GateError<io::Error>>
    /// # where M: Manager<Type = Store, Error = io::Error> + 'static
    /// {
    ///     object.guard(async |store| store.get("key").await).await
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`GateError::Refused`]: the statement was not sent. [`GateError::Deadline`]: it was given
    /// up; its outcome is unknown, and every later statement on this object is refused as
    /// [`Refused::Abandoned`](crate::Refused::Abandoned). [`GateError::Failed`]: its own error.
    pub async fn guard<T>(
        &mut self,
        statement: impl AsyncFnOnce(&mut M::Type) -> Result<T, M::Error>,
    ) -> Result<T, GateError<M::Error>> {
        self.lease.guard(statement).await
    }

    /// [`guard`](Self::guard) with another deadline than the pool's: longer than zero, and at most
    /// [`LONGEST`](crate::breaker::LONGEST). With a deadline of its own a statement is never taken for
    /// [lost in an outage](crate#what-an-outage-leaves-behind).
    ///
    /// ```
    /// # use fusepool::deadpool::{Manager, Object};
    /// # use fusepool::WithTimeoutError;
    /// # use std::io;
    /// # struct Store;
    /// # impl Store { async fn compact(&mut self) -> io::Result<()> { Ok(()) } }
    /// # async fn run<M>(object: &mut Object<M>) -> Result<(), WithTimeoutError<io::Error>>
    /// # where M: Manager<Type = Store, Error = io::Error> + 'static
    /// # {
    /// use std::time::Duration;
    ///
    /// let limit = Duration::from_secs(300);
    /// object.guard_with_timeout(limit, async |store| store.compact().await).await
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`WithTimeoutError::Config`]: `limit` is no deadline; the statement was not sent.
    /// [`WithTimeoutError::Gate`]: as [`guard`](Self::guard).
    pub async fn guard_with_timeout<T>(
        &mut self,
        limit: Duration,
        statement: impl AsyncFnOnce(&mut M::Type) -> Result<T, M::Error>,
    ) -> Result<T, WithTimeoutError<M::Error>> {
        self.lease.guard_with_timeout(limit, statement).await
    }

    /// [`guard`](Self::guard) for statements with errors of another kind. After a
    /// [`Failure`](crate::Class::Failure) the object is not used again.
    ///
    /// # Errors
    ///
    /// As [`guard`](Self::guard).
    pub async fn guard_with<T, E>(
        &mut self,
        classify: &(impl Classify<E> + ?Sized),
        statement: impl AsyncFnOnce(&mut M::Type) -> Result<T, E>,
    ) -> Result<T, GateError<E>> {
        let diagnose = |_: &Managed<M>, error: &E| Diagnosis {
            class: classify.classify(error),
            answered: false,
        };
        self.lease.guard_by(None, diagnose, statement).await
    }

    /// Takes the object out of the pool for good, which may create another.
    #[must_use]
    pub fn take(this: Self) -> M::Type {
        managed::Object::take(this.lease.into_inner())
    }

    /// The number of this object in its pool.
    pub fn id(this: &Self) -> ObjectId {
        managed::Object::id(this.lease.raw())
    }

    /// How old the object is and how often it was recycled.
    pub fn metrics(this: &Self) -> &Metrics {
        managed::Object::metrics(this.lease.raw())
    }
}

impl<M: Manager + 'static> Deref for Object<M> {
    type Target = M::Type;

    fn deref(&self) -> &M::Type {
        &self.lease
    }
}

impl<M: Manager + 'static> DerefMut for Object<M> {
    fn deref_mut(&mut self) -> &mut M::Type {
        &mut self.lease
    }
}

impl<M: Manager + 'static> AsRef<M::Type> for Object<M> {
    fn as_ref(&self) -> &M::Type {
        self
    }
}

impl<M: Manager + 'static> AsMut<M::Type> for Object<M> {
    fn as_mut(&mut self) -> &mut M::Type {
        self
    }
}

impl<M: Manager + 'static> fmt::Debug for Object<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object")
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}
