//! Errors of the gate.

#[cfg(feature = "deadpool")]
use std::any::Any;
use std::error::Error as StdError;
use std::iter::successors;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use crate::breaker::config::ConfigError;
use crate::breaker::error::Rejection;

/// The refusal of a call. fusepool did not send the call, so sending it again cannot execute it twice.
///
/// After [`Abandoned`](Self::Abandoned), retry on another connection; in a transaction, run the whole
/// transaction again.
///
/// [`refusal`] finds it in any error.
///
/// ```
/// use fusepool::{Refused, refusal};
///
/// fn answer(error: &(dyn std::error::Error + 'static)) -> String {
///     match refusal(error) {
///         Some(Refused::Saturated { waiting, .. }) => format!("503: {waiting} requests wait"),
///         Some(refused) => format!("503: {}, retry in {:?}", refused.reason(), refused.retry_after()),
///         None => "500".to_owned(),
///     }
/// }
/// assert_eq!(answer(&std::io::Error::other("no")), "500");
/// ```
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
    /// A breaker without a pool rejected the call: this is what [`refusal`] makes of a [`Rejection`].
    #[error("a circuit breaker refused the call, which was not made: {0}")]
    Breaker(Rejection),
    /// The queue for a connection has `max_queue` callers, or moves so slowly that this caller would
    /// wait for longer than `acquire_timeout`.
    #[error(
        "pool `{pool}` is saturated and the call was not sent: {waiting} callers already wait for \
         a connection"
    )]
    Saturated {
        /// The name of the pool.
        pool: Arc<str>,
        /// The number of callers in the queue.
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
    /// The name of the pool that refused the call. `None` for a breaker without a pool.
    #[must_use]
    pub fn pool(&self) -> Option<&str> {
        match self {
            Self::Circuit { pool, .. }
            | Self::Saturated { pool, .. }
            | Self::Abandoned { pool } => Some(pool),
            Self::Breaker(_) => None,
        }
    }

    /// The rejection of the breaker, if it was the breaker that refused the call.
    #[must_use]
    pub fn rejection(&self) -> Option<Rejection> {
        match *self {
            Self::Circuit { rejection, .. } | Self::Breaker(rejection) => Some(rejection),
            Self::Saturated { .. } | Self::Abandoned { .. } => None,
        }
    }

    /// The time to wait before a retry, for instance for a `Retry-After` header. `None` if it is
    /// unknown.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.rejection()?.retry_after()
    }

    /// The reason in `snake_case`, as in events.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Saturated { .. } => "saturated",
            Self::Abandoned { .. } => "abandoned",
            Self::Circuit { rejection, .. } | Self::Breaker(rejection) => match rejection {
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
    /// The answer to a call from before an outage. The server said that it runs the call no more, so
    /// the call was [given up before its deadline](crate#what-an-outage-leaves-behind). Its outcome is
    /// unknown.
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
///
/// ```
/// use fusepool::deadline_exceeded;
///
/// fn log(error: &(dyn std::error::Error + 'static)) {
///     if let Some(late) = deadline_exceeded(error) {
///         println!("{} waited {:?} for a {}", late.pool(), late.limit(), late.awaited().as_str());
///     }
/// }
/// ```
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
                 the server runs it no more; whether it took effect is unknown"
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
///
/// ```
/// use fusepool::GateError;
///
/// /// Whether the call may have taken effect.
/// fn is_in_doubt<E>(error: &GateError<E>) -> bool {
///     match error {
///         GateError::Refused(_) => false,
///         GateError::Deadline(deadline) => deadline.awaited() != fusepool::Awaited::Connection,
///         _ => true,
///     }
/// }
/// ```
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

/// Finds the [`Refused`] of a pool, or the [`Rejection`] of a breaker without a pool, in `error` or in
/// any of its sources. An application can use it, wherever it handles errors, to respond with
/// `503 Service Unavailable`.
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
pub fn refusal(error: &(dyn StdError + 'static)) -> Option<Refused> {
    chain(error).find_map(|error| match error.downcast_ref() {
        Some(refused) => Some(Refused::clone(refused)),
        None => Some(Refused::Breaker(*error.downcast_ref()?)),
    })
}

/// Finds the [`DeadlineExceeded`] in `error` or in any of its sources.
///
/// ```
/// use fusepool::Awaited;
///
/// # fn may_retry(error: &fusepool::GateError<std::io::Error>) -> bool {
/// // Without a connection, nothing was sent.
/// fusepool::deadline_exceeded(error)
///     .is_some_and(|deadline| deadline.awaited() == Awaited::Connection)
/// # }
/// ```
///
/// A pool returns another error for a connection that was not obtained in time: `PoolTimedOut` on sqlx,
/// and `PoolError::Timeout` on deadpool. This function does not find those.
#[must_use]
pub fn deadline_exceeded<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e DeadlineExceeded> {
    chain(error).find_map(|error| error.downcast_ref())
}

/// The error and its sources, and the errors inside of `io::Error`s and of SeaORM's, which are not among
/// their sources.
fn chain<'e>(
    error: &'e (dyn StdError + 'static),
) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    successors(Some(error), |&error| {
        let held = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        match held {
            Some(held) => Some(held),
            None => hidden(error).or_else(|| error.source()),
        }
    })
}

/// The error that an error of SeaORM hides.
#[cfg(all(feature = "sea-orm", feature = "sqlx"))]
fn hidden<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e (dyn StdError + 'static)> {
    use sea_orm::{DbErr, RuntimeErr, TransactionError};
    match error.downcast_ref() {
        Some(RuntimeErr::SqlxError(error)) => return Some(&**error),
        Some(_) => return None,
        None => {}
    }
    match error.downcast_ref::<TransactionError<DbErr>>()? {
        TransactionError::Connection(error) | TransactionError::Transaction(error) => Some(error),
    }
}

#[cfg(not(all(feature = "sea-orm", feature = "sqlx")))]
fn hidden<'e>(_: &'e (dyn StdError + 'static)) -> Option<&'e (dyn StdError + 'static)> {
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
        #[cfg(all(feature = "sea-orm", feature = "sqlx"))]
        of::<sea_orm::DbErr>(error),
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
    use crate::breaker::error::CallError;
    use crate::breaker::handle::Breaker;

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
        assert_eq!(refusal(&error), Some(rejected));
        let deadline =
            DeadlineExceeded::new("orders".into(), Duration::from_secs(30), Awaited::Answer);
        let error: GateError<io::Error> = deadline.clone().into();
        assert_eq!(deadline_exceeded(&error), Some(&deadline));
        assert_eq!(refusal(&error), None);
        let error = WithTimeoutError::from(error);
        assert_eq!(deadline_exceeded(&error), Some(&deadline));
    }

    /// It was found in no error.
    #[test]
    fn the_rejection_of_a_plain_breaker_is_found_in_any_chain_of_errors() {
        let breaker = Breaker::builder().build().unwrap();
        let _held = breaker.force_open();
        let called = || breaker.call(|| io::Result::Ok(())).unwrap_err();
        let rejection = || breaker.try_acquire().map(drop).unwrap_err();
        #[derive(Debug, thiserror::Error)]
        #[error("the page cannot be shown")]
        struct Page(#[source] Box<dyn StdError + Send + Sync>);
        let errors: [Box<dyn StdError>; _] = [
            Box::new(called()),
            Box::new(rejection()),
            Box::new(io::Error::other(called())),
            Box::new(io::Error::other(io::Error::other(rejection()))),
            Box::new(Page(Box::new(called()))),
            Box::new(Page(Box::new(io::Error::other(Page(Box::new(called())))))),
            Box::new(GateError::Failed(called())),
            Box::new(CallError::Failed(called())),
            #[cfg(feature = "sqlx")]
            Box::new(sqlx::Error::Io(io::Error::other(rejection()))),
            #[cfg(feature = "sqlx")]
            Box::new(sqlx::Error::Decode(Box::new(called()))),
            #[cfg(feature = "deadpool")]
            Box::new(deadpool::managed::PoolError::Backend(called())),
            #[cfg(feature = "diesel")]
            Box::new(diesel::result::Error::QueryBuilderError(Box::new(called()))),
        ];
        for error in errors {
            let refused = refusal(&*error).unwrap_or_else(|| panic!("in {error:?}"));
            assert_eq!(refused, Refused::Breaker(Rejection::ForcedOpen));
            assert_eq!((refused.pool(), refused.retry_after()), (None, None));
            assert_eq!(refused.reason(), "forced_open");
        }
        assert_eq!(refusal(&CallError::Failed(io::Error::other("no"))), None);
    }
}
