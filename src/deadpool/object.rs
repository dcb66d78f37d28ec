//! An object leased from a pool.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::{self, Manager, Metrics, ObjectId};

use super::adapter::Managed;
use super::dialect::{Dialect, Unknown};
use crate::breaker::verdict::Classify;
use crate::outcome::error::{GateError, WithTimeoutError};
use crate::pool::connection_state::Diagnosis;
use crate::pool::lease::Lease;

/// An object leased from a [`Pool`](super::Pool), used like deadpool's `Object`.
///
/// Dropping it returns it to the pool. If a [guarded](Self::guard) statement was abandoned on it,
/// or failed in a way that makes it unusable, it is removed from the pool and dropped instead.
#[must_use]
pub struct Object<M: Manager + 'static> {
    pub(super) lease: Lease<Managed<M>>,
}

impl<M: Manager + 'static> Object<M> {
    /// Runs a statement whose error type is the manager's. It is refused while the breaker is open,
    /// it has the pool's `query_timeout`, and its outcome is recorded. The pool's
    /// [`classify`](super::PoolBuilder::classify) says what its error means.
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
    /// - [`GateError::Refused`]: the statement was not sent.
    /// - [`GateError::Deadline`]: the statement exceeded its deadline, and its outcome is unknown.
    ///   Every later statement on this object is refused as
    ///   [`Refused::Abandoned`](crate::Refused::Abandoned).
    /// - [`GateError::Failed`]: the statement's own error.
    pub async fn guard<T>(
        &mut self,
        statement: impl AsyncFnOnce(&mut M::Type) -> Result<T, M::Error>,
    ) -> Result<T, GateError<M::Error>> {
        self.lease.guard(statement).await
    }

    /// [`guard`](Self::guard) with the deadline `limit` instead of the pool's `query_timeout`.
    /// `limit` must be longer than zero and at most [`LONGEST`](crate::breaker::LONGEST).
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
    /// - [`WithTimeoutError::Config`]: `limit` is out of range, and the statement was not sent.
    /// - [`WithTimeoutError::Gate`]: as [`guard`](Self::guard).
    pub async fn guard_with_timeout<T>(
        &mut self,
        limit: Duration,
        statement: impl AsyncFnOnce(&mut M::Type) -> Result<T, M::Error>,
    ) -> Result<T, WithTimeoutError<M::Error>> {
        self.lease.guard_with_timeout(limit, statement).await
    }

    /// [`guard`](Self::guard) for a statement with another error type, which `classify` classifies.
    /// After a [`Failure`](crate::Class::Failure) the object is not returned to the pool.
    ///
    /// ```
    /// # use fusepool::deadpool::{Manager, Object};
    /// # use fusepool::GateError;
    /// # struct Store;
    /// # struct Missing;
    /// # impl Store { async fn find(&mut self, _: &str) -> Result<u32, Missing> { Ok(1) } }
    /// # async fn run<M>(object: &mut Object<M>) -> Result<u32, GateError<Missing>>
    /// # where M: Manager<Type = Store> + 'static
    /// # {
    /// use fusepool::Class;
    ///
    /// let classify = |_: &Missing| Class::Success; // a missing key is an answer
    /// object.guard_with(&classify, async |store| store.find("key").await).await
    /// # }
    /// ```
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
            has_ended: false,
            code: None,
        };
        self.lease.guard_by(None, diagnose, statement).await
    }

    /// Removes the object from the pool permanently. The pool may create another.
    #[must_use]
    pub fn take(this: Self) -> M::Type {
        managed::Object::take(this.lease.into_inner())
    }

    /// The id of this object in its pool.
    pub fn id(this: &Self) -> ObjectId {
        managed::Object::id(this.lease.raw())
    }

    /// The age of the object, and how often it was recycled.
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

/// The type that a pool leases: [`Object`], or a type that wraps it. A custom wrapper needs only an
/// empty implementation:
///
/// ```
/// use fusepool::deadpool::{Manager, Object, Pool, Wrapper};
///
/// struct Store<M: Manager + 'static>(Object<M>);
///
/// impl<M: Manager + 'static> From<Object<M>> for Store<M> {
///     fn from(object: Object<M>) -> Self {
///         Self(object)
///     }
/// }
///
/// impl<M: Manager + 'static> Wrapper<M> for Store<M> {}
///
/// # fn build<M: Manager + 'static>(manager: M) -> Result<(), fusepool::deadpool::BuildError> {
/// let pool: Pool<M, Store<M>> = Pool::builder(manager).build()?;
/// # Ok(())
/// # }
/// ```
pub trait Wrapper<M: Manager + 'static>: From<Object<M>> {
    /// The knowledge that fusepool has about the wrapped objects.
    #[doc(hidden)]
    fn known() -> Known<M> {
        Known(Arc::new(Unknown))
    }
}

/// The knowledge that fusepool has about a manager's objects. Internal to this crate.
pub struct Known<M: Manager + 'static>(pub(super) Arc<dyn Dialect<M>>);

impl<M: Manager + 'static> Wrapper<M> for Object<M> {}

impl<M: Manager + 'static> fmt::Debug for Known<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known").finish_non_exhaustive()
    }
}
