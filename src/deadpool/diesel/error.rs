//! Refusals and deadlines as `diesel::result::Error`, and how such an error is classified.

use std::error::Error as StdError;

use diesel::ConnectionError;
use diesel::result::{DatabaseErrorKind, Error};
use diesel_async::pooled_connection::PoolError;

use super::driver::Driver;
use super::texts::{self, CLIENT_ERRORS, DRIVER_ERRORS};
use crate::breaker::config::ConfigError;
use crate::breaker::verdict::Class;
use crate::outcome::delivery::Delivery;
#[cfg(feature = "diesel-mysql")]
use crate::outcome::errno;
use crate::outcome::error::{DeadlineExceeded, GateError, Refused, deadline_exceeded, refusal};
#[cfg(feature = "diesel-postgres")]
use crate::outcome::sqlstate::Report;

/// An error that is its own source. diesel returns the source of a boxed error, not the error
/// itself.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Held<E: StdError + 'static>(#[source] E);

/// A refusal as diesel's error. After an abandoned statement, it is the error that makes diesel
/// treat an open transaction as broken.
pub(super) fn refused(rejected: Refused) -> Error {
    match rejected {
        Refused::Abandoned { .. } => Error::BrokenTransactionManager,
        rejected => Error::QueryBuilderError(Box::new(Held(rejected))),
    }
}

pub(super) fn missed(deadline: DeadlineExceeded) -> Error {
    Error::DeserializationError(Box::new(Held(deadline)))
}

pub(super) fn misconfigured(config: ConfigError) -> Error {
    Error::QueryBuilderError(Box::new(Held(config)))
}

/// The error of a failed statement, as the caller gets it.
pub(super) fn of_statement(error: GateError<PoolError>) -> Error {
    match error {
        GateError::Refused(rejected) => refused(rejected),
        GateError::Deadline(deadline) => missed(deadline),
        GateError::Failed(PoolError::QueryError(error)) => error,
        // A statement does not fail with this variant.
        GateError::Failed(error) => Error::QueryBuilderError(Box::new(error)),
    }
}

/// Where an error comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// From this process: nothing was sent.
    Client,
    /// From the connection between client and server.
    Connection,
    /// From the server, or from its answer.
    Server,
}

/// The origin of an error, by its kind and its message.
///
/// diesel has no place for an error's code: <https://github.com/diesel-rs/diesel/pull/1395>,
/// <https://github.com/diesel-rs/diesel/pull/5232>. diesel-async has set the kinds since
/// <https://github.com/diesel-rs/diesel_async/pull/74>.
fn origin(error: &Error) -> Origin {
    match error {
        Error::DatabaseError(kind, info) => {
            let starts_with =
                |starts: &[&str]| starts.iter().any(|start| info.message().starts_with(start));
            let unanswered = match kind {
                DatabaseErrorKind::UnableToSendCommand | DatabaseErrorKind::ClosedConnection => {
                    true
                }
                DatabaseErrorKind::Unknown => starts_with(&DRIVER_ERRORS),
                _ => false,
            };
            match unanswered {
                true if starts_with(&CLIENT_ERRORS) => Origin::Client,
                true => Origin::Connection,
                false => Origin::Server,
            }
        }
        Error::NotFound | Error::DeserializationError(_) | Error::IntegerConversion(_) => {
            Origin::Server
        }
        Error::RollbackErrorOnCommit { commit_error, .. } => origin(commit_error),
        _ => Origin::Client,
    }
}

/// Whether the statement that failed with `error` may have reached the database. Retry a write
/// without further checks only after [`Delivery::NotSent`].
///
/// ```
/// use diesel::result::{DatabaseErrorKind, Error};
/// use fusepool::Delivery;
/// use fusepool::deadpool::diesel::delivery;
///
/// let lost = Error::DatabaseError(
///     DatabaseErrorKind::UnableToSendCommand,
///     Box::new("connection closed".to_owned()),
/// );
/// assert_eq!(delivery(&lost), Delivery::Unknown);
/// assert_eq!(delivery(&Error::NotFound), Delivery::Answered);
/// ```
#[must_use]
pub fn delivery(error: &Error) -> Delivery {
    if refusal(error).is_some() {
        return Delivery::NotSent;
    }
    if deadline_exceeded(error).is_some() {
        return Delivery::Unknown;
    }
    match origin(error) {
        Origin::Client => Delivery::NotSent,
        Origin::Connection => Delivery::Unknown,
        Origin::Server => match database_error(error) {
            Some((kind, message)) => reported(kind, message),
            None => Delivery::Answered,
        },
    }
}

/// Whether a statement reached the server that reported this error. The message tells PostgreSQL from
/// MySQL.
fn reported(kind: &DatabaseErrorKind, message: &str) -> Delivery {
    #[cfg(feature = "diesel-postgres")]
    match report(kind, message, false) {
        Report { code: "", .. } => {}
        report => return report.delivery(),
    }
    #[cfg(feature = "diesel-mysql")]
    match texts::number(message) {
        0 => {}
        number => return errno::delivery(number, message),
    }
    let _ = (kind, message);
    Delivery::Answered
}

/// The report of a PostgreSQL server in an error of the driver. The severity is lost: the message alone
/// tells whether the session has ended, unless it was not yet opened.
#[cfg(feature = "diesel-postgres")]
pub(super) fn report<'r>(kind: &DatabaseErrorKind, message: &'r str, is_login: bool) -> Report<'r> {
    Report {
        code: texts::code(*kind, message),
        message,
        is_fatal: is_login || message.starts_with("terminating connection "),
    }
}

/// The class of an error of a pool or a statement, by the tables on the
/// [module's page](super#what-errors-mean). `R` is the driver's connection.
///
/// This is the default of [`PoolBuilder::classify`](super::PoolBuilder::classify).
///
#[cfg_attr(feature = "diesel-postgres", doc = "```")]
#[cfg_attr(not(feature = "diesel-postgres"), doc = "```ignore")]
/// use diesel::result::{DatabaseErrorKind, Error};
/// use diesel_async::pooled_connection::PoolError;
/// use fusepool::Class;
/// use fusepool::deadpool::diesel::{
///     AsyncDieselConnectionManager, AsyncPgConnection, Pool, classify,
/// };
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let config = AsyncDieselConnectionManager::new("postgres://localhost/shop");
/// // In this service, a row that is locked means that the database is overloaded.
/// let pool: Pool<AsyncPgConnection> = Pool::builder(config)
///     .classify(|error: &PoolError| match error {
///         PoolError::QueryError(Error::DatabaseError(_, info))
///             if info.message().starts_with("could not obtain lock") =>
///         {
///             Class::Failure
///         }
///         _ => classify::<diesel_async::AsyncPgConnection>(error),
///     })
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn classify<R: Driver>(error: &PoolError) -> Class {
    let of = |error: &Error, is_login: bool| match origin(error) {
        _ if refusal(error).is_some() => Class::Ignored,
        Origin::Client => Class::Ignored,
        Origin::Connection => Class::Failure,
        Origin::Server => R::classify(error, is_login),
    };
    match error {
        PoolError::QueryError(error) => of(error, false),
        PoolError::ConnectionError(ConnectionError::CouldntSetupConfiguration(error)) => {
            of(error, true)
        }
        PoolError::ConnectionError(
            ConnectionError::InvalidConnectionUrl(_) | ConnectionError::InvalidCString(_),
        ) => Class::Ignored,
        PoolError::ConnectionError(_) => Class::Failure,
    }
}

/// Whether the server itself reported this error.
pub(super) fn answered(error: &PoolError) -> bool {
    match error {
        PoolError::QueryError(error) => origin(error) == Origin::Server,
        PoolError::ConnectionError(_) => false,
    }
}

/// The kind and message of a `DatabaseError`.
pub(super) fn database_error(error: &Error) -> Option<(&DatabaseErrorKind, &str)> {
    match error {
        Error::DatabaseError(kind, info) => Some((kind, info.message())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use diesel::result::DatabaseErrorKind::{UnableToSendCommand, UniqueViolation, Unknown};

    use super::*;

    #[test]
    fn each_error_has_an_origin() {
        for (kind, message, expected) in [
            // Messages of tokio-postgres.
            (
                UnableToSendCommand,
                "error communicating with the server",
                Origin::Connection,
            ),
            (UnableToSendCommand, "connection closed", Origin::Connection),
            (
                UnableToSendCommand,
                "error connecting to server",
                Origin::Connection,
            ),
            (
                UnableToSendCommand,
                "error serializing parameter 0",
                Origin::Client,
            ),
            (
                UnableToSendCommand,
                "error encoding message to server",
                Origin::Client,
            ),
            (
                UnableToSendCommand,
                "expected 1 parameters but got 2",
                Origin::Client,
            ),
            // Messages of mysql_async.
            (
                Unknown,
                "Input/output error: Input/output error: Connection reset by peer (os error 104)",
                Origin::Connection,
            ),
            (
                Unknown,
                "Driver error: `Connection to the server is closed.'",
                Origin::Connection,
            ),
            (
                Unknown,
                "Driver error: `Statement takes 1 parameters but 2 was supplied.'",
                Origin::Client,
            ),
            (Unknown, "relation \"dish\" does not exist", Origin::Server),
            (UniqueViolation, "Driver error: no", Origin::Server),
        ] {
            let error = Error::DatabaseError(kind, Box::new(message.to_owned()));
            assert_eq!(origin(&error), expected, "{message}");
        }
        assert_eq!(origin(&Error::NotFound), Origin::Server);
        assert_eq!(origin(&Error::BrokenTransactionManager), Origin::Client);
    }

    #[test]
    fn the_outcome_is_unknown_where_the_server_cannot_say_it() {
        for (message, expected) in [
            #[cfg(feature = "diesel-postgres")]
            (
                "result is ambiguous: error=node unavailable",
                Delivery::Unknown,
            ),
            #[cfg(feature = "diesel-postgres")]
            ("server conn crashed?", Delivery::Unknown),
            #[cfg(feature = "diesel-postgres")]
            ("query_wait_timeout", Delivery::NotSent),
            #[cfg(feature = "diesel-mysql")]
            (
                "Lost connection to MySQL server during query",
                Delivery::Unknown,
            ),
            #[cfg(feature = "diesel-mysql")]
            ("Too many connections", Delivery::NotSent),
            ("relation \"dish\" does not exist", Delivery::Answered),
        ] {
            let error = Error::DatabaseError(Unknown, Box::new(message.to_owned()));
            assert_eq!(delivery(&error), expected, "{message}");
        }
    }

    #[test]
    fn refusals_and_deadlines_are_found() {
        let rejected = Refused::Saturated {
            pool: "db".into(),
            waiting: 1,
        };
        let error = refused(rejected.clone());
        assert_eq!(refusal(&error), Some(rejected.clone()));
        assert_eq!(error.to_string(), rejected.to_string());
        assert_eq!(delivery(&error), Delivery::NotSent);

        let wrapped = Error::DeserializationError(Box::new(Held(rejected)));
        assert!(refusal(&wrapped).is_some());
        #[cfg(feature = "diesel-postgres")]
        assert_eq!(
            classify::<diesel_async::AsyncPgConnection>(&PoolError::QueryError(wrapped)),
            Class::Ignored
        );

        let missed_by = DeadlineExceeded::new(
            "db".into(),
            std::time::Duration::from_secs(1),
            crate::Awaited::Answer,
        );
        let error = missed(missed_by.clone());
        assert_eq!(deadline_exceeded(&error), Some(&missed_by));
        assert_eq!(delivery(&error), Delivery::Unknown);
    }
}
