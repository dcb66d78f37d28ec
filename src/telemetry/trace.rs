//! The sink that emits `tracing` events.

use std::time::Duration;

use tracing::{debug, info, trace, warn};

use super::event::{Event, NotKept};
use super::sink::Sink;
use crate::breaker::event as breaker;
use crate::breaker::state::{Mode, State, Transition};
use crate::breaker::verdict::Verdict;
use crate::lint::Warning;
use crate::outcome::error::Awaited;

const BREAKER: &str = "fusepool::breaker";
const GATE: &str = "fusepool::gate";
const CACHE: &str = "fusepool::cache";
const LINT: &str = "fusepool::lint";

/// The default sink, which emits `tracing` events as the [module documentation](super) says.
#[derive(Clone, Copy, Debug, Default)]
pub struct TracingSink {
    with_calls: bool,
}

impl TracingSink {
    /// Emits the events of each call, too, at the level TRACE. Every call is then timed, even if no
    /// subscriber listens.
    ///
    /// ```
    /// use fusepool::telemetry::TracingSink;
    /// use fusepool::{Breaker, Gate};
    ///
    /// let gate = Gate::builder(Breaker::builder())
    ///     .tracing(false) // replaced by the next line
    ///     .sink(TracingSink::default().with_calls())
    ///     .build()?;
    /// # Ok::<(), fusepool::ConfigError>(())
    /// ```
    #[must_use]
    pub fn with_calls(mut self) -> Self {
        self.with_calls = true;
        self
    }
}

impl Sink for TracingSink {
    fn wants_calls(&self) -> bool {
        self.with_calls
    }

    fn event(&self, pool: &str, event: &Event<'_>) {
        match *event {
            Event::Breaker(event) => self::breaker(pool, event),
            Event::Rejected(rejected) => {
                let retry_after = rejected.retry_after().map(seconds);
                debug!(target: GATE, pool, reason = rejected.reason(), retry_after, "rejected");
            }
            Event::Rejections { calls } => info!(target: GATE, pool, calls, "rejections"),
            Event::Deadline { limit, awaited } => {
                let (limit, waits) = (seconds(limit), awaited == Awaited::Connection);
                let awaited = awaited.as_str();
                // A statement that was ended early is news. Callers that wait may be thousands.
                match waits {
                    true => debug!(target: GATE, pool, limit, awaited, "deadline"),
                    false => info!(target: GATE, pool, limit, awaited, "deadline"),
                }
            }
            Event::Probe { error: None } => debug!(target: GATE, pool, "probe"),
            Event::Probe { error: Some(error) } => info!(target: GATE, pool, error, "probe"),
            Event::ClosedConnection { reason } => {
                debug!(target: GATE, pool, reason, "closed_connection");
            }
            Event::Fallback { policy, source } => {
                let (age, reason) = (source.age().map(seconds), source.reason());
                let source = source.as_str();
                debug!(target: CACHE, pool, policy, source, age, reason, "fallback");
            }
            Event::Load {
                policy,
                took,
                bytes,
            } => debug!(target: CACHE, pool, policy, took = took.as_secs_f64(), bytes, "load"),
            Event::NotKept { policy, reason } => {
                let reason = match reason {
                    NotKept::TooLarge => "too_large",
                    NotKept::Outdated => "outdated",
                };
                debug!(target: CACHE, pool, policy, reason, "not_kept");
            }
            Event::Invalidated => debug!(target: CACHE, pool, "invalidated"),
            Event::Limits {
                acquire_timeout,
                query_timeout,
                max_queue,
            } => {
                let (acquire_timeout, query_timeout) =
                    (seconds(acquire_timeout), seconds(query_timeout));
                info!(target: GATE, pool, acquire_timeout, query_timeout, max_queue, "limits");
            }
            Event::Lint(warning) => self::warning(pool, warning),
            Event::Acquired { waited } => {
                trace!(target: GATE, pool, waited = seconds(waited), "acquired");
            }
            Event::AcquireFailed { waited, verdict } => {
                let (waited, verdict) = (seconds(waited), verdict.as_str());
                trace!(target: GATE, pool, waited, verdict, "acquire_failed");
            }
            Event::Ended {
                took,
                verdict,
                code,
                error,
            } => {
                let (took, verdict) = (seconds(took), verdict.map(Verdict::as_str));
                trace!(target: GATE, pool, took, verdict, code, error, "ended");
            }
            Event::Released { used } => {
                trace!(target: GATE, pool, used = seconds(used), "released");
            }
            Event::Connected { took } => {
                trace!(target: GATE, pool, took = seconds(took), "connected");
            }
            Event::Sampled(_) | Event::System { .. } => {} // they are for metrics
        }
    }
}

fn breaker(pool: &str, event: &breaker::Event<'_>) {
    match *event {
        breaker::Event::Transition(transition) => self::transition(pool, transition),
        breaker::Event::Mode { mode, forced_open } => self::mode(pool, mode, forced_open),
        breaker::Event::Reconfigured => info!(target: BREAKER, pool, "reconfigured"),
        breaker::Event::Ramp { places } => debug!(target: BREAKER, pool, places, "ramp"),
        breaker::Event::Stalling => debug!(target: BREAKER, pool, "stalling"),
        breaker::Event::Adapted {
            slow_call_threshold,
        } => {
            let slow_call_threshold = slow_call_threshold.map(seconds);
            debug!(target: BREAKER, pool, slow_call_threshold, "adapted");
        }
        breaker::Event::Slow { calls } => debug!(target: BREAKER, pool, calls, "slow"),
        breaker::Event::Abandoned { held } => {
            debug!(target: BREAKER, pool, held = seconds(held), "abandoned");
        }
        breaker::Event::Discarded { verdict } => {
            debug!(target: BREAKER, pool, verdict = verdict.as_str(), "discarded");
        }
    }
}

fn transition(pool: &str, transition: &Transition) {
    let Transition {
        from,
        to,
        reason,
        calls,
        failure_rate,
        slow_call_rate,
        attempt,
        ..
    } = *transition;
    let (from, to, reason) = (from.as_str(), to.as_str(), reason.as_str());
    let retry_after = transition.retry_after.map(seconds);
    // `tracing` requires a constant level at each call site.
    if transition.to == State::Open {
        warn!(
            target: BREAKER,
            pool, from, to, reason, failure_rate, slow_call_rate, calls, attempt, retry_after,
            "transition"
        );
    } else {
        info!(
            target: BREAKER,
            pool, from, to, reason, failure_rate, slow_call_rate, calls, attempt, retry_after,
            "transition"
        );
    }
}

fn warning(pool: &str, warning: &Warning) {
    let Warning {
        code,
        what,
        why,
        numbers,
        set,
    } = warning;
    let (code, numbers, set) = (code.as_str(), &**numbers, &**set);
    warn!(target: LINT, pool, code, what, why, numbers, set, "lint");
}

fn mode(pool: &str, mode: Mode, forced_open: bool) {
    let mode = mode.as_str();
    if forced_open {
        warn!(target: BREAKER, pool, mode, forced_open, "mode");
    } else {
        info!(target: BREAKER, pool, mode, forced_open, "mode");
    }
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}
