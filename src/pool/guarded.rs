//! The guarded pool, for any pool with an [`Adapter`].

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};

use crate::breaker::config::ConfigError;
#[cfg(feature = "cache")]
use crate::cache::handle::Cache;
use crate::gate::Gate;
use crate::gate::reporter::Hooks;
use crate::lint::{Load, Warning};
use crate::outcome::error::GateError;
use crate::pool::adapter::Adapter;
use crate::pool::lease::Lease;
use crate::pool::lost::search;
use crate::pool::opening::open;
use crate::pool::prober::{self, recover};
use crate::pool::settings::{Settings, setters};
use crate::pool::shared::Shared;
use crate::pool::snapshot::PoolSnapshot;
use crate::pool::stall::ask;
use crate::pool::target::Target;
use crate::pool::tasks::Users;
use crate::telemetry::changes::Events;

/// A connection pool behind a circuit breaker, for any pool with an [`Adapter`]. Clones share one
/// pool.
///
/// The pools of [`fusepool::sqlx`](crate::sqlx) and [`fusepool::deadpool`](crate::deadpool) are
/// built on it. [This example](https://github.com/fusepool/fusepool/tree/main/examples/bb8)
/// uses it directly.
///
/// ```
/// use fusepool::{Adapter, Breaker, ConfigError, Guarded};
/// use std::time::Duration;
///
/// fn guard<A: Adapter>(adapter: A) -> Result<Guarded<A>, ConfigError> {
///     Guarded::builder(adapter)
///         .breaker(Breaker::builder().name("orders").failure_rate(0.3))
///         .acquire_timeout(Duration::from_secs(1))
///         .build()
/// }
/// ```
pub struct Guarded<A: Adapter> {
    pub(crate) shared: Arc<Shared<A>>,
    /// Held by handles only. Background tasks may hold `shared`.
    _users: Arc<Users>,
}

impl<A: Adapter> Guarded<A> {
    /// Returns a builder for the guarded pool of this adapter.
    pub fn builder(adapter: A) -> GuardedBuilder<A> {
        GuardedBuilder {
            adapter,
            settings: Settings::default(),
        }
    }

    pub(crate) fn new(adapter: A, gate: Gate, settings: &Settings) -> Self {
        let shared = Shared::new(adapter, Arc::new(gate), settings);
        let mut hooks = Hooks::default();
        if settings.active_probing {
            let (opened, stalling) = (Arc::downgrade(&shared), Arc::downgrade(&shared));
            hooks.opened = Some(Box::new(move || {
                in_background(&opened, |gate, target| Box::pin(recover(gate, target)));
            }));
            hooks.stalling = Some(Box::new(move || {
                in_background(&stalling, |gate, target| Box::pin(ask(gate, target)));
            }));
            let overdue = Arc::downgrade(&shared);
            hooks.overdue = Some(Box::new(move || {
                let shared = overdue.upgrade();
                Box::pin(async move {
                    match shared.filter(|shared| !shared.adapter.is_closed()) {
                        Some(shared) => {
                            let target = Arc::new(Target::of(&shared));
                            prober::ask(Arc::clone(&shared.gate), target).await
                        }
                        None => false,
                    }
                })
            }));
        }
        if settings.side_connections {
            let starved = Arc::downgrade(&shared);
            hooks.starved = Some(Box::new(move || search(&starved)));
        }
        shared.gate.set_hooks(hooks);
        Self::of(shared)
    }

    #[cfg(feature = "live")]
    pub(crate) fn downgrade(&self) -> Weak<Shared<A>> {
        Arc::downgrade(&self.shared)
    }

    /// Another handle of an existing pool.
    pub(crate) fn of(shared: Arc<Shared<A>>) -> Self {
        Self {
            _users: shared.background.users(),
            shared,
        }
    }

    /// Leases a connection, and waits for at most `acquire_timeout`.
    ///
    /// ```
    /// use fusepool::{Adapter, Guarded};
    ///
    /// # trait Client { type Error; async fn insert(&mut self, day: u32) -> Result<u64, Self::Error>; }
    /// async fn insert<A>(pool: &Guarded<A>, day: u32) -> Option<u64>
    /// where
    ///     A: Adapter<Connection: Client<Error = A::StatementError>>,
    /// {
    ///     let mut lease = pool.lease().await.ok()?;
    ///     lease.guard(async |client| client.insert(day).await).await.ok()
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// - [`GateError::Refused`]: the call was refused. Nothing was sent.
    /// - [`GateError::Deadline`]: no connection was obtained within `acquire_timeout`.
    /// - [`GateError::Failed`]: the pool's own error.
    pub async fn lease(&self) -> Result<Lease<A>, GateError<A::Error>> {
        lease(&self.shared).await
    }

    /// Leases a connection that `acquire` provides without waiting. `None` if it provides none, if
    /// the breaker rejects the call, or if the call would be a probe.
    #[cfg(any(feature = "sqlx", feature = "diesel"))]
    pub(crate) fn lease_at_hand(
        &self,
        acquire: impl FnOnce(&A) -> Option<A::Lease>,
    ) -> Option<Lease<A>> {
        self.shared.remember_runtime();
        if let Some(permit) = self.shared.gate.admit().ok()? {
            let is_probe = permit.is_probe();
            permit.withdraw();
            if is_probe {
                return None; // a ping would have to wait, so the slot is left to another caller
            }
        }
        let raw = acquire(self.adapter())?;
        self.shared.gate.acquired();
        let mut lease = Lease::empty(Arc::clone(&self.shared));
        lease.put(raw);
        if let Some(now) = self.shared.gate.timer() {
            lease.obtained(now);
        }
        Some(lease)
    }

    /// The adapter, which holds the pool. Calls on the pool itself are not guarded.
    #[must_use]
    pub fn adapter(&self) -> &A {
        &self.shared.adapter
    }

    /// The gate of this pool. [`Gate::breaker`] is its breaker.
    ///
    /// ```
    /// use fusepool::{Adapter, Guarded};
    ///
    /// fn is_ready<A: Adapter>(pool: &Guarded<A>) -> bool {
    ///     pool.gate().breaker().rejection().is_none()
    /// }
    /// ```
    #[must_use]
    pub fn gate(&self) -> &Gate {
        &self.shared.gate
    }

    /// The cache of this pool, for snapshots and invalidation.
    #[cfg(feature = "cache")]
    #[must_use]
    pub fn cache(&self) -> Cache<'_> {
        Cache::new(&self.shared.gate, self.shared.answers())
    }

    /// The changes of the breaker from now on, as from [`Gate::events`].
    ///
    /// ```
    /// use fusepool::{Adapter, Guarded};
    ///
    /// async fn watch<A: Adapter>(pool: Guarded<A>) {
    ///     let mut events = pool.events();
    ///     while let Some(change) = events.next().await {
    ///         println!("{change:?}");
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn events(&self) -> Events {
        self.gate().events()
    }

    /// Checks the settings of this pool, and asks its server over one connection beside the pool, whether
    /// the breaker is open or not. The warnings are only returned, and not [reported](crate::lint).
    ///
    /// ```
    /// use fusepool::lint::Load;
    /// use fusepool::{Adapter, Guarded};
    ///
    /// async fn check<A: Adapter>(pool: &Guarded<A>) {
    ///     for warning in pool.lint(&Load::default().replicas(4)).await.unwrap_or_default() {
    ///         println!("{warning}");
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// - [`GateError::Deadline`]: no connection could be opened within `acquire_timeout`.
    /// - [`GateError::Failed`]: the pool's own error, of the connection or of a ping.
    pub async fn lint(&self, load: &Load) -> Result<Vec<Warning>, GateError<A::Error>> {
        self.shared.lint(load).await
    }

    /// The state and the counters of the pool, its gate and its cache at this moment.
    #[must_use]
    pub fn snapshot(&self) -> PoolSnapshot {
        self.shared.snapshot()
    }
}

#[cfg(feature = "deadpool")]
impl<A: Adapter> Lease<A> {
    /// The pool of this lease.
    pub(crate) fn pool(&self) -> Guarded<A> {
        Guarded::of(Arc::clone(&self.shared))
    }
}

impl<A: Adapter> Clone for Guarded<A> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            _users: Arc::clone(&self._users),
        }
    }
}

/// Leases a connection, as [`Guarded::lease`] does, but without a handle that would keep the pool
/// open.
pub(crate) async fn lease<A: Adapter>(
    shared: &Arc<Shared<A>>,
) -> Result<Lease<A>, GateError<A::Error>> {
    let adapter = &*shared.adapter;
    let limit = shared.gate.acquire_timeout();
    let classify = |error: &A::Error| adapter.classify(error);
    let acquire = pin!(adapter.lease());
    let open = || open(Arc::clone(&shared.adapter));
    let mut lease = Lease::empty(Arc::clone(shared));
    shared
        .fill(&mut lease, limit, classify, acquire, open)
        .await?;
    Ok(lease)
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

fn in_background<A: Adapter>(
    shared: &Weak<Shared<A>>,
    task: impl FnOnce(Arc<Gate>, Target<A>) -> Task,
) {
    if let Some(shared) = shared.upgrade()
        && !shared.adapter.is_closed()
    {
        let task = task(Arc::clone(&shared.gate), Target::of(&shared));
        shared.background.spawn(task);
        // If the pool was closed in the meantime, nobody else stops the task.
        if shared.adapter.is_closed() {
            shared.background.stop();
        }
    }
}

impl<A: Adapter> fmt::Debug for Guarded<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded")
            .field("gate", self.gate())
            .finish_non_exhaustive()
    }
}

/// Configures a [`Guarded`] pool.
///
/// ```
/// use fusepool::breaker::Mode;
/// use fusepool::{Adapter, Breaker, ConfigError, Guarded};
/// use std::time::Duration;
///
/// fn observed<A: Adapter>(adapter: A) -> Result<Guarded<A>, ConfigError> {
///     Guarded::builder(adapter)
///         .breaker(Breaker::builder().mode(Mode::Observe)) // refuses nothing
///         .query_timeout(Duration::from_secs(5))
///         .max_queue(500)
///         .build()
/// }
/// ```
#[derive(Debug)]
#[must_use = "a builder does nothing until it builds"]
pub struct GuardedBuilder<A> {
    adapter: A,
    settings: Settings,
}

impl<A: Adapter> GuardedBuilder<A> {
    setters!();

    /// Builds the guard.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] for the first field with an invalid value.
    pub fn build(self) -> Result<Guarded<A>, ConfigError> {
        let gate = self.settings.gate(&self.adapter)?;
        Ok(Guarded::new(self.adapter, gate, &self.settings))
    }
}
