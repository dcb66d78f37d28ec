//! The states, a change between them, and the mode, which is the operator's.

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
    /// So many failures in a row.
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
            Self::SlowRate => "slow_call_rate",
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
    /// The part of `calls` that were failures; 0 without calls.
    pub failure_rate: f64,
    /// The part of `calls` that were slow; 0 without calls.
    pub slow_call_rate: f64,
    /// How often it has opened since it was last closed; 0 when closed.
    pub attempt: u32,
    /// When open: how long until the first probe.
    pub retry_after: Option<Duration>,
}

/// Whether the breaker does what its state says. Set by the operator, never by the breaker.
///
/// A breaker can also be held open by handles: see
/// [`Breaker::force_open`](super::Breaker::force_open).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// Rejects calls as its state demands.
    #[default]
    Enforce,
    /// Records, changes state and reports, but never rejects: for trying a configuration on
    /// real traffic. A pool's deadlines and its `max_queue` end and refuse nothing either; a deadline
    /// of a statement's own holds.
    Observe,
    /// Admits every call and records nothing; the state stays as it is. As in
    /// [`Observe`](Self::Observe), nothing is ended or refused.
    Disabled,
}

impl Mode {
    /// The mode in `snake_case`, as events spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Observe => "observe",
            Self::Disabled => "disabled",
        }
    }
}
