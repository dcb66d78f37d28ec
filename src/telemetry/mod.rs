//! What fusepool tells an operator: events, through [`tracing`].
//!
//! Names, targets, levels and fields are part of the API, and tested. Every event has the field
//! `pool`, and its name is its message. No event carries SQL text or arguments.
//!
//! | event | target | level | further fields |
//! |---|---|---|---|
//! | `transition` | `fusepool::breaker` | WARN to open, else INFO | `from`, `to`, `reason`, `failure_rate`, `slow_rate`, `calls`, `attempt`, `retry_after` |
//! | `ramp` | `fusepool::breaker` | DEBUG | `places` |
//! | `slow` | `fusepool::breaker` | DEBUG | `calls` |
//! | `abandoned` | `fusepool::breaker` | DEBUG | `held` |
//! | `discarded` | `fusepool::breaker` | DEBUG | `verdict` |
//! | `rejected` | `fusepool::gate` | DEBUG | `reason`, `retry_after` |
//! | `rejections` | `fusepool::gate` | INFO, at most one in 10 s | `calls` |
//! | `deadline` | `fusepool::gate` | DEBUG | `limit` |
//! | `probe` | `fusepool::gate` | DEBUG, INFO if it failed | `error` |
//! | `closed_connection` | `fusepool::gate` | DEBUG | `reason` |
//! | `fallback` | `fusepool::cache` | DEBUG | `policy`, `source`, `age`, `reason` |
//! | `load` | `fusepool::cache` | DEBUG | `policy`, `took`, `bytes` |
//! | `not_kept` | `fusepool::cache` | DEBUG | `policy`, `reason` |
//! | `invalidated` | `fusepool::cache` | DEBUG | |
//!
//! Durations are in seconds, as floating point numbers; a `retry_after` that is not known is
//! absent, and so are the `policy` of a query without one, the `age` of what is not from the cache, and the
//! `bytes` of a load that failed. Of `fallback`, `source` and `reason` are those of
//! [`Source`](crate::Source); of `not_kept`, `reason` is `too_large` or `outdated`. `from` and `to` are [`State::as_str`](crate::breaker::State::as_str), `reason` is
//! [`Reason::as_str`](crate::breaker::Reason::as_str) or
//! [`Rejected::reason`](crate::Rejected::reason); of `closed_connection` it is `abandoned` (given up in the
//! middle of a statement), `broken`, `unusable` (read-only, say) or `close_on_drop`.
//!
//! To send events somewhere else instead, implement [`Sink`].

mod event;
mod trace;

pub use event::{Event, NotKept, Sink};
pub use trace::TracingSink;
