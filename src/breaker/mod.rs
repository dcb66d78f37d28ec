//! The circuit breaker. It needs no pool: it can guard any call that a service makes.
//!
//! ```
//! use fusepool::breaker::{Breaker, CallError};
//!
//! let breaker = Breaker::builder().name("geocoder").build()?;
//! let answer = breaker.call(|| "42".parse::<u32>());
//! match answer {
//!     Ok(number) => assert_eq!(number, 42),
//!     Err(CallError::Refused(rejection)) => println!("not called: {rejection}"),
//!     Err(error) => println!("called, and failed: {error}"),
//! }
//! # Ok::<(), fusepool::ConfigError>(())
//! ```
//!
//! Where a closure does not fit, take a [`Permit`] and settle it, or an [`OwnedPermit`], which borrows
//! nothing. For futures, [`Gate`](crate::Gate) adds a deadline and events. [`Breaker::classic`] is a
//! breaker with the two settings of the textbook only.
//!
//! # The rules
//!
//! **Closed.** Every call is counted once: when it ends, or when it has run for the slow-call
//! threshold, whichever comes first. The breaker opens as soon as one rule holds:
//!
//! | rule | for a backend that |
//! |---|---|
//! | `consecutive_failures` failures with no success in between | is down: five refused connections are enough |
//! | failure rate of at least `failure_rate`, from `minimum_calls` on | fails many calls and answers others |
//! | slow-call rate of at least `slow_call_rate`, from `minimum_calls` on | answers, but far too late |
//! | *stalled*: no success for `stall_after`, while at least `consecutive_failures` calls are pending | hangs, and ends no call at all |
//!
//! *Slow* is slower than this service's normal: unless it is set, the
//! [slow-call threshold](Builder::slow_call_threshold) is learned from the calls. Until enough calls
//! have succeeded, none is slow.
//!
//! A *pending* call is one that runs, waits for a connection, or was given up by its caller since
//! the last success. Callers with a short timeout leave before their calls are counted in any other
//! way. At least two calls must be pending, so that a single long statement does not open the breaker.
//! Calls with a deadline of their own do not count. Shortly before a pool's breaker would open as
//! stalled, the pool asks the database itself, and an answer prevents it. A breaker without a gate or
//! a pool sees only the calls that were given up, which are the permits that were dropped.
//!
//! Some successes are no evidence: that a connection was acquired, and that a `BEGIN` or a `ROLLBACK`
//! succeeded. They would hide that every statement fails.
//!
//! **Open.** Calls are rejected, and the rejection says when to retry. The first call at or after the
//! end of the open duration is admitted. The breaker reads the clock when a call arrives, and needs
//! no timer. In a pool, a background task asks the database instead, at `probe_interval`, so that
//! callers are served as soon as it is well, and none of them has to try first.
//!
//! The open duration grows each time that the breaker opens, up to a maximum, and jitter spreads it.
//! It starts over only when the breaker has stayed closed for a window. So a backend that answers
//! pings and fails statements is tried less and less often.
//!
//! **Half-open.** A batch of calls is admitted as probes; each occupies one probe slot. They are
//! judged by the same rates as calls of a closed breaker, and have the same deadlines. A probe that
//! is ignored or abandoned frees its slot. A probe that exceeds `probe_timeout` frees its slot, too,
//! but goes on, and counts when it ends. A batch is decided as soon as its remaining probes cannot
//! change the result: it does not wait for its slowest probe, which then counts in the next batch. The
//! breaker opens again when a batch reaches a threshold, or when it is stalled. A successful batch is
//! followed by one of twice the size; after the largest batch, the breaker closes with an empty
//! window.
//!
//! **The process's own lateness.** A process that stands still, because its container is throttled or
//! a handler computes without an await, sees every answer late. In a gate or a pool, that time is
//! taken out of the duration of calls.
//!
//! **Generations.** A permit carries the generation in which it was issued. Every change of state,
//! a reset and a new configuration start a new generation. The counts start from zero; only a new
//! configuration keeps the consecutive failures, and the window if its shape is the same. A result
//! of an older generation never changes the state: it is counted and reported as discarded.
//!
//! **Operators.** [`Breaker::trip_for`] opens the breaker for a time, after which it recovers as from
//! any other trip. [`Breaker::force_open`] holds it open until it is released; its state is
//! [`State::ForcedOpen`] meanwhile. [`Breaker::reset`] closes it. [`Breaker::set_mode`] changes what it
//! does with its state, and [`Breaker::reconfigure`] its rules. [`Breaker::snapshot`] has the rates of
//! the window, those that opened the breaker last, and the totals.
//!
//! # Defaults
//!
//! | setting | default | constant |
//! |---|---|---|
//! | [`window`](Builder::window) | last 10 s, 10 buckets | [`DEFAULT_WINDOW`] |
//! | [`minimum_calls`](Builder::minimum_calls) | 10 | [`DEFAULT_MINIMUM_CALLS`] |
//! | [`failure_rate`](Builder::failure_rate) | 0.5 | [`DEFAULT_FAILURE_RATE`] |
//! | [`slow_call_threshold`](Builder::slow_call_threshold) | learned, at least 1 s | [`DEFAULT_SLOW_CALL_THRESHOLD`] |
//! | [`slow_call_rate`](Builder::slow_call_rate) | 0.8 | [`DEFAULT_SLOW_CALL_RATE`] |
//! | [`consecutive_failures`](Builder::consecutive_failures) | 5 | [`DEFAULT_CONSECUTIVE_FAILURES`] |
//! | [`stall_after`](Builder::stall_after) | as `slow_call_threshold` | |
//! | [`coalesce_failures`](Builder::coalesce_failures) | off | |
//! | [`open_duration`](Builder::open_duration) | 250 ms | [`DEFAULT_OPEN_DURATION`] |
//! | [`open_duration_multiplier`](Builder::open_duration_multiplier) | 2 | [`DEFAULT_OPEN_DURATION_MULTIPLIER`] |
//! | [`max_open_duration`](Builder::max_open_duration) | 5 s | [`DEFAULT_MAX_OPEN_DURATION`] |
//! | [`jitter`](Builder::jitter) | ±20 % | [`DEFAULT_JITTER`] |
//! | [`half_open_probes`](Builder::half_open_probes) | 3 | [`DEFAULT_HALF_OPEN_PROBES`] |
//! | [`probe_timeout`](Builder::probe_timeout) | 1 s | [`DEFAULT_PROBE_TIMEOUT`] |
//! | [`probe_interval`](Builder::probe_interval) | 200 ms | [`DEFAULT_PROBE_INTERVAL`] |
//! | [`ramp`](Builder::ramp) | doubling up to 10, or up to the size of the pool | [`DEFAULT_RAMP`] |
//! | [`mode`](Builder::mode) | [`Mode::Enforce`] | |
//! | [`clock`](Builder::clock) | [`CoarseClock`](crate::CoarseClock) | |

pub(crate) mod builder;
pub(crate) mod clock;
pub(crate) mod config;
pub(crate) mod counters;
mod current;
pub(crate) mod demand;
mod epoch;
pub(crate) mod error;
pub(crate) mod event;
#[cfg(feature = "serde")]
mod file;
mod getters;
pub(crate) mod handle;
pub(crate) mod lateness;
mod machine;
mod normal;
mod operator;
pub(crate) mod permit;
mod probe;
mod record;
mod rules;
mod running;
#[cfg(feature = "serde")]
mod serialize;
pub(crate) mod settings;
mod shell;
pub(crate) mod snapshot;
pub(crate) mod state;
mod sync;
mod tally;
#[cfg(test)]
mod tests;
#[cfg(feature = "serde")]
pub(crate) mod text;
pub(crate) mod verdict;
mod window;

pub use builder::Builder;
pub use config::{ConfigError, LONGEST};
pub use error::{CallError, Rejection};
pub use event::Event;
pub use handle::Breaker;
pub use operator::ForcedOpen;
pub use permit::{OwnedPermit, Permit};
pub use settings::{
    DEFAULT_CONSECUTIVE_FAILURES, DEFAULT_FAILURE_RATE, DEFAULT_HALF_OPEN_PROBES, DEFAULT_JITTER,
    DEFAULT_MAX_OPEN_DURATION, DEFAULT_MINIMUM_CALLS, DEFAULT_OPEN_DURATION,
    DEFAULT_OPEN_DURATION_MULTIPLIER, DEFAULT_PROBE_INTERVAL, DEFAULT_PROBE_TIMEOUT, DEFAULT_RAMP,
    DEFAULT_SLOW_CALL_RATE, DEFAULT_SLOW_CALL_THRESHOLD, DEFAULT_WINDOW, LARGEST_BATCH,
    LARGEST_WINDOW, LONGEST_WINDOW, MOST_BUCKETS, Ramp, Window,
};
pub use snapshot::{Rates, Snapshot, Totals, Trip};
pub use state::{Mode, Reason, State, Transition};
