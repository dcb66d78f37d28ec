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
//! | `deadline` | `fusepool::gate` | DEBUG | `limit`, `awaited` |
//! | `probe` | `fusepool::gate` | DEBUG, INFO if it failed | `error` |
//! | `closed_connection` | `fusepool::gate` | DEBUG | `reason` |
//! | `fallback` | `fusepool::cache` | DEBUG | `policy`, `source`, `age`, `reason` |
//! | `load` | `fusepool::cache` | DEBUG | `policy`, `took`, `bytes` |
//! | `not_kept` | `fusepool::cache` | DEBUG | `policy`, `reason` |
//! | `invalidated` | `fusepool::cache` | DEBUG | |
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
//! | `fallback` | `source`: [`Source::as_str`](crate::Source::as_str); `reason`: [`Source::reason`](crate::Source::reason) |
//! | `not_kept` | `reason`: `too_large` or `outdated` |
//!
//! `rejections` is a summary: `calls` is the number of refused calls since the last one. The first
//! refusal is reported at once, and later ones with the first refusal at least 10 s after that.
//!
//! To send the events elsewhere, implement [`Sink`] and set it with the `sink` setter of a pool or
//! a gate.

pub(crate) mod event;
pub(crate) mod trace;

pub use event::{Event, NotKept, Sink};
pub use trace::TracingSink;
