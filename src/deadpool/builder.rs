//! Configures a guarded pool: deadpool's settings and fusepool's.

use std::fmt;
use std::future::ready;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{self, Hook, HookError, Manager, Metrics, PoolConfig, QueueMode, Timeouts};

use super::adapter::Managed;
use super::dialect::Dialect;
use super::error::BuildError;
use super::object::{Object, Wrapper};
use super::pool::Pool;
use crate::breaker::config::ConfigError;
use crate::breaker::verdict::Classify;
use crate::gate::Gate;
use crate::gate::limits::DEFAULT_ACQUIRE_TIMEOUT;
use crate::pool::created::Created;
use crate::pool::guarded::Guarded;
use crate::pool::homes::Homes;
use crate::pool::session::Sessions;
use crate::pool::settings::{Settings, setters};

/// Configures a [`Pool`]: deadpool's settings under the same names, and fusepool's.
///
/// `S` is the pool to guard: deadpool's builder, or, from [`Pool::guard`], an existing pool.
///
/// ```
/// # use fusepool::deadpool::{BuildError, Manager, Pool};
/// # fn build<M: Manager + 'static>(manager: M) -> Result<Pool<M>, BuildError> {
/// use fusepool::Breaker;
/// use std::time::Duration;
///
/// Pool::builder(manager)
///     .max_size(16)
///     .acquire_timeout(Duration::from_secs(1))
///     .breaker(Breaker::builder().name("store"))
///     .build()
/// # }
/// ```
#[must_use = "a builder does nothing until it builds"]
pub struct PoolBuilder<M, W = Object<M>, S = managed::PoolBuilder<M>>
where
    M: Manager + 'static,
    W: From<Object<M>>,
{
    source: S,
    pub(super) dialect: Arc<dyn Dialect<M>>,
    classify: Option<Arc<dyn Classify<M::Error>>>,
    pub(super) settings: Settings,
    /// The value that the user set: deadpool's builder does not expose it.
    recycle_timeout: Option<Duration>,
    _wrapper: PhantomData<fn() -> W>,
}

impl<M: Manager + 'static, W: Wrapper<M>> Pool<M, W> {
    /// Starts to configure a new pool.
    pub fn builder(manager: M) -> PoolBuilder<M, W> {
        let raw = managed::Pool::builder(manager).runtime(Runtime::Tokio1);
        PoolBuilder::new(raw, W::known().0)
    }

    /// Starts to configure a guard for an existing pool. The pool keeps its own settings.
    ///
    /// ```
    /// # use fusepool::deadpool::{Manager, Pool};
    /// # fn guard<M: Manager + 'static>(existing: deadpool::managed::Pool<M>)
    /// # -> Result<Pool<M>, fusepool::ConfigError> {
    /// use std::time::Duration;
    ///
    /// Pool::guard(existing).acquire_timeout(Duration::from_secs(1)).build()
    /// # }
    /// ```
    pub fn guard(raw: managed::Pool<M>) -> PoolBuilder<M, W, managed::Pool<M>> {
        PoolBuilder::new(raw, W::known().0)
    }
}

impl<M: Manager + 'static, W: Wrapper<M>> From<managed::Pool<M>> for Pool<M, W> {
    /// Guards an existing pool with default settings. Its own timeouts still apply, and its other
    /// handles stay unguarded. Use [`Pool::guard`] to set something.
    fn from(raw: managed::Pool<M>) -> Self {
        Self::guard(raw).build_with_defaults()
    }
}

impl<M: Manager + 'static, W: From<Object<M>>, S> PoolBuilder<M, W, S> {
    pub(super) fn new(source: S, dialect: Arc<dyn Dialect<M>>) -> Self {
        Self {
            source,
            settings: Settings::default(),
            dialect,
            classify: None,
            recycle_timeout: None,
            _wrapper: PhantomData,
        }
    }

    setters!();

    /// Sets the class of each error of the manager. Default: the table of the manager's module; for
    /// a manager that fusepool does not know, every error is a [`Failure`](crate::Class::Failure).
    pub fn classify(mut self, classify: impl Classify<M::Error>) -> Self {
        self.classify = Some(Arc::new(classify));
        self
    }

    /// Replaces the source, and returns the old one.
    fn on<T>(self, source: T) -> (S, PoolBuilder<M, W, T>) {
        let Self {
            source: before,
            dialect,
            classify,
            settings,
            recycle_timeout,
            _wrapper,
        } = self;
        let after = PoolBuilder {
            source,
            dialect,
            classify,
            settings,
            recycle_timeout,
            _wrapper,
        };
        (before, after)
    }
}

impl<M: Manager + 'static, W: From<Object<M>>> PoolBuilder<M, W> {
    /// Sets all of deadpool's own settings at once.
    pub fn config(mut self, value: PoolConfig) -> Self {
        self.recycle_timeout = value.timeouts.recycle;
        self.source = self.source.config(value);
        self
    }

    /// The maximum number of objects. Default: twice the number of CPU cores.
    ///
    /// ```
    /// use fusepool::deadpool::postgres::{Manager, Pool};
    /// use tokio_postgres::NoTls;
    ///
    /// # fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let manager = Manager::new("postgres://localhost/shop".parse()?, NoTls);
    /// let pool = Pool::builder(manager).max_size(16).build()?;
    /// assert_eq!(pool.status().max_size, 16);
    /// # Ok(())
    /// # }
    /// # run().unwrap();
    /// ```
    pub fn max_size(mut self, value: usize) -> Self {
        self.source = self.source.max_size(value);
        self
    }

    /// Sets all of deadpool's timeouts at once. [`Pool::timeout_get`] explains how they combine
    /// with `acquire_timeout`.
    pub fn timeouts(mut self, value: Timeouts) -> Self {
        self.recycle_timeout = value.recycle;
        self.source = self.source.timeouts(value);
        self
    }

    /// How long a caller waits for a slot in the pool. If it is set, `acquire_timeout` bounds the
    /// time after that wait. Default: none; `acquire_timeout` bounds both together.
    pub fn wait_timeout(mut self, value: Option<Duration>) -> Self {
        self.source = self.source.wait_timeout(value);
        self
    }

    /// How long creating an object may take. Default: none; `acquire_timeout` bounds it.
    pub fn create_timeout(mut self, value: Option<Duration>) -> Self {
        self.source = self.source.create_timeout(value);
        self
    }

    /// How long recycling an object may take before it is dropped and replaced. Default: half of
    /// `acquire_timeout` or of the breaker's `probe_timeout`, whichever is shorter, so that the
    /// other half is left to create a new object. None, if recycling is known not to wait.
    /// deadpool has no timeouts by default: <https://github.com/deadpool-rs/deadpool/issues/9>.
    pub fn recycle_timeout(mut self, value: Option<Duration>) -> Self {
        self.recycle_timeout = value;
        self.source = self.source.recycle_timeout(value);
        self
    }

    /// Which idle object is leased next. Default: [`QueueMode::Fifo`], the least recently used one.
    pub fn queue_mode(mut self, value: QueueMode) -> Self {
        self.source = self.source.queue_mode(value);
        self
    }

    /// Adds a hook that runs after an object was created.
    pub fn post_create(mut self, hook: impl Into<Hook<M>>) -> Self {
        self.source = self.source.post_create(hook);
        self
    }

    /// Adds a hook that runs before an object is recycled.
    pub fn pre_recycle(mut self, hook: impl Into<Hook<M>>) -> Self {
        self.source = self.source.pre_recycle(hook);
        self
    }

    /// Adds a hook that runs after an object was recycled.
    pub fn post_recycle(mut self, hook: impl Into<Hook<M>>) -> Self {
        self.source = self.source.post_recycle(hook);
        self
    }

    /// The runtime whose timers deadpool uses. Default: tokio, which fusepool needs in any case.
    pub fn runtime(mut self, value: Runtime) -> Self {
        self.source = self.source.runtime(value);
        self
    }

    /// Builds the pool. It creates no object until it is first used.
    ///
    /// # Errors
    ///
    /// [`BuildError::Config`] for the first setting that breaks a rule.
    pub fn build(self) -> Result<Pool<M, W>, BuildError> {
        let acquire_timeout = (self.settings.acquire_timeout).unwrap_or(DEFAULT_ACQUIRE_TIMEOUT);
        let recycle = acquire_timeout.min(self.settings.breaker.get_probe_timeout()) / 2;
        let (source, guard) = self.on(());
        let test = guard.recycle_timeout.unwrap_or(recycle);
        let source = guard.watch_homes(source, test);
        let source = guard.dialect.prepare(source, test);
        let (source, sessions) = guard.watch_sessions(source);
        let raw = source.build()?;
        // If recycling does not wait, a timer would be the largest part of its cost.
        let waits = guard.dialect.waits_to_recycle(raw.manager());
        let guard = guard.on(raw).1;
        Ok(guard.finish(waits.then_some(recycle), sessions)?)
    }
}

impl<M: Manager + 'static, W: From<Object<M>>> PoolBuilder<M, W, ()> {
    /// Adds hooks that remove objects whose runtimes have ended or stand still, if the objects are
    /// connections to a server. A runtime must show within `limit` that it is driven.
    fn watch_homes(
        &self,
        source: managed::PoolBuilder<M>,
        limit: Duration,
    ) -> managed::PoolBuilder<M> {
        if self.dialect.system().is_none() {
            return source;
        }
        let homes = Arc::<Homes>::default();
        let known = Arc::clone(&homes);
        let created = Hook::sync_fn(move |_: &mut M::Type, metrics: &Metrics| {
            known.add(Created::at(metrics.created));
            Ok(())
        });
        let recycled = Hook::async_fn(move |_: &mut M::Type, metrics: &Metrics| {
            if homes.are_here() {
                // This future captures nothing, so the box does not allocate.
                return Box::pin(ready(Ok(())));
            }
            let (homes, created) = (Arc::clone(&homes), Created::at(metrics.created));
            Box::pin(async move {
                match homes.is_driven(created, limit).await {
                    Some(false) => {
                        Err(HookError::message("its runtime has ended, or stands still"))
                    }
                    _ => Ok(()),
                }
            })
        });
        source.post_create(created).pre_recycle(recycled)
    }

    /// Adds a hook that asks for the server session of each new object, where that is possible.
    fn watch_sessions(
        &self,
        source: managed::PoolBuilder<M>,
    ) -> (managed::PoolBuilder<M>, Option<Arc<Sessions>>) {
        let system = self.dialect.system();
        let Some(system) = system.filter(|_| self.settings.side_connections) else {
            return (source, None);
        };
        let (dialect, sessions) = (Arc::clone(&self.dialect), Arc::new(Sessions::new(system)));
        let known = Arc::clone(&sessions);
        let hook = Hook::async_fn(move |object: &mut M::Type, metrics: &Metrics| {
            let (dialect, known) = (Arc::clone(&dialect), Arc::clone(&known));
            let created = Created::at(metrics.created);
            Box::pin(async move {
                let answer = dialect.question(object, known.question()).await;
                known.add(created, answer.as_deref());
                Ok(())
            })
        });
        (source.post_create(hook), Some(sessions))
    }
}

impl<M: Manager + 'static, W: From<Object<M>>> PoolBuilder<M, W, managed::Pool<M>> {
    /// Guards the existing pool. Its other handles stay unguarded.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] for the first setting that breaks a rule.
    pub fn build(self) -> Result<Pool<M, W>, ConfigError> {
        self.finish(None, None)
    }

    /// Guards the pool with default settings, which are always valid.
    pub(super) fn build_with_defaults(self) -> Pool<M, W> {
        let (settings, managed) = self.managed(None, None);
        let gate = (settings.gate(&managed)).unwrap_or_else(|_| Gate::with_defaults());
        Pool::new(Guarded::new(managed, gate, &settings))
    }

    fn finish(
        self,
        recycle: Option<Duration>,
        sessions: Option<Arc<Sessions>>,
    ) -> Result<Pool<M, W>, ConfigError> {
        let (settings, managed) = self.managed(recycle, sessions);
        let gate = settings.gate(&managed)?;
        Ok(Pool::new(Guarded::new(managed, gate, &settings)))
    }

    fn managed(
        self,
        recycle: Option<Duration>,
        sessions: Option<Arc<Sessions>>,
    ) -> (Settings, Managed<M>) {
        let mut timeouts = self.source.timeouts();
        timeouts.recycle = timeouts.recycle.or(recycle);
        let managed = Managed {
            raw: self.source,
            dialect: self.dialect,
            classify: self.classify,
            timeouts,
            sessions,
        };
        (self.settings, managed)
    }
}

impl<M: Manager + 'static, W: From<Object<M>>, S> fmt::Debug for PoolBuilder<M, W, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolBuilder")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
