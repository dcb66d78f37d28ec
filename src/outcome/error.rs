//! What a gate says no with.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use crate::breaker::config::ConfigError;
use crate::breaker::error::Rejection;

/// A call that was refused. It was never sent to the backend: it is safe to retry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The circuit breaker does not admit calls now.
    #[error("pool `{pool}` is unwell and the call was not sent: {rejection}")]
    Circuit {
        /// The name of the pool.
        pool: Arc<str>,
        /// What the breaker said.
        rejection: Rejection,
    },
    /// As many callers as may wait for a connection are waiting already.
    #[error(
        "pool `{pool}` is saturated and the call was not sent: {waiting} callers wait for a \
         connection, which is `max_queue`"
    )]
    Saturated {
        /// The name of the pool.
        pool: Arc<str>,
        /// How many callers may wait.
        waiting: u32,
    },
    /// A statement was given up on this connection, at its deadline or by dropping its future. Its
    /// answer may still come, and would be taken for the next statement's. Drop the connection, and
    /// lease another: it does not go back to the pool.
    #[error(
        "a statement was given up on this connection of pool `{pool}`, so the call was not sent: \
         drop the connection and lease another"
    )]
    Abandoned {
        /// The name of the pool.
        pool: Arc<str>,
    },
}

impl Refused {
    /// The name of the pool that refused.
    #[must_use]
    pub fn pool(&self) -> &str {
        match self {
            Self::Circuit { pool, .. }
            | Self::Saturated { pool, .. }
            | Self::Abandoned { pool } => pool,
        }
    }

    /// How long to wait before trying again; `None` if nobody knows. Made for `Retry-After`.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Circuit { rejection, .. } => rejection.retry_after(),
            Self::Saturated { .. } | Self::Abandoned { .. } => None,
        }
    }

    /// The reason in `snake_case`, as events spell it.
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

/// What was waited for, too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Awaited {
    /// A connection. Nothing was sent.
    Connection,
    /// The answer to a call. The call may have reached the backend: its outcome is unknown.
    Answer,
    /// The same, of a call from before an outage, which was [given up](crate#what-an-outage-leaves-behind)
    /// for the sake of others before its deadline.
    LostAnswer,
}

impl Awaited {
    /// What was waited for in `snake_case`, as events spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Answer => "answer",
            Self::LostAnswer => "lost_answer",
        }
    }
}

/// What was waited for did not come in time.
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
                "pool `{pool}` had no connection to give within {limit:?}; nothing was sent"
            ),
            Awaited::Answer => write!(
                f,
                "pool `{pool}` gave no answer within {limit:?}; whether the call took effect is unknown"
            ),
            Awaited::LostAnswer => write!(
                f,
                "pool `{pool}` gave this call up after {limit:?}, because it is from before an outage \
                 and others wait for its connection (`give_up_lost`); whether it took effect is unknown"
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

    /// How long it was waited for: until the deadline, or shorter, for a
    /// [`LostAnswer`](Awaited::LostAnswer).
    #[must_use]
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// What was waited for.
    #[must_use]
    pub fn awaited(&self) -> Awaited {
        self.awaited
    }
}

/// Why a guarded call gave no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GateError<E> {
    /// The call was refused, and never sent.
    // Not transparent: what is found in an error is found among its sources.
    #[error("{0}")]
    Refused(#[from] Refused),
    /// There was no connection in time, or no answer; what it was, [`DeadlineExceeded::awaited`] tells.
    #[error("{0}")]
    Deadline(#[from] DeadlineExceeded),
    /// The call was made, and failed.
    #[error("the call failed")]
    Failed(#[source] E),
}

impl<E> GateError<E> {
    /// The call was made, and may have had an effect.
    pub(crate) fn was_sent(&self) -> bool {
        !matches!(self, Self::Refused(_))
    }
}

/// Why a call with a deadline of its own gave no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WithTimeoutError<E> {
    /// The deadline breaks a rule. The call was not made.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// What [`GateError`] says.
    #[error("{0}")]
    Gate(#[from] GateError<E>),
}

/// The [`Refused`] in `error` or in one of its sources, however deep: for deciding on a
/// `503 Service Unavailable`, wherever in an application errors end up.
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

/// The [`DeadlineExceeded`] in `error` or in one of its sources.
#[must_use]
pub fn deadline_exceeded<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e DeadlineExceeded> {
    find(error)
}

/// Looks also inside of `io::Error`s, which are not the source of themselves.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_and_a_deadline_are_found_in_a_gates_error() {
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
