//! The pools and gates that can be shown.

use std::fmt;
use std::sync::Arc;

use self::sealed::Sealed;
use crate::breaker::builder::Builder;
#[cfg(feature = "cache")]
use crate::cache::snapshot::CacheSnapshot;
use crate::gate::Gate;
use crate::gate::snapshot::GateSnapshot;
use crate::pool::adapter::Adapter;
use crate::pool::guarded::Guarded;
use crate::pool::snapshot::{PoolSnapshot, PoolStatus};
use crate::telemetry::recent::Recent;

/// A pool of this crate, or an `Arc<`[`Gate`]`>`.
pub trait Watch: Sealed {}

pub(crate) mod sealed {
    /// What only this crate implements.
    pub trait Sealed {
        /// The source of what is shown.
        fn watched(&self) -> super::Watched;
    }
}

/// A pool or a gate that is shown. It keeps none of them alive.
#[derive(Clone)]
pub struct Watched {
    pub(super) recent: Arc<Recent>,
    see: Arc<dyn Fn() -> Option<Seen> + Send + Sync>,
}

/// A pool or a gate at one moment.
pub(super) struct Seen {
    pub(super) gate: GateSnapshot,
    pub(super) rules: Builder,
    /// `None` for a gate without a pool.
    pub(super) connections: Option<PoolStatus>,
    #[cfg(feature = "cache")]
    pub(super) cache: Option<CacheSnapshot>,
}

impl Watched {
    /// The current state. `None` if the pool or the gate has ended.
    pub(super) fn see(&self) -> Option<Seen> {
        (self.see)()
    }
}

impl Watch for Arc<Gate> {}

impl Sealed for Arc<Gate> {
    fn watched(&self) -> Watched {
        let gate = Arc::downgrade(self);
        Watched {
            recent: self.recent(),
            see: Arc::new(move || {
                let gate = gate.upgrade()?;
                Some(Seen {
                    gate: gate.snapshot(),
                    rules: gate.breaker().to_builder(),
                    connections: None,
                    #[cfg(feature = "cache")]
                    cache: None,
                })
            }),
        }
    }
}

impl<A: Adapter> Watch for Guarded<A> {}

impl<A: Adapter> Sealed for Guarded<A> {
    fn watched(&self) -> Watched {
        let shared = self.downgrade();
        Watched {
            recent: self.gate().recent(),
            see: Arc::new(move || {
                let shared = shared.upgrade()?;
                let pool: PoolSnapshot = shared.snapshot();
                Some(Seen {
                    gate: pool.gate,
                    rules: shared.gate.breaker().to_builder(),
                    connections: Some(PoolStatus {
                        size: pool.size,
                        idle: pool.idle,
                        max_connections: pool.max_connections,
                    }),
                    #[cfg(feature = "cache")]
                    cache: Some(pool.cache),
                })
            }),
        }
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").finish_non_exhaustive()
    }
}
