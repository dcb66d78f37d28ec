//! Refusals and deadlines as `tokio_postgres::Error`, and how such an error is classified.

use std::error::Error as StdError;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::config::SslMode;
use tokio_postgres::{Config, Error, NoTls};

use crate::breaker::config::ConfigError;
use crate::breaker::verdict::Class;
use crate::outcome::delivery::{Delivery, refuses_connection};
use crate::outcome::error::{DeadlineExceeded, GateError, Refused, refusal};
use crate::outcome::sqlstate;

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
        return match refuses_connection(Some(answer.code().code())) {
            true => Delivery::NotSent,
            false => Delivery::Answered,
        };
    }
    match kind(error) {
        Kind::Connection if error.to_string() == CONNECT => Delivery::NotSent,
        Kind::Connection => Delivery::Unknown,
        Kind::Client => Delivery::NotSent,
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
        return sqlstate::classify(answer.code().code(), answer.message());
    }
    if refusal(error).is_some() {
        return Class::Ignored;
    }
    match kind(error) {
        Kind::Connection => Class::Failure,
        Kind::Client => Class::Ignored,
        Kind::Answer => Class::Success,
    }
}

/// Where an error that is no answer of the server comes from.
enum Kind {
    /// From the connection, or from data that was received over it.
    Connection,
    /// From the client: nothing was sent.
    Client,
    /// From an answer of the database that was not the expected one.
    Answer,
}

const CONNECT: &str = "error connecting to server";

/// The kind of an error. tokio-postgres exposes it only in the error's text:
/// <https://github.com/rust-postgres/rust-postgres/issues/583>,
/// <https://github.com/rust-postgres/rust-postgres/issues/790>. An unknown text counts as an error of
/// the connection.
fn kind(error: &Error) -> Kind {
    let text = error.to_string();
    let starts = |beginnings: &[&str]| beginnings.iter().any(|start| text.starts_with(start));
    if starts(&[
        "error serializing parameter",
        "error encoding message",
        "expected ",
        "authentication error",
        "invalid connection string",
        "invalid configuration",
    ]) {
        Kind::Client
    } else if starts(&[
        "error deserializing column",
        "invalid column",
        "query returned an unexpected number of",
    ]) {
        Kind::Answer
    } else {
        Kind::Connection
    }
}

pub(super) async fn of_statement(error: GateError<Error>) -> Error {
    match error {
        GateError::Refused(rejected) => refused(rejected).await,
        GateError::Deadline(deadline) => late(deadline).await,
        GateError::Failed(error) => error,
    }
}

pub(super) async fn refused(rejected: Refused) -> Error {
    carry(ErrorKind::ConnectionRefused, rejected).await
}

async fn late(deadline: DeadlineExceeded) -> Error {
    carry(ErrorKind::TimedOut, deadline).await
}

pub(super) async fn misconfigured(error: ConfigError) -> Error {
    carry(ErrorKind::InvalidInput, error).await
}

/// A `tokio_postgres::Error` whose source is `error`.
///
/// tokio-postgres has no public constructor for its error:
/// <https://github.com/rust-postgres/rust-postgres/issues/1011>. So this connects over a stream whose
/// every operation fails with `error`. It completes without waiting.
async fn carry(
    kind: ErrorKind,
    error: impl StdError + Clone + Send + Sync + Unpin + 'static,
) -> Error {
    loop {
        let stream = Failing {
            kind,
            error: error.clone(),
        };
        if let Err(error) = UNREACHABLE.connect_raw(stream, NoTls).await {
            return error;
        }
    }
}

static UNREACHABLE: LazyLock<Config> = LazyLock::new(|| {
    let mut config = Config::new();
    config.user("nobody").ssl_mode(SslMode::Disable);
    config
});

/// A stream whose every operation fails.
struct Failing<E> {
    kind: ErrorKind,
    error: E,
}

impl<E: StdError + Clone + Send + Sync + 'static> Failing<E> {
    fn fail<T>(&self) -> Poll<io::Result<T>> {
        Poll::Ready(Err(io::Error::new(self.kind, self.error.clone())))
    }
}

impl<E: StdError + Clone + Send + Sync + Unpin + 'static> AsyncRead for Failing<E> {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.fail()
    }
}

impl<E: StdError + Clone + Send + Sync + Unpin + 'static> AsyncWrite for Failing<E> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        self.fail()
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.fail()
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.fail()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::error::deadline_exceeded;
    use std::time::Duration;

    #[tokio::test]
    async fn a_refusal_is_found_in_the_drivers_error() {
        let rejected = Refused::Saturated {
            pool: "orders".into(),
            waiting: 80,
        };
        let error = refused(rejected.clone()).await;
        assert_eq!(refusal(&error), Some(&rejected));
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
        let error = late(deadline.clone()).await;
        assert_eq!(deadline_exceeded(&error), Some(&deadline));
        assert_eq!(delivery(&error), Delivery::Unknown);
        assert_eq!(classify(&error), Class::Failure);
    }
}
