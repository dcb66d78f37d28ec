//! A connection pool that trips.

pub mod breaker;
mod time;
mod verdict;

pub use breaker::{Breaker, ConfigError};
pub use time::{Clock, CoarseClock, ManualClock, PreciseClock};
pub use verdict::{Class, Classify, Verdict};
