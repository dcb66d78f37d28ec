//! What fusepool tells an operator: events, through [`tracing`].
//!
//! Names, targets, levels and fields are part of the API, and tested. Every event has the field
//! `pool`, and its name is its message. No event carries SQL text or arguments.
//!
//! | event | target | level | further fields |
//! |---|---|---|---|
//! | `transition` | `fusepool::breaker` | WARN to open, else INFO | `from`, `to`, `reason`, `failure_rate`, `slow_call_rate`, `calls`, `attempt`, `retry_after` |
//! | `mode` | `fusepool::breaker` | WARN if held open, else INFO | `mode`, `forced_open` |
//! | `reconfigured` | `fusepool::breaker` | INFO | |
//! | `ramp` | `fusepool::breaker` | DEBUG | `places` |
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
//! Durations are in seconds, as floating point numbers; a `retry_after` that is not known is
//! absent, and so are the `policy` of a query without one, the `age` of what is not from the cache, and the
//! `bytes` of a load that failed.
//!
//! | event | spelt as |
//! |---|---|
//! | `transition` | `from`, `to`: [`State::as_str`](crate::breaker::State::as_str); `reason`: [`Reason::as_str`](crate::breaker::Reason::as_str) |
//! | `mode` | `mode`: [`Mode::as_str`](crate::breaker::Mode::as_str) |
//! | `rejected` | `reason`: [`Refused::reason`](crate::Refused::reason) |
//! | `deadline` | `awaited`: [`Awaited::as_str`](crate::Awaited::as_str) |
//! | `closed_connection` | `reason`: `abandoned` (given up in the middle of a statement), `broken`, `unusable` (read-only, say) or `close_on_drop` |
//! | `fallback` | `source`: [`Source::as_str`](crate::Source::as_str); `reason`: [`Source::reason`](crate::Source::reason) |
//! | `not_kept` | `reason`: `too_large` or `outdated` |
//!
//! `rejections` sums up those since the last such event. The first of a storm is told at once, the rest
//! with the first that comes more than 10 s later.
//!
//! To send events somewhere else instead, implement [`Sink`].

pub(crate) mod event;
pub(crate) mod trace;

pub use event::{Event, NotKept, Sink};
pub use trace::TracingSink;
