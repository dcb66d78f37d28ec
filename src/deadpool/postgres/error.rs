//! The class of a driver's error, and what it tells about the statement.

use tokio_postgres::Error;
use tokio_postgres::error::{DbError, Severity};

use super::texts::{CONNECT, Kind, kind};
use crate::breaker::verdict::Class;
use crate::outcome::delivery::Delivery;
use crate::outcome::error::refusal;
use crate::outcome::sqlstate::Report;

/// Whether the statement that failed with `error` may have reached the database. In doubt, this is
/// [`Delivery::Unknown`].
///
/// Do not use it for the error in a [`PoolError`](super::PoolError): without a client, no statement
/// was sent.
///
/// ```
/// use fusepool::Delivery;
/// use fusepool::deadpool::postgres::delivery;
///
/// async fn pay(client: &fusepool::deadpool::postgres::Client) -> Result<(), &'static str> {
///     match client.execute("UPDATE account SET paid = true", &[]).await {
///         Ok(_) => Ok(()),
///         Err(error) => Err(match delivery(&error) {
///             Delivery::NotSent => "try again",
///             Delivery::Unknown => "check first whether it was paid",
///             _ => "rejected by the database",
///         }),
///     }
/// }
/// ```
#[must_use]
pub fn delivery(error: &Error) -> Delivery {
    if refusal(error).is_some() {
        return Delivery::NotSent;
    }
    if let Some(answer) = error.as_db_error() {
        return report(answer).delivery();
    }
    match kind(error) {
        Kind::Connection if error.to_string() == CONNECT => Delivery::NotSent,
        Kind::Connection => Delivery::Unknown,
        Kind::Client | Kind::Login => Delivery::NotSent,
        Kind::Answer => Delivery::Answered,
    }
}

/// The class of an error, by the table on the [module's page](super#what-errors-mean). This is the
/// default of [`PoolBuilder::classify`](super::PoolBuilder::classify).
///
/// ```
/// use fusepool::Class;
/// use fusepool::deadpool::postgres::{Config, classify};
/// use tokio_postgres::{NoTls, error::SqlState};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let config = Config { dbname: Some("shop".to_owned()), ..Config::new() };
/// // In this service, a lock timeout means that the database is overloaded.
/// let pool = config
///     .builder(NoTls)?
///     .classify(|error: &tokio_postgres::Error| match error.code() {
///         Some(&SqlState::LOCK_NOT_AVAILABLE) => Class::Failure,
///         _ => classify(error),
///     })
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn classify(error: &Error) -> Class {
    if let Some(answer) = error.as_db_error() {
        return report(answer).class();
    }
    if refusal(error).is_some() {
        return Class::Ignored;
    }
    match kind(error) {
        Kind::Connection => Class::Failure,
        Kind::Login => Class::Denied,
        Kind::Client => Class::Ignored,
        Kind::Answer => Class::Success,
    }
}

/// The report of the server in an error of the driver.
fn report(error: &DbError) -> Report<'_> {
    let is_fatal = match error.parsed_severity() {
        Some(severity) => matches!(severity, Severity::Fatal | Severity::Panic),
        // A pooler may not send it.
        None => matches!(error.severity(), "FATAL" | "PANIC"),
    };
    Report {
        code: error.code().code(),
        message: error.message(),
        is_fatal,
    }
}

#[cfg(test)]
mod tests {
    use super::super::forge::{of_statement, refused};
    use super::*;
    use crate::outcome::error::{DeadlineExceeded, GateError, Refused, deadline_exceeded};
    use std::time::Duration;

    #[tokio::test]
    async fn a_refusal_is_found_in_the_drivers_error() {
        let rejected = Refused::Saturated {
            pool: "orders".into(),
            waiting: 80,
        };
        let error = refused(rejected.clone()).await;
        assert_eq!(refusal(&error), Some(rejected));
        assert_eq!(delivery(&error), Delivery::NotSent);
        assert_eq!(classify(&error), Class::Ignored);
    }

    #[tokio::test]
    async fn a_deadline_is_found_and_its_delivery_is_unknown() {
        let deadline = DeadlineExceeded::new(
            "orders".into(),
            Duration::from_secs(30),
            crate::Awaited::Answer,
        );
        let error = of_statement(GateError::Deadline(deadline.clone())).await;
        assert_eq!(deadline_exceeded(&error), Some(&deadline));
        assert_eq!(delivery(&error), Delivery::Unknown);
        assert_eq!(classify(&error), Class::Failure);
    }
}
