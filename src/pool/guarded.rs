//! Any pool, guarded through an [`Adapter`].

use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Weak};

use crate::breaker::config::ConfigError;
use crate::gate::Gate;
use crate::outcome::error::GateError;
use crate::pool::adapter::Adapter;
use crate::pool::lease::Lease;
use crate::pool::prober::recover;
use crate::pool::settings::{Settings, setters};
use crate::pool::shared::Shared;
use crate::pool::snapshot::{PoolSnapshot, PoolStatus};
use crate::pool::target::Target;
use crate::pool::tasks::Users;

/// A pool behind a circuit breaker: any pool, through an [`Adapter`]. Clones share one pool.
///
/// What the pools of [`fusepool::sqlx`](crate::sqlx) and [`fusepool::deadpool`](crate::deadpool) are
/// made of, and what `examples/bb8` uses.
pub struct Guarded<A: Adapter> {
    shared: Arc<Shared<A>>,
    /// What runs in the background may hold `shared`, but not this.
    _users: Arc<Users>,
}

impl<A: Adapter> Guarded<A> {
    /// Starts to configure a guard for a pool.
    pub fn builder(adapter: A) -> GuardedBuilder<A> {
        GuardedBuilder {
            adapter,
            settings: Settings::default(),
        }
    }

    pub(crate) fn new(adapter: A, gate: Gate, settings: &Settings) -> Self {
        let shared = Shared::new(adapter, Arc::new(gate), settings);
        if settings.active_probing {
            let weak = Arc::downgrade(&shared);
            (shared.gate).on_open(Box::new(move || probe_in_background(&weak)));
        }
        Self::of(shared)
    }

    /// A handle of a pool that exists.
    pub(crate) fn of(shared: Arc<Shared<A>>) -> Self {
        Self {
            _users: shared.background.users(),
            shared,
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared<A>> {
        &self.shared
    }

    /// Leases a connection.
    ///
    /// # Errors
    ///
    /// [`GateError::Refused`]: refused at once. [`GateError::Deadline`]: there was none in time.
    /// [`GateError::Failed`]: the pool's own.
    pub async fn lease(&self) -> Result<Lease<A>, GateError<A::Error>> {
        lease(&self.shared).await
    }

    /// The adapter, with the pool inside.
    #[must_use]
    pub fn adapter(&self) -> &A {
        &self.shared.adapter
    }

    /// The gate of this pool, with its breaker.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        &self.shared.gate
    }

    /// All there is to know about the pool at this moment.
    #[must_use]
    pub fn snapshot(&self) -> PoolSnapshot {
        let PoolStatus {
            size,
            idle,
            max_connections,
        } = self.adapter().status();
        PoolSnapshot {
            gate: self.gate().snapshot(),
            #[cfg(feature = "cache")]
            cache: self.shared.cache_snapshot(),
            size,
            idle,
            max_connections,
        }
    }
}

impl<A: Adapter> Lease<A> {
    /// The pool it came from.
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

/// Leases a connection, with a shared reference to the pool's parts instead of a handle of it.
pub(crate) async fn lease<A: Adapter>(
    shared: &Arc<Shared<A>>,
) -> Result<Lease<A>, GateError<A::Error>> {
    let adapter = &*shared.adapter;
    let limit = shared.gate.limits().acquire_timeout;
    let classify = |error: &A::Error| adapter.classify(error);
    let acquire = pin!(adapter.lease());
    let mut lease = Lease::empty(Arc::clone(shared));
    shared
        .fill_ready(&mut lease, limit, classify, acquire)
        .await?;
    Ok(lease)
}

fn probe_in_background<A: Adapter>(shared: &Weak<Shared<A>>) {
    if let Some(shared) = shared.upgrade()
        && !shared.adapter.is_closed()
    {
        let recovery = recover(Arc::clone(&shared.gate), Target::of(&shared));
        shared.background.spawn(recovery);
        // Or else it may have been closed too early to stop this.
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
    /// A [`ConfigError`] for the first field whose value breaks a rule.
    pub fn build(self) -> Result<Guarded<A>, ConfigError> {
        let gate = self.settings.gate(&self.adapter)?;
        Ok(Guarded::new(self.adapter, gate, &self.settings))
    }
}
