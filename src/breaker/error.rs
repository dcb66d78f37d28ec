//! What a breaker says no with.

use std::time::Duration;

/// A call was not made, because the breaker does not admit it now. Nothing was sent: it is safe to
/// retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The breaker is open.
    #[error("the circuit is open; retry in {retry_after:?}")]
    Open {
        /// How long until the first probe.
        retry_after: Duration,
    },
    /// The breaker is half-open, and all probes of this batch are under way.
    #[error(
        "the circuit is half-open and its probes are under way; retry in {retry_after:?} or sooner"
    )]
    HalfOpen {
        /// When the oldest probe is given up at the latest.
        retry_after: Duration,
    },
    /// An operator holds the breaker open, see [`Breaker::force_open`](super::Breaker::force_open).
    #[error("the circuit is held open by an operator")]
    ForcedOpen,
}

impl Rejection {
    /// How long to wait before trying again; `None` if only an operator knows.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match *self {
            Self::Open { retry_after } | Self::HalfOpen { retry_after } => Some(retry_after),
            Self::ForcedOpen => None,
        }
    }
}

/// Why [`Breaker::call`](super::Breaker::call) gave no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError<E> {
    /// The call was not made.
    #[error(transparent)]
    Refused(#[from] Rejection),
    /// The call was made, and failed.
    #[error("the call failed")]
    Failed(#[source] E),
}
