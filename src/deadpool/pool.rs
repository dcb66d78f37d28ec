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
use crate::breaker::config::LONGEST;
use crate::breaker::verdict::Class;
#[cfg(feature = "cache")]
use crate::cache::handle::Cache;
use crate::gate::Gate;
use crate::lint::{Load, Warning};
#[cfg(feature = "live")]
use crate::live::watch::{Watch, Watched, sealed::Sealed};
use crate::outcome::error::GateError;
use crate::pool::adapter::Adapter;
use crate::pool::guarded::Guarded;
use crate::pool::lease::Lease;
use crate::pool::shared::Shared;
use crate::pool::snapshot::PoolSnapshot;
use crate::telemetry::changes::Events;

/// A pool behind a circuit breaker, used like `deadpool::managed::Pool`. Clones share one pool.
///
/// While the breaker is open, [`get`](Self::get) fails at once. [`refusal`](crate::refusal) finds
/// the reason in its error, and when to retry.
pub struct Pool<M: Manager + 'static, W: From<Object<M>> = Object<M>> {
    guarded: Guarded<Managed<M>>,
    _wrapper: PhantomData<fn() -> W>,
}

impl<M: Manager + 'static> Object<M> {
    /// The pool that the object was leased from. Always `Some`, unlike with deadpool, because an
    /// object keeps its pool alive.
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
        &self.guarded.shared
    }

    /// Leases an object: an idle one, or a new one. If the pool is full, this waits for the next one
    /// that is returned.
    ///
    /// # Errors
    ///
    /// - [`PoolError::Refused`]: the call was refused at once.
    /// - [`PoolError::Timeout`]: there was no object in time.
    /// - [`PoolError::Backend`], [`PoolError::PostCreateHook`]: an object could not be created.
    /// - [`PoolError::Closed`]: the pool was closed.
    /// - [`PoolError::NoRuntimeSpecified`]: the wrapped deadpool pool has a timeout, but no runtime.
    pub async fn get(&self) -> Result<W, PoolError<M::Error>> {
        let (shared, timeouts) = (self.shared(), &self.guarded.adapter().timeouts);
        let mut lease = Lease::empty(Arc::clone(shared));
        let filled = fill(shared, timeouts, &mut lease).await;
        filled.map_err(PoolError::from_gate)?;
        Ok(Object { lease }.into())
    }

    /// [`get`](Self::get) with the given timeouts instead of the pool's.
    ///
    /// - Without a `wait` timeout, or with one of zero, `acquire_timeout` bounds the whole call.
    /// - With a `wait` timeout, that bounds the wait for a slot in the pool, and `acquire_timeout`
    ///   bounds the creation of an object, unless there is a `create` timeout. Their sum, `wait` and
    ///   `acquire_timeout`, bounds the whole call.
    /// - Without a `recycle` timeout, the pool's applies.
    ///
    /// ```
    /// # use fusepool::deadpool::{Manager, Object, Pool, PoolError};
    /// # async fn lease<M: Manager + 'static>(pool: &Pool<M>)
    /// # -> Result<Object<M>, PoolError<M::Error>> {
    /// use fusepool::deadpool::Timeouts;
    /// use std::time::Duration;
    ///
    /// // Fails at once if the pool is full.
    /// pool.timeout_get(&Timeouts { wait: Some(Duration::ZERO), ..Timeouts::new() }).await
    /// # }
    /// ```
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
        let lease = lease(self.shared(), &timeouts).await;
        lease.map_err(PoolError::from_gate)
    }

    /// Changes the maximum number of objects. Surplus objects are dropped: idle ones at once, others
    /// when they are returned. The defaults that the pool derived from its size when it was built do
    /// not change.
    pub fn resize(&self, max_size: usize) {
        self.inner().resize(max_size);
    }

    /// Removes the idle objects for which `predicate` returns `false`, and returns them. The pool is
    /// locked meanwhile, so `predicate` must not block.
    pub fn retain(
        &self,
        predicate: impl FnMut(&M::Type, Metrics) -> bool,
    ) -> RetainResult<M::Type> {
        self.inner().retain(predicate)
    }

    /// The timeouts that the pool was built with. They do not include those that fusepool adds.
    #[must_use]
    pub fn timeouts(&self) -> Timeouts {
        self.inner().timeouts()
    }

    /// Closes the pool. Waiting and future calls of `get` fail with [`PoolError::Closed`], probing
    /// stops, and objects are dropped when they are returned. Calls in progress end as usual, loads
    /// for the cache among them. A cached read of a closed pool serves what the cache still has, or a
    /// fallback.
    pub fn close(&self) {
        // In this order, a probe that begins now is either stopped, or finds the pool closed.
        self.inner().close();
        self.shared().background.stop();
    }

    /// Whether the pool was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.inner().is_closed()
    }

    /// The numbers of objects and of callers that wait for one.
    #[must_use]
    pub fn status(&self) -> Status {
        self.inner().status()
    }

    /// The manager, which creates and recycles the objects.
    #[must_use]
    pub fn manager(&self) -> &M {
        self.inner().manager()
    }

    /// A weak reference, which does not keep the pool alive.
    #[must_use]
    pub fn weak(&self) -> WeakPool<M, W> {
        WeakPool {
            shared: Arc::downgrade(self.shared()),
            _wrapper: PhantomData,
        }
    }

    /// The inner deadpool pool. Calls on it are neither guarded nor recorded.
    #[must_use]
    pub fn inner(&self) -> &managed::Pool<M> {
        &self.guarded.adapter().raw
    }

    /// The gate of this pool, with its breaker.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        self.guarded.gate()
    }

    /// The changes of the breaker from now on, as from [`Gate::events`].
    #[must_use]
    pub fn events(&self) -> Events {
        self.gate().events()
    }

    /// Checks the settings of this pool, and asks its server over one connection beside the pool, whether
    /// the breaker is open or not. The warnings are only returned, and not [reported](crate::lint).
    ///
    /// # Errors
    ///
    /// That of [`get`](Self::get): no object could be created, or a ping on it failed.
    pub async fn lint(&self, load: &Load) -> Result<Vec<Warning>, PoolError<M::Error>> {
        let warnings = self.guarded.lint(load).await;
        warnings.map_err(PoolError::from_gate)
    }

    /// The current state and counters of the pool, its breaker and its cache.
    ///
    /// ```
    /// # fn run(pool: &fusepool::deadpool::postgres::Pool) {
    /// let now = pool.snapshot();
    /// println!("{} callers wait; {}", now.gate.waiting, now.gate.breaker.state.as_str());
    /// # }
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> PoolSnapshot {
        self.guarded.snapshot()
    }

    /// The cache of this pool, which keeps the answers of its cached reads. Use it to invalidate
    /// answers, and to see how the cache is used.
    #[cfg(feature = "cache")]
    #[must_use]
    pub fn cache(&self) -> Cache<'_> {
        self.guarded.cache()
    }
}

/// Leases an object. Takes the shared state of a pool, for callers without a handle of it.
pub(super) async fn lease<M: Manager + 'static, W: From<Object<M>>>(
    shared: &Arc<Shared<Managed<M>>>,
    timeouts: &Timeouts,
) -> Result<W, GateError<managed::PoolError<M::Error>>> {
    let mut lease = Lease::empty(Arc::clone(shared));
    fill(shared, timeouts, &mut lease).await?;
    Ok(Object { lease }.into())
}

/// Leases an object into an empty lease, because moving it from call to call would be dear.
async fn fill<M: Manager + 'static>(
    shared: &Shared<Managed<M>>,
    timeouts: &Timeouts,
    lease: &mut Lease<Managed<M>>,
) -> Result<(), GateError<managed::PoolError<M::Error>>> {
    let managed = &*shared.adapter;
    // deadpool has no timeouts by default: https://github.com/deadpool-rs/deadpool/issues/9.
    let acquire_timeout = shared.gate.acquire_timeout();
    let wait = timeouts.wait.unwrap_or_default();
    let limit = acquire_timeout.saturating_add(wait).min(LONGEST);
    let timeouts = &Timeouts {
        // Otherwise a caller with a long `wait` timeout would wait as long for a silent backend.
        create: timeouts
            .create
            .or((!wait.is_zero()).then_some(acquire_timeout)),
        ..*timeouts
    };
    let classify = |error: &_| match managed.classify(error) {
        // For a caller that does not wait, a full pool is no sign of starvation.
        Class::Starved if timeouts.wait == Some(Duration::ZERO) => Class::Ignored,
        class => class,
    };
    let acquire = pin!(managed.raw.timeout_get(timeouts));
    let open = || {
        let (raw, timeouts) = (managed.raw.clone(), *timeouts);
        async move { raw.timeout_get(&timeouts).await }
    };
    (shared.fill(lease, limit, classify, acquire, open)).await
}

#[cfg(feature = "live")]
impl<M: Manager + 'static, W: From<Object<M>>> Watch for Pool<M, W> {}

#[cfg(feature = "live")]
impl<M: Manager + 'static, W: From<Object<M>>> Sealed for Pool<M, W> {
    fn watched(&self) -> Watched {
        self.guarded.watched()
    }
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

/// A weak reference to a [`Pool`], which does not keep it alive.
pub struct WeakPool<M: Manager + 'static, W: From<Object<M>> = Object<M>> {
    shared: Weak<Shared<Managed<M>>>,
    _wrapper: PhantomData<fn() -> W>,
}

impl<M: Manager + 'static, W: From<Object<M>>> WeakPool<M, W> {
    /// The pool, if it still exists. Its leased objects keep it alive, too.
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
