//! Refusals and deadlines as `tokio_postgres::Error`.

use std::error::Error as StdError;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::config::SslMode;
use tokio_postgres::{Config, Error, NoTls};

use crate::breaker::config::ConfigError;
use crate::outcome::error::{DeadlineExceeded, GateError, Refused};

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
