//! Errors of the gate.

#[cfg(feature = "deadpool")]
use std::any::Any;
use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use crate::breaker::config::ConfigError;
use crate::breaker::error::Rejection;

/// The refusal of a call. The call was never sent to the backend, so it is safe to retry.
///
/// [`refusal`] finds it in any error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The breaker rejected the call.
    #[error("pool `{pool}` refused the call, which was not sent: {rejection}")]
    Circuit {
        /// The name of the pool.
        pool: Arc<str>,
        /// The reason, and when to retry.
        rejection: Rejection,
    },
    /// The queue for a connection is full.
    #[error(
        "pool `{pool}` is saturated and the call was not sent: {waiting} callers already wait for \
         a connection (`max_queue`)"
    )]
    Saturated {
        /// The name of the pool.
        pool: Arc<str>,
        /// The size of the queue, `max_queue`.
        waiting: u32,
    },
    /// An earlier statement on this connection was given up, at its deadline or because its future
    /// was dropped. Its answer may still arrive, and would be mistaken for that of the next
    /// statement. Drop the connection and lease another; the dropped one does not return to the
    /// pool.
    #[error(
        "an earlier statement on this connection of pool `{pool}` was given up, so the call was not \
         sent: drop the connection and lease another"
    )]
    Abandoned {
        /// The name of the pool.
        pool: Arc<str>,
    },
}

impl Refused {
    /// The name of the pool that refused the call.
    #[must_use]
    pub fn pool(&self) -> &str {
        match self {
            Self::Circuit { pool, .. }
            | Self::Saturated { pool, .. }
            | Self::Abandoned { pool } => pool,
        }
    }

    /// The time to wait before a retry, for instance for a `Retry-After` header. `None` if it is
    /// unknown.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Circuit { rejection, .. } => rejection.retry_after(),
            Self::Saturated { .. } | Self::Abandoned { .. } => None,
        }
    }

    /// The reason in `snake_case`, as in events.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Saturated { .. } => "saturated",
            Self::Abandoned { .. } => "abandoned",
            Self::Circuit { rejection, .. } => match rejection {
                Rejection::Open { .. } => "open",
                Rejection::HalfOpen { .. } => "half_open",
                Rejection::ForcedOpen => "forced_open",
            },
        }
    }
}

/// The thing that a call waited for when its deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Awaited {
    /// A connection. Nothing was sent.
    Connection,
    /// The answer to a call. The call may have reached the backend: its outcome is unknown.
    Answer,
    /// The answer to a call from before an outage, which was [given up before its
    /// deadline](crate#what-an-outage-leaves-behind) because other callers waited for its
    /// connection. Its outcome is unknown.
    LostAnswer,
}

impl Awaited {
    /// The name in `snake_case`, as in events.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Answer => "answer",
            Self::LostAnswer => "lost_answer",
        }
    }
}

/// A connection or an answer did not arrive in time.
///
/// [`deadline_exceeded`] finds it in any error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadlineExceeded {
    pool: Arc<str>,
    limit: Duration,
    awaited: Awaited,
}

impl fmt::Display for DeadlineExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pool,
            limit,
            awaited,
        } = self;
        match awaited {
            Awaited::Connection => write!(
                f,
                "pool `{pool}` provided no connection within {limit:?}; nothing was sent"
            ),
            Awaited::Answer => write!(
                f,
                "pool `{pool}` returned no answer within {limit:?}; whether the call took effect is unknown"
            ),
            Awaited::LostAnswer => write!(
                f,
                "pool `{pool}` gave up this call after {limit:?}, because it started before an outage and \
                 other callers wait for its connection (`give_up_lost`); whether it took effect is unknown"
            ),
        }
    }
}

impl StdError for DeadlineExceeded {}

impl DeadlineExceeded {
    pub(crate) fn new(pool: Arc<str>, limit: Duration, awaited: Awaited) -> Self {
        Self {
            pool,
            limit,
            awaited,
        }
    }

    /// The name of the pool.
    #[must_use]
    pub fn pool(&self) -> &str {
        &self.pool
    }

    /// The time waited: the whole timeout, or less for a [`LostAnswer`](Awaited::LostAnswer).
    #[must_use]
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// The thing that the call waited for.
    #[must_use]
    pub fn awaited(&self) -> Awaited {
        self.awaited
    }
}

/// The error of a guarded call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GateError<E> {
    /// The call was refused and never sent.
    // Not transparent: `refusal` searches the sources of an error.
    #[error("{0}")]
    Refused(#[from] Refused),
    /// No connection or no answer arrived in time; [`DeadlineExceeded::awaited`] tells which.
    #[error("{0}")]
    Deadline(#[from] DeadlineExceeded),
    /// The call was made and returned this error.
    #[error("the call failed")]
    Failed(#[source] E),
}

#[cfg(any(feature = "deadpool-postgres", feature = "diesel"))]
impl<E> GateError<E> {
    /// The call was made, and may have had an effect.
    pub(crate) fn was_sent(&self) -> bool {
        !matches!(self, Self::Refused(_))
    }
}

/// The error of a guarded call with a deadline of its own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WithTimeoutError<E> {
    /// The deadline is invalid. The call was not made.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// Any other error of a guarded call.
    #[error("{0}")]
    Gate(#[from] GateError<E>),
}

/// Finds the [`Refused`] in `error` or in any of its sources. An application can use it, wherever it
/// handles errors, to respond with `503 Service Unavailable`.
///
/// ```
/// # fn response(error: &sqlx::Error) -> (u16, Option<std::time::Duration>) {
/// match fusepool::refusal(error) {
///     Some(rejected) => (503, rejected.retry_after()),
///     None => (500, None),
/// }
/// # }
/// ```
#[must_use]
pub fn refusal<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e Refused> {
    find(error)
}

/// Finds the [`DeadlineExceeded`] in `error` or in any of its sources.
///
/// ```
/// use fusepool::Awaited;
///
/// # fn may_retry(error: &sqlx::Error) -> bool {
/// // Without a connection, nothing was sent.
/// fusepool::deadline_exceeded(error)
///     .is_some_and(|deadline| deadline.awaited() == Awaited::Connection)
/// # }
/// ```
#[must_use]
pub fn deadline_exceeded<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e DeadlineExceeded> {
    find(error)
}

/// Also looks inside `io::Error`s, whose inner error is not among their sources.
fn find<'e, T: StdError + 'static>(error: &'e (dyn StdError + 'static)) -> Option<&'e T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        let held = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        if let Some(found) = held.and_then(|held| held.downcast_ref()) {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// Whether an error of any type is or holds a refusal, as far as its type is known here: one of the
/// standard library, of this crate, or of a supported driver.
#[cfg(feature = "deadpool")]
pub(crate) fn holds_refusal<E: 'static>(error: &E) -> bool {
    fn of<T: StdError + 'static>(error: &dyn Any) -> bool {
        (error.downcast_ref::<T>()).is_some_and(|error| refusal(error).is_some())
    }
    let error: &dyn Any = error;
    let boxed = error.downcast_ref::<Box<dyn StdError + Send + Sync>>();
    let in_driver = [
        #[cfg(feature = "sqlx")]
        of::<sqlx::Error>(error),
        #[cfg(feature = "deadpool-postgres")]
        of::<tokio_postgres::Error>(error),
        #[cfg(feature = "diesel")]
        of::<diesel::result::Error>(error),
    ];
    boxed.is_some_and(|error| refusal(&**error).is_some())
        || of::<Refused>(error)
        || of::<io::Error>(error)
        || of::<GateError<io::Error>>(error)
        || in_driver.contains(&true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "deadpool")]
    #[test]
    fn a_refusal_is_found_in_an_error_of_unknown_type() {
        let rejected = || Refused::Saturated {
            pool: "orders".into(),
            waiting: 80,
        };
        assert!(holds_refusal(&rejected()));
        assert!(holds_refusal(&io::Error::other(rejected())));
        let boxed: Box<dyn StdError + Send + Sync> = Box::new(io::Error::other(rejected()));
        assert!(holds_refusal(&boxed));
        assert!(holds_refusal(&GateError::<io::Error>::from(rejected())));
        assert!(!holds_refusal(&io::Error::other("no")));
        assert!(!holds_refusal(&"no"));
    }

    #[test]
    fn refusals_and_deadlines_are_found_in_errors_of_a_gate() {
        let rejected = Refused::Saturated {
            pool: "orders".into(),
            waiting: 80,
        };
        let error: GateError<io::Error> = rejected.clone().into();
        assert_eq!(refusal(&error), Some(&rejected));
        let deadline =
            DeadlineExceeded::new("orders".into(), Duration::from_secs(30), Awaited::Answer);
        let error: GateError<io::Error> = deadline.clone().into();
        assert_eq!(deadline_exceeded(&error), Some(&deadline));
        assert_eq!(refusal(&error), None);
        let error = WithTimeoutError::from(error);
        assert_eq!(deadline_exceeded(&error), Some(&deadline));
    }
}
