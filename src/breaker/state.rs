//! The states, the transitions between them, and the mode.

use std::time::Duration;

/// The state of a breaker. The breaker changes it by itself, except for
/// [`ForcedOpen`](Self::ForcedOpen).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Calls are admitted and counted.
    Closed,
    /// Calls are rejected until the open duration is over.
    Open,
    /// A few calls are admitted as probes. Their results decide the next state.
    HalfOpen,
    /// An operator holds the breaker open with
    /// [`Breaker::force_open`](super::Breaker::force_open), and every call is rejected. No
    /// [`Transition`] leads to this state or out of it. When the hold ends, the breaker continues in
    /// its previous state.
    ForcedOpen,
}

impl State {
    /// The state in `snake_case`, as in events.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::ForcedOpen => "forced_open",
        }
    }
}

/// The reason for a change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The failure rate reached its threshold.
    FailureRate,
    /// The slow-call rate reached its threshold.
    SlowRate,
    /// The number of consecutive failures reached its limit.
    ConsecutiveFailures,
    /// No call succeeded for [`stall_after`](super::Builder::stall_after) while calls were pending.
    Stalled,
    /// The open duration is over, and a call arrived as the first probe.
    OpenDurationElapsed,
    /// The backend answered a background probe, so that the first calls may be tried.
    BackendAnswered,
    /// A batch of probes failed.
    ProbesFailed,
    /// The last batch of probes succeeded.
    ProbesSucceeded,
    /// [`Breaker::trip_for`](super::Breaker::trip_for) was called.
    Manual,
    /// [`Breaker::reset`](super::Breaker::reset) was called.
    Reset,
}

impl Reason {
    /// The reason in `snake_case`, as in events.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FailureRate => "failure_rate",
            Self::SlowRate => "slow_call_rate",
            Self::ConsecutiveFailures => "consecutive_failures",
            Self::Stalled => "stalled",
            Self::OpenDurationElapsed => "open_duration_elapsed",
            Self::BackendAnswered => "backend_answered",
            Self::ProbesFailed => "probes_failed",
            Self::ProbesSucceeded => "probes_succeeded",
            Self::Manual => "manual",
            Self::Reset => "reset",
        }
    }
}

/// A change of state, with its reason and the counts that led to it.
///
/// ```
/// use fusepool::Breaker;
/// use fusepool::breaker::{Event, Reason, State};
///
/// let breaker = Breaker::builder()
///     .on_event(|event| {
///         if let Event::Transition(change) = event {
///             assert_eq!((change.to, change.reason), (State::Open, Reason::Manual));
///             assert!(change.retry_after.is_some());
///         }
///     })
///     .build()?;
/// breaker.trip_for(std::time::Duration::from_secs(1));
/// # Ok::<(), fusepool::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Transition {
    /// The state before.
    pub from: State,
    /// The new state.
    pub to: State,
    /// The reason for the change.
    pub reason: Reason,
    /// The number of calls in the window, or of results in the batch of probes.
    pub calls: u32,
    /// The fraction of `calls` that failed; 0 without calls.
    pub failure_rate: f64,
    /// The fraction of `calls` that were slow; 0 without calls.
    pub slow_call_rate: f64,
    /// How often the breaker has opened without staying closed for a window in between. The open
    /// duration grows with it.
    pub attempt: u32,
    /// The time until a probe may start. `None` unless the new state is open.
    pub retry_after: Option<Duration>,
}

/// Whether the breaker acts on its state. An operator sets the mode; the breaker never changes it.
///
/// Independently of the mode, [`Breaker::force_open`](super::Breaker::force_open) holds a breaker
/// open.
///
/// ```
/// use fusepool::breaker::Mode;
/// use fusepool::{Breaker, ConfigError};
///
/// /// The mode from a variable of the environment.
/// fn breaker(mode: &str) -> Result<Breaker, ConfigError> {
///     Breaker::builder()
///         .mode(match mode {
///             "observe" => Mode::Observe,
///             "disabled" => Mode::Disabled,
///             _ => Mode::Enforce,
///         })
///         .build()
/// }
/// assert_eq!(breaker("observe")?.mode(), Mode::Observe);
/// # Ok::<(), fusepool::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// Rejects calls according to the state.
    #[default]
    Enforce,
    /// Records calls, changes its state and reports it, but does not reject calls. This tries out a
    /// configuration on real traffic. A pool's `query_timeout` and `max_queue` have no effect. The
    /// timeout of the driver's own pool and a statement's own deadline still apply.
    Observe,
    /// Admits every call and records nothing; the state stays as it is. As in
    /// [`Observe`](Self::Observe), the deadlines of a pool and its `max_queue` have no effect.
    Disabled,
}

impl Mode {
    /// The mode in `snake_case`, as in events.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Observe => "observe",
            Self::Disabled => "disabled",
        }
    }
}
