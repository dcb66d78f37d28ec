//! Refusals and deadlines as `sqlx::Error`, and how an `sqlx::Error` is classified.

use std::error::Error as StdError;
use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use sqlx::Error;
use sqlx::error::DatabaseError;
use tokio::runtime::is_rt_shutdown_err;

use crate::breaker::config::ConfigError;
use crate::breaker::verdict::Class;
use crate::cache::not_a_read::NotARead;
use crate::gate::Gate;
use crate::outcome::delivery::Delivery;
#[cfg(feature = "sqlx-mysql")]
use crate::outcome::errno;
use crate::outcome::error::{DeadlineExceeded, GateError, Refused, refusal};
#[cfg(feature = "sqlx-postgres")]
use crate::outcome::sqlstate::Report;

/// Opening a connection failed; no statement was sent. The source is the [`io::Error`].
#[derive(Clone, Debug)]
pub struct CouldNotConnect {
    pool: Arc<str>,
    source: Arc<io::Error>,
}

impl fmt::Display for CouldNotConnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pool `{}` could not connect: {}", self.pool, self.source)
    }
}

impl StdError for CouldNotConnect {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.source)
    }
}

impl CouldNotConnect {
    /// The name of the pool that could not connect.
    #[must_use]
    pub fn pool(&self) -> &str {
        &self.pool
    }
}

/// Whether the statement that failed with `error` may have reached the database. Retry a write
/// without further checks only after [`Delivery::NotSent`].
///
/// ```
/// use fusepool::sqlx::{Delivery, delivery};
///
/// assert_eq!(delivery(&sqlx::Error::PoolTimedOut), Delivery::NotSent);
/// assert_eq!(delivery(&sqlx::Error::WorkerCrashed), Delivery::Unknown);
/// assert_eq!(delivery(&sqlx::Error::RowNotFound), Delivery::Answered);
/// ```
#[must_use]
pub fn delivery(error: &Error) -> Delivery {
    if refusal(error).is_some() {
        return Delivery::NotSent;
    }
    match error {
        Error::Configuration(_)
        | Error::InvalidArgument(_)
        | Error::Tls(_)
        | Error::Encode(_)
        | Error::PoolTimedOut
        | Error::PoolClosed
        | Error::InvalidSavePointStatement => Delivery::NotSent,
        Error::Io(error) => {
            let inner = error.get_ref();
            if inner.is_some_and(|error| error.is::<CouldNotConnect>()) {
                Delivery::NotSent
            } else {
                Delivery::Unknown
            }
        }
        Error::Database(error) => reported(&**error),
        Error::Protocol(_) | Error::WorkerCrashed | Error::BeginFailed => Delivery::Unknown,
        _ => Delivery::Answered,
    }
}

/// Whether a statement reached the database that reported this error.
fn reported(error: &dyn DatabaseError) -> Delivery {
    #[cfg(feature = "sqlx-postgres")]
    if let Some(report) = super::postgres::report(error) {
        return Report::delivery(report);
    }
    #[cfg(feature = "sqlx-mysql")]
    if let Some(error) = super::shared::own::<sqlx::mysql::MySqlDatabaseError>(error) {
        return errno::delivery(error.number(), error.message());
    }
    let _ = error;
    Delivery::Answered
}

/// The class of an error, as far as it is the same for all drivers. `database` classifies the
/// errors that a server reported.
pub(super) fn classify(error: &Error, database: impl FnOnce(&dyn DatabaseError) -> Class) -> Class {
    match error {
        // Of this pool, or of another guarded one.
        error if refusal(error).is_some() => Class::Ignored,
        Error::Database(error) => database(&**error),
        // The runtime on which the connection was opened has ended. The database has not failed.
        Error::Io(error) if is_rt_shutdown_err(error) => Class::Denied,
        // sqlx 0.9.0 also returns `Protocol` if a server closes the connection at the TLS request:
        // https://github.com/transact-rs/sqlx/issues/4395.
        Error::Io(_) | Error::Tls(_) | Error::Protocol(_) | Error::WorkerCrashed => Class::Failure,
        // sqlx's pool also returns this after refused connections, whose error it drops:
        // https://github.com/transact-rs/sqlx/issues/4396,
        // https://github.com/transact-rs/sqlx/issues/3808.
        Error::PoolTimedOut => Class::Starved,
        // The last three are detected before anything is sent.
        Error::PoolClosed
        | Error::Configuration(_)
        | Error::Encode(_)
        | Error::InvalidArgument(_)
        | Error::InvalidSavePointStatement => Class::Ignored,
        _ => Class::Success,
    }
}

/// The error of a failed acquire, as the caller gets it.
pub(super) fn of_acquire(gate: &Gate, error: GateError<Error>) -> Error {
    of_statement(not_acquired(gate, error))
}

/// The error of a failed acquire: a deadline becomes [`Error::PoolTimedOut`], an I/O error becomes
/// [`CouldNotConnect`].
pub(super) fn not_acquired(gate: &Gate, error: GateError<Error>) -> GateError<Error> {
    match error {
        // sqlx's error for an acquire that timed out.
        GateError::Deadline(_) => GateError::Failed(Error::PoolTimedOut),
        GateError::Failed(Error::Io(source)) => {
            let kind = source.kind();
            let could_not = CouldNotConnect {
                pool: Arc::clone(gate.breaker().name()),
                source: Arc::new(source),
            };
            GateError::Failed(Error::Io(io::Error::new(kind, could_not)))
        }
        error => error,
    }
}

/// The error of a failed statement, as the caller gets it.
pub(super) fn of_statement(error: GateError<Error>) -> Error {
    match error {
        GateError::Refused(rejected) => refused(rejected),
        GateError::Deadline(deadline) => missed(deadline),
        GateError::Failed(error) => error,
    }
}

pub(super) fn missed(deadline: DeadlineExceeded) -> Error {
    Error::Io(io::Error::new(ErrorKind::TimedOut, deadline))
}

pub(super) fn refused(rejected: Refused) -> Error {
    Error::Io(io::Error::new(ErrorKind::ConnectionRefused, rejected))
}

/// The cache load that a caller waited for was cancelled or panicked. This is no evidence about the
/// database.
#[derive(Debug, thiserror::Error)]
#[error("the cache load was cancelled or panicked before it had an answer")]
struct LostLoad;

pub(super) fn lost() -> Error {
    Error::Io(io::Error::other(LostLoad))
}

pub(super) fn is_lost(error: &Error) -> bool {
    let Error::Io(error) = error else {
        return false;
    };
    error.get_ref().is_some_and(|inner| inner.is::<LostLoad>())
}

pub(super) fn not_a_read(error: NotARead) -> Error {
    Error::Configuration(Box::new(error))
}

pub(super) fn misconfigured(error: ConfigError) -> Error {
    Error::Configuration(Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn io(kind: ErrorKind) -> Error {
        Error::Io(kind.into())
    }

    /// Errors that mean the same for all drivers.
    #[test]
    fn each_error_of_sqlx_has_a_class_and_a_delivery() {
        let table = [
            (
                io(ErrorKind::ConnectionReset),
                Class::Failure,
                Delivery::Unknown,
            ),
            (
                refused(Refused::Abandoned {
                    pool: "orders".into(),
                }),
                Class::Ignored,
                Delivery::NotSent,
            ),
            (
                Error::Protocol(String::new()),
                Class::Failure,
                Delivery::Unknown,
            ),
            (Error::WorkerCrashed, Class::Failure, Delivery::Unknown),
            (Error::Tls("no".into()), Class::Failure, Delivery::NotSent),
            (Error::PoolTimedOut, Class::Starved, Delivery::NotSent),
            (Error::PoolClosed, Class::Ignored, Delivery::NotSent),
            (
                Error::Configuration("no".into()),
                Class::Ignored,
                Delivery::NotSent,
            ),
            (
                Error::Encode("no".into()),
                Class::Ignored,
                Delivery::NotSent,
            ),
            (
                Error::InvalidSavePointStatement,
                Class::Ignored,
                Delivery::NotSent,
            ),
            (Error::RowNotFound, Class::Success, Delivery::Answered),
            (
                Error::ColumnNotFound(String::new()),
                Class::Success,
                Delivery::Answered,
            ),
            (
                Error::Decode("no".into()),
                Class::Success,
                Delivery::Answered,
            ),
        ];
        for (error, class, expected) in table {
            assert_eq!(classify(&error, |_| unreachable!()), class, "{error:?}");
            assert_eq!(delivery(&error), expected, "{error:?}");
        }
    }

    #[test]
    fn a_refusal_is_found_in_an_error_that_wraps_it() {
        #[derive(Debug, thiserror::Error)]
        #[error("the order was not taken")]
        struct OrderError(#[source] Error);

        let rejected = Refused::Saturated {
            pool: "orders".into(),
            waiting: 80,
        };
        let error = OrderError(refused(rejected.clone()));
        assert_eq!(crate::refusal(&error), Some(rejected));
        assert_eq!(delivery(&error.0), Delivery::NotSent);
        assert_eq!(crate::refusal(&Error::PoolClosed), None);
    }

    #[test]
    fn a_refusal_of_another_pool_is_no_evidence_however_it_is_wrapped() {
        let rejected = || {
            refused(Refused::Abandoned {
                pool: "orders".into(),
            })
        };
        for error in [
            Error::Configuration(Box::new(rejected())),
            Error::Decode(Box::new(rejected())),
            Error::Tls(Box::new(rejected())),
            Error::Io(io::Error::other(rejected())),
        ] {
            assert_eq!(
                classify(&error, |_| unreachable!()),
                Class::Ignored,
                "{error:?}"
            );
            assert_eq!(delivery(&error), Delivery::NotSent, "{error:?}");
        }
    }

    #[test]
    fn a_deadline_is_found_and_its_delivery_is_unknown() {
        let deadline = crate::DeadlineExceeded::new(
            "orders".into(),
            Duration::from_secs(30),
            crate::Awaited::Answer,
        );
        let error = of_statement(GateError::Deadline(deadline.clone()));
        assert_eq!(crate::deadline_exceeded(&error), Some(&deadline));
        assert_eq!(delivery(&error), Delivery::Unknown);
    }

    #[test]
    fn a_failure_to_connect_keeps_its_kind_and_names_the_pool() {
        let failed = GateError::Failed(io(ErrorKind::HostUnreachable));
        let gate = Gate::builder(crate::Breaker::builder().name("orders"));
        let error = of_acquire(&gate.build().unwrap(), failed);
        assert_eq!(delivery(&error), Delivery::NotSent);
        assert!(matches!(&error, Error::Io(io) if io.kind() == ErrorKind::HostUnreachable));
        assert!(
            error
                .to_string()
                .contains("pool `orders` could not connect"),
            "{error}"
        );
    }
}
