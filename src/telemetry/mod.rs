//! Events for operators, through [`tracing`].
//!
//! The names, targets, levels and fields are part of the API, and tests check them. The name of an
//! event is its message, and every event has the field `pool`. No event contains SQL text or
//! arguments.
//!
//! | event | target | level | further fields |
//! |---|---|---|---|
//! | `transition` | `fusepool::breaker` | WARN to open, else INFO | `from`, `to`, `reason`, `failure_rate`, `slow_call_rate`, `calls`, `attempt`, `retry_after` |
//! | `mode` | `fusepool::breaker` | WARN if held open, else INFO | `mode`, `forced_open` |
//! | `reconfigured` | `fusepool::breaker` | INFO | |
//! | `ramp` | `fusepool::breaker` | DEBUG | `places` |
//! | `stalling` | `fusepool::breaker` | DEBUG | |
//! | `adapted` | `fusepool::breaker` | DEBUG | `slow_call_threshold` |
//! | `slow` | `fusepool::breaker` | DEBUG | `calls` |
//! | `abandoned` | `fusepool::breaker` | DEBUG | `held` |
//! | `discarded` | `fusepool::breaker` | DEBUG | `verdict` |
//! | `rejected` | `fusepool::gate` | DEBUG | `reason`, `retry_after` |
//! | `rejections` | `fusepool::gate` | INFO, at most one in 10 s | `calls` |
//! | `deadline` | `fusepool::gate` | INFO for a statement, DEBUG for a connection | `limit`, `awaited` |
//! | `probe` | `fusepool::gate` | DEBUG, INFO if it failed | `error` |
//! | `closed_connection` | `fusepool::gate` | DEBUG | `reason` |
//! | `limits` | `fusepool::gate` | INFO | `acquire_timeout`, `query_timeout`, `max_queue` |
//! | `lint` | `fusepool::lint` | WARN | `code`, `what`, `why`, `numbers`, `set` |
//! | `fallback` | `fusepool::cache` | DEBUG | `policy`, `source`, `age`, `reason` |
//! | `load` | `fusepool::cache` | DEBUG | `policy`, `took`, `bytes` |
//! | `not_kept` | `fusepool::cache` | DEBUG | `policy`, `reason` |
//! | `invalidated` | `fusepool::cache` | DEBUG | |
//!
//! | event | when |
//! |---|---|
//! | `transition` | the state changed |
//! | `mode` | an operator changed the mode, or holds the breaker open |
//! | `reconfigured`, `limits` | an operator replaced the rules, or the limits |
//! | `ramp` | a batch of probes succeeded; the next one has `places` |
//! | `stalling` | no call succeeded for half of `stall_after`; the pool asks the database |
//! | `adapted` | the learned slow-call threshold changed |
//! | `slow` | running calls reached the threshold; their number |
//! | `abandoned` | a caller dropped a call after `held` |
//! | `discarded` | a result came too late to count |
//! | `rejected` | a call was refused: by the breaker, as saturated, or on a connection with an abandoned statement |
//! | `rejections` | the number of refused calls since the last one |
//! | `deadline` | there was no connection, or no answer, within `limit` |
//! | `probe` | the background task asked the database |
//! | `closed_connection` | a connection was closed instead of returned to the pool |
//! | `lint` | a setting does not fit |
//! | `fallback` | a stale answer or another fallback was served |
//! | `load` | a query for the cache ended |
//! | `not_kept` | its answer was not stored |
//! | `invalidated` | answers were invalidated |
//!
//! Durations are in seconds, as floating-point numbers. A field without a value is absent:
//! `retry_after` if it is unknown, the `policy` of a query without one, the `age` of a value that
//! is not from the cache, the `bytes` of a load that failed, and the `error` of a probe that
//! succeeded.
//!
//! | event | values |
//! |---|---|
//! | `transition` | `from`, `to`: [`State::as_str`](crate::breaker::State::as_str); `reason`: [`Reason::as_str`](crate::breaker::Reason::as_str) |
//! | `mode` | `mode`: [`Mode::as_str`](crate::breaker::Mode::as_str) |
//! | `rejected` | `reason`: [`Refused::reason`](crate::Refused::reason) |
//! | `deadline` | `awaited`: [`Awaited::as_str`](crate::Awaited::as_str) |
//! | `closed_connection` | `reason`: `abandoned` (a statement on it was given up), `unread` (a stream of rows was dropped before its end), `broken`, `unusable`, `out_of_step` (its answers were not those to its statements), `in_transaction` (a transaction that a text began was not ended), `read_only` (its server was demoted) or `close_on_drop` |
//! | `lint` | `code`: [`Code::as_str`](crate::lint::Code::as_str) |
//! | `fallback` | `source`: [`Source::as_str`](crate::Source::as_str); `reason`: [`Source::reason`](crate::Source::reason) |
//! | `not_kept` | `reason`: `too_large` or `outdated` |
//!
//! `rejections` is a summary: `calls` is the number of refused calls since the last one. The first
//! refusal is reported at once, and later ones with the first refusal at least 10 s after that.
//!
//! A program that reacts to changes of the breaker waits for them with
//! [`events`](crate::Gate::events), which every pool has.
//!
//! To send the events elsewhere, implement [`Sink`] and add it with the `sink` setter of a pool or a
//! gate. There may be several. `tracing(false)` ends those of `tracing`.
//!
//! # The events of each call
//!
//! These are only for sinks that [want calls](Sink::wants_calls), because each call is then timed with
//! a precise clock. `tracing` receives them from [`TracingSink::with_calls`].
//!
//! | event | target | level | further fields |
//! |---|---|---|---|
//! | `acquired` | `fusepool::gate` | TRACE | `waited` |
//! | `acquire_failed` | `fusepool::gate` | TRACE | `waited`, `verdict` |
//! | `connected` | `fusepool::gate` | TRACE | `took` |
//! | `ended` | `fusepool::gate` | TRACE | `took`, `verdict`, `code`, `error` |
//! | `released` | `fusepool::gate` | TRACE | `used` |
//!
//! - A call that obtains a connection causes `acquired`, and before that `connected` if the connection
//!   was opened for it. sqlx and deadpool tell that, except for an existing pool of sqlx that is only
//!   wrapped; an [`Adapter`](crate::Adapter) does not.
//! - A statement causes `ended`. It has no `verdict` if its caller dropped it, no `code` if the database
//!   reported none, and no `error` if it succeeded.
//! - `error` is the `code`, or `timeout`, `lost_answer`, `abandoned`, or `_OTHER`. diesel-async drops
//!   the code of an error; fusepool recognizes some by their text.
//!
#![doc = include_str!("spans.md")]
//!
#![cfg_attr(feature = "metrics", doc = include_str!("metrics.md"))]

pub(crate) mod backend;
pub(crate) mod changes;
pub(crate) mod event;
#[cfg(feature = "metrics")]
pub(crate) mod metrics;
#[cfg(feature = "opentelemetry_0_33")]
mod opentelemetry;
#[cfg(feature = "live")]
pub(crate) mod recent;
pub(crate) mod setters;
pub(crate) mod sink;
pub(crate) mod sinks;
pub(crate) mod span;
pub(crate) mod trace;

pub use backend::Backend;
pub use changes::{Change, Events};
pub use event::{CacheSample, Event, NotKept, Sample};
#[cfg(feature = "metrics")]
#[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
pub use metrics::DURATION_BUCKETS;
pub use sink::Sink;
pub use trace::TracingSink;
