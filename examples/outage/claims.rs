//! The conditions under which the example succeeds.

use std::time::Duration;

use fusepool::cache::CacheSnapshot;

use crate::arguments::Arguments;
use crate::figures::Figures;
use crate::menu::WORKING_SET;
use crate::{Pools, seconds};

/// sqlx's default `acquire_timeout`, after which its callers fail.
const PATIENCE: Duration = Duration::from_secs(30);
/// The time until the breaker opens, with a tolerance. Until then, callers wait.
const OPENS_WITHIN: Duration = Duration::from_millis(1_500);
/// The fraction of the cached reads started in the stall that must be served.
const SERVED: f64 = 0.999;
const FAIL_FAST: Duration = Duration::from_millis(1);
const MOST_NEW_CONNECTIONS: u64 = 50;
/// The time to ramp up, after the open duration.
const RAMP: Duration = Duration::from_millis(500);

/// The claims, and whether each holds.
pub(crate) struct Claims(Vec<(bool, String)>);

impl Claims {
    pub(crate) fn of(arguments: &Arguments, pools: &Pools) -> Self {
        let (naked, guarded) = (&pools.naked, &pools.guarded);
        let mut claims = Self(Vec::new());
        let piled_up = arguments.stalled.min(PATIENCE).as_secs_f64() * f64::from(arguments.rate);
        claims.add(
            naked.most_in_flight as f64 >= 0.9 * piled_up,
            format!(
                "tasks pile up on the unguarded pool in the stall: {} in flight, of {piled_up} started",
                naked.most_in_flight
            ),
        );
        let until_open = OPENS_WITHIN.as_secs_f64() * f64::from(arguments.rate);
        claims.add(
            guarded.most_in_flight as f64 <= until_open,
            format!(
                "on the guarded pool they do not: {} in flight, at most {until_open}",
                guarded.most_in_flight
            ),
        );
        claims.add(
            guarded.new_connections <= MOST_NEW_CONNECTIONS,
            format!(
                "it opens few connections in the stall: {}, at most {MOST_NEW_CONNECTIONS}",
                guarded.new_connections
            ),
        );
        claims.of_cached_reads(&pools.cached, &pools.cache);
        let Some(breaker) = &guarded.breaker else {
            claims.add(false, "the breaker opens".to_owned());
            return claims;
        };
        claims.add(
            breaker.while_open.calls > 0 && breaker.while_open.p99 <= FAIL_FAST,
            format!(
                "while open, calls fail fast: p99 of {} calls {:.1?}, at most {FAIL_FAST:?}",
                breaker.while_open.calls, breaker.while_open.p99
            ),
        );
        let bound = breaker.delay + RAMP;
        claims.add(
            guarded.recovered.is_some_and(|time| time <= bound),
            format!(
                "it recovers by itself within the open duration and {RAMP:?}: {}, at most {}",
                guarded.recovered.map_or("never".to_owned(), seconds),
                seconds(bound)
            ),
        );
        claims
    }

    fn of_cached_reads(&mut self, cached: &Figures, cache: &CacheSnapshot) {
        let served = cached.served_in_stall();
        self.add(
            served >= SERVED,
            format!(
                "cached reads are served in the stall: {:.3} % of {}, at least {} %",
                100.0 * served,
                cached.latency[1].calls,
                100.0 * SERVED
            ),
        );
        let p99 = cached.latency[1].p99;
        self.add(
            p99 <= FAIL_FAST,
            format!("and at once: p99 {p99:.1?}, at most {FAIL_FAST:?}"),
        );
        self.add(
            cache.bytes <= cache.max_bytes && cache.entries >= WORKING_SET as usize,
            format!(
                "the working set is kept within the memory limit: {} answers in {} bytes of {}",
                cache.entries, cache.bytes, cache.max_bytes
            ),
        );
    }

    /// Prints the claims. True if all hold.
    pub(crate) fn print(&self) -> bool {
        for (holds, claim) in &self.0 {
            println!("{} {claim}", if *holds { "holds: " } else { "FAILED:" });
        }
        self.0.iter().all(|(holds, _)| *holds)
    }

    fn add(&mut self, holds: bool, claim: String) {
        self.0.push((holds, claim));
    }
}
