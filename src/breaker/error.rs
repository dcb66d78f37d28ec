//! Errors of the breaker.

use std::time::Duration;

/// The breaker did not admit the call. The call was not made, so it is safe to retry.
///
/// [`refusal`](crate::refusal) finds it in any error.
///
/// ```
/// use fusepool::Breaker;
/// use fusepool::breaker::Rejection;
/// use std::time::Duration;
///
/// let breaker = Breaker::builder().build()?;
/// breaker.trip_for(Duration::from_secs(60));
/// match breaker.try_acquire().map(drop) {
///     Err(Rejection::Open { retry_after }) => println!("retry in {retry_after:?}"),
///     other => println!("{other:?}"),
/// }
/// # Ok::<(), fusepool::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The breaker is open.
    #[error("the circuit is open; retry in {retry_after:?}")]
    Open {
        /// The time until a probe may start.
        retry_after: Duration,
    },
    /// The breaker is half-open, and no probe slot is free.
    #[error(
        "the circuit is half-open and its probes are under way; retry in {retry_after:?} or sooner"
    )]
    HalfOpen {
        /// The time until a probe frees its slot or counts as slow. A slot may be free sooner, when
        /// a probe ends.
        retry_after: Duration,
    },
    /// An operator holds the breaker open with [`Breaker::force_open`](super::Breaker::force_open).
    #[error("the circuit is held open by an operator")]
    ForcedOpen,
}

impl Rejection {
    /// The time to wait before a retry; `None` if an operator holds the breaker open.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match *self {
            Self::Open { retry_after } | Self::HalfOpen { retry_after } => Some(retry_after),
            Self::ForcedOpen => None,
        }
    }
}

/// The error of [`Breaker::call`](super::Breaker::call).
///
/// ```
/// use fusepool::Breaker;
/// use fusepool::breaker::{CallError, Rejection};
///
/// let breaker = Breaker::builder().build()?;
/// let _held = breaker.force_open();
/// let refused = breaker.call(|| Ok::<_, std::io::Error>(42)).unwrap_err();
/// assert!(matches!(refused, CallError::Refused(Rejection::ForcedOpen)));
/// # Ok::<(), fusepool::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError<E> {
    /// The breaker rejected the call, which was not made.
    // Not transparent: `refusal` searches the sources of an error.
    #[error("{0}")]
    Refused(#[from] Rejection),
    /// The call was made and returned this error.
    #[error("the call failed")]
    Failed(#[source] E),
}
