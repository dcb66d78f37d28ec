//! The guarded pool.

use std::fmt;
use std::marker::PhantomData;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use deadpool::managed::{self, Manager, Metrics, RetainResult, Status, Timeouts};

use super::adapter::Managed;
use super::error::PoolError;
use super::object::Object;
use crate::breaker::verdict::Class;
#[cfg(feature = "cache")]
use crate::cache::handle::Cache;
use crate::gate::Gate;
use crate::outcome::error::GateError;
use crate::pool::adapter::Adapter;
use crate::pool::guarded::Guarded;
use crate::pool::lease::Lease;
use crate::pool::shared::Shared;
use crate::pool::snapshot::PoolSnapshot;

/// A pool behind a circuit breaker, used like `deadpool::managed::Pool`. Clones share one pool.
///
/// While the backend is unwell, [`get`](Self::get) is refused at once with an error in which
/// [`refusal`](crate::refusal) finds why, and when to retry.
pub struct Pool<M: Manager + 'static, W: From<Object<M>> = Object<M>> {
    guarded: Guarded<Managed<M>>,
    _wrapper: PhantomData<fn() -> W>,
}

impl<M: Manager + 'static> Object<M> {
    /// The pool it came from; always `Some`, unlike with deadpool, since what an object is watched
    /// by belongs to its pool.
    #[must_use]
    pub fn pool(this: &Self) -> Option<Pool<M>> {
        Some(Pool::new(this.lease.pool()))
    }
}

impl<M: Manager + 'static, W: From<Object<M>>> Pool<M, W> {
    pub(super) fn new(guarded: Guarded<Managed<M>>) -> Self {
        Self {
            guarded,
            _wrapper: PhantomData,
        }
    }

    #[cfg(feature = "cache")]
    pub(super) fn guarded(&self) -> &Guarded<Managed<M>> {
        &self.guarded
    }

    pub(super) fn shared(&self) -> &Arc<Shared<Managed<M>>> {
        self.guarded.shared()
    }

    /// Leases an object: one that is idle, or a new one, or the next that comes free.
    ///
    /// # Errors
    ///
    /// [`PoolError::Refused`]: refused at once. [`PoolError::Timeout`]: there was none in time.
    /// [`PoolError::Backend`] and [`PoolError::PostCreateHook`]: one could not be created.
    /// [`PoolError::Closed`]: the pool is.
    pub async fn get(&self) -> Result<W, PoolError<M::Error>> {
        let lease = lease(self.shared(), &self.guarded.adapter().timeouts);
        lease.await.map_err(PoolError::from_gate)
    }

    /// [`get`](Self::get) with other timeouts than the pool's. Where there is one for waiting, that
    /// bounds the wait for a place in the pool, `acquire_timeout` the creation of an object, if there is
    /// no timeout for that, and both together all of it; otherwise `acquire_timeout` bounds all. Where
    /// there is none for recycling, the pool's counts.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub async fn timeout_get(&self, timeouts: &Timeouts) -> Result<W, PoolError<M::Error>> {
        let recycle = (timeouts.recycle).or(self.guarded.adapter().timeouts.recycle);
        let timeouts = Timeouts {
            recycle,
            ..*timeouts
        };
        let lease = lease(self.shared(), &timeouts);
        lease.await.map_err(PoolError::from_gate)
    }

    /// Changes how many objects there may be. Those beyond it are dropped when they come back.
    pub fn resize(&self, max_size: usize) {
        self.inner().resize(max_size);
    }

    /// Keeps of the idle objects only those that `predicate` says; blocks the pool meanwhile.
    pub fn retain(
        &self,
        predicate: impl FnMut(&M::Type, Metrics) -> bool,
    ) -> RetainResult<M::Type> {
        self.inner().retain(predicate)
    }

    /// The timeouts that the pool was built with; none stands for the guard's.
    #[must_use]
    pub fn timeouts(&self) -> Timeouts {
        self.inner().timeouts()
    }

    /// Closes the pool: those who wait and those who come get [`PoolError::Closed`], probing stops,
    /// and objects are dropped when they come back.
    pub fn close(&self) {
        // In this order, so that whatever begins to probe now is stopped, or sees that it is closed.
        self.inner().close();
        self.shared().background.stop();
    }

    /// Whether [`close`](Self::close) was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.inner().is_closed()
    }

    /// How many objects there are, and how many callers.
    #[must_use]
    pub fn status(&self) -> Status {
        self.inner().status()
    }

    /// What creates and recycles the objects.
    #[must_use]
    pub fn manager(&self) -> &M {
        self.inner().manager()
    }

    /// A reference that does not keep the pool alive.
    #[must_use]
    pub fn weak(&self) -> WeakPool<M, W> {
        WeakPool {
            shared: Arc::downgrade(self.shared()),
            _wrapper: PhantomData,
        }
    }

    /// The deadpool pool inside. What is done with it directly is neither guarded nor seen.
    #[must_use]
    pub fn inner(&self) -> &managed::Pool<M> {
        &self.guarded.adapter().raw
    }

    /// The gate of this pool, with its breaker.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        self.guarded.gate()
    }

    /// All there is to know about the pool at this moment.
    #[must_use]
    pub fn snapshot(&self) -> PoolSnapshot {
        self.guarded.snapshot()
    }

    /// The cache of this pool: what its cached reads keep there.
    #[cfg(feature = "cache")]
    #[must_use]
    pub fn cache(&self) -> Cache<'_> {
        self.guarded.cache()
    }
}

/// Leases an object, with a shared reference to the pool's parts instead of a handle of it.
pub(super) async fn lease<M: Manager + 'static, W: From<Object<M>>>(
    shared: &Arc<Shared<Managed<M>>>,
    timeouts: &Timeouts,
) -> Result<W, GateError<managed::PoolError<M::Error>>> {
    let managed = &*shared.adapter;
    let acquire_timeout = shared.gate.limits().acquire_timeout;
    let wait = timeouts.wait.unwrap_or_default();
    let limit = acquire_timeout.saturating_add(wait);
    let timeouts = &Timeouts {
        // Or else who is ready to wait long for a place would wait as long for a silent backend.
        create: timeouts
            .create
            .or((!wait.is_zero()).then_some(acquire_timeout)),
        ..*timeouts
    };
    let classify = |error: &_| match managed.classify(error) {
        // To whom would not wait, it says nothing that there is nothing to be had.
        Class::Starved if timeouts.wait == Some(Duration::ZERO) => Class::Ignored,
        class => class,
    };
    let acquire = pin!(managed.raw.timeout_get(timeouts));
    let mut lease = Lease::empty(Arc::clone(shared));
    shared
        .fill_ready(&mut lease, limit, classify, acquire)
        .await?;
    Ok(Object { lease }.into())
}

impl<M: Manager + 'static, W: From<Object<M>>> Clone for Pool<M, W> {
    fn clone(&self) -> Self {
        Self::new(self.guarded.clone())
    }
}

impl<M: Manager + 'static, W: From<Object<M>>> fmt::Debug for Pool<M, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("breaker", self.gate().breaker())
            .field("status", &self.status())
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// A reference to a [`Pool`] that does not keep it alive.
pub struct WeakPool<M: Manager + 'static, W: From<Object<M>> = Object<M>> {
    shared: Weak<Shared<Managed<M>>>,
    _wrapper: PhantomData<fn() -> W>,
}

impl<M: Manager + 'static, W: From<Object<M>>> WeakPool<M, W> {
    /// The pool, if there still is one: an object out of it keeps it, too.
    #[must_use]
    pub fn upgrade(&self) -> Option<Pool<M, W>> {
        Some(Pool::new(Guarded::of(self.shared.upgrade()?)))
    }
}

impl<M: Manager + 'static, W: From<Object<M>>> fmt::Debug for WeakPool<M, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakPool").finish_non_exhaustive()
    }
}
