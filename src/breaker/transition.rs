//! The states, and a change between them.

use std::time::Duration;

/// The state a breaker is in; it changes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Calls pass, and are counted.
    Closed,
    /// Calls are rejected until the open delay is over.
    Open,
    /// A few calls pass as probes; how they fare decides.
    HalfOpen,
}

impl State {
    /// The state in `snake_case`, as events spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// Why a breaker changed its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The failure rate reached its threshold.
    FailureRate,
    /// The slow-call rate reached its threshold.
    SlowRate,
    /// So many faults in a row.
    ConsecutiveFailures,
    /// Nobody was answered for [`stall_after`](super::Builder::stall_after), while calls were wanted.
    Stalled,
    /// The open delay is over: the next call is the first probe.
    DelayElapsed,
    /// A batch of probes failed.
    ProbesFailed,
    /// The last batch of probes went well.
    ProbesSucceeded,
    /// [`Breaker::reset`](super::Breaker::reset) was called.
    Reset,
}

impl Reason {
    /// The reason in `snake_case`, as events spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FailureRate => "failure_rate",
            Self::SlowRate => "slow_rate",
            Self::ConsecutiveFailures => "consecutive_failures",
            Self::Stalled => "stalled",
            Self::DelayElapsed => "delay_elapsed",
            Self::ProbesFailed => "probes_failed",
            Self::ProbesSucceeded => "probes_succeeded",
            Self::Reset => "reset",
        }
    }
}

/// A change of state, and what led to it.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Transition {
    /// The state before.
    pub from: State,
    /// The state now.
    pub to: State,
    /// What caused it.
    pub reason: Reason,
    /// Calls that were counted: of the window, or of the batch of probes.
    pub calls: u32,
    /// The part of `calls` that were faults; 0 without calls.
    pub failure_rate: f64,
    /// The part of `calls` that were slow; 0 without calls.
    pub slow_rate: f64,
    /// How often it has opened since it was last closed; 0 when closed.
    pub attempt: u32,
    /// When open: how long until the first probe.
    pub retry_after: Option<Duration>,
}
