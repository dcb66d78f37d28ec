//! Samples the state of a pool for the sinks that want it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::adapter::Adapter;
use super::shared::Shared;
use super::snapshot::PoolStatus;
#[cfg(feature = "cache")]
use crate::telemetry::event::CacheSample;
use crate::telemetry::event::Sample;

/// The time between two samples.
const INTERVAL: Duration = Duration::from_secs(1);

impl<A: Adapter> Shared<A> {
    /// Starts a task that samples the pool until its last handle is dropped, if a sink wants that. To
    /// be called inside a runtime, and again if that has ended.
    pub(super) fn start_sampling(self: &Arc<Self>) {
        if !self.gate.wants_samples() {
            return;
        }
        let shared = Arc::downgrade(self);
        let task = Sampling(Weak::clone(&shared));
        self.background.spawn(async move {
            let _task = task;
            let mut next = interval(INTERVAL);
            next.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                next.tick().await;
                let Some(shared) = shared.upgrade() else {
                    return;
                };
                shared.gate.tell_of_sample(&shared.sample());
            }
        });
    }

    fn sample(&self) -> Sample {
        let PoolStatus {
            size,
            idle,
            max_connections,
        } = self.adapter.status();
        let breaker = self.gate.breaker();
        Sample {
            state: breaker.state(),
            max_connections,
            idle,
            used: size.saturating_sub(idle),
            pending: self.gate.waiting(),
            #[cfg(feature = "cache")]
            cache: Some(self.cache_sample()),
            #[cfg(not(feature = "cache"))]
            cache: None,
        }
    }

    #[cfg(feature = "cache")]
    fn cache_sample(&self) -> CacheSample {
        let cache = self.cache_snapshot();
        let totals = cache.totals;
        CacheSample {
            hits: totals.hits,
            misses: totals.misses,
            stale: totals.revalidating + totals.stale,
            evictions: totals.evictions,
            bytes: cache.bytes,
        }
    }
}

/// The task that samples. Its drop tells that it has ended, for instance with its runtime.
struct Sampling<A: Adapter>(Weak<Shared<A>>);

impl<A: Adapter> Drop for Sampling<A> {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            shared.sampling_ended.store(true, Ordering::Release);
        }
    }
}
