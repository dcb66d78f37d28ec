//! Any pool, guarded through an [`Adapter`].

use std::fmt;
use std::pin::pin;
use std::sync::Arc;

use crate::breaker::config::ConfigError;
use crate::gate::Gate;
use crate::gate::snapshot::GateSnapshot;
use crate::outcome::error::GateError;
use crate::pool::adapter::Adapter;
use crate::pool::lease::Lease;
use crate::pool::settings::{Settings, setters};
use crate::pool::shared::Shared;

/// A pool behind a circuit breaker: any pool, through an [`Adapter`]. Clones share one pool.
///
/// What [`fusepool::deadpool`](crate::deadpool) is made of, and what `examples/bb8` uses.
pub struct Guarded<A: Adapter> {
    pub(crate) shared: Arc<Shared<A>>,
}

impl<A: Adapter> Guarded<A> {
    /// Starts to configure a guard for a pool.
    pub fn builder(adapter: A) -> GuardedBuilder<A> {
        GuardedBuilder {
            adapter,
            settings: Settings::default(),
        }
    }

    /// Leases a connection.
    ///
    /// # Errors
    ///
    /// [`GateError::Rejected`]: refused at once. [`GateError::Deadline`]: there was none in time.
    /// [`GateError::Failed`]: the pool's own.
    pub async fn lease(&self) -> Result<Lease<A>, GateError<A::Error>> {
        let limit = self.shared.gate.limits().acquire_timeout;
        let adapter = self.adapter();
        let classify = |error: &A::Error| adapter.classify(error);
        let acquire = pin!(adapter.lease());
        let mut lease = Lease::empty(Arc::clone(&self.shared));
        (self.shared)
            .fill(&mut lease, limit, classify, acquire)
            .await?;
        Ok(lease)
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

    /// All there is to know about the guard at this moment.
    #[must_use]
    pub fn snapshot(&self) -> GateSnapshot {
        self.shared.gate.snapshot()
    }
}

impl<A: Adapter> Clone for Guarded<A> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
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
        let shared = Shared::start(self.adapter, gate, self.settings.active_probing);
        Ok(Guarded { shared })
    }
}
