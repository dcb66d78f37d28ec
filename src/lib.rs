//! A connection pool that trips.

pub mod breaker;
mod counters;
mod error;
mod gate;
mod limits;
mod prober;
mod reporter;
#[cfg(feature = "sqlx")]
pub mod sqlx;
pub mod telemetry;
mod time;
mod verdict;

pub use breaker::{Breaker, ConfigError};
pub use error::{DeadlineExceeded, GateError, Rejected, deadline_exceeded, rejection};
pub use gate::{Gate, GateBuilder, GateSnapshot};
pub use limits::{DEFAULT_ACQUIRE_TIMEOUT, DEFAULT_QUERY_TIMEOUT, DEFAULT_WAITING_PER_CONNECTION};
pub use time::{Clock, CoarseClock, ManualClock, PreciseClock};
pub use verdict::{Class, Classify, Verdict};
