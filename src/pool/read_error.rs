//! Errors of reads with a cache or with fallbacks.

use std::error::Error;
use std::sync::Arc;

use crate::breaker::config::ConfigError;
use crate::cache::not_a_read::NotARead;
use crate::outcome::error::{DeadlineExceeded, GateError, Refused};

/// The error of a read with a cache or with fallbacks. All callers that waited for the same load
/// receive the same error.
///
/// The first four variants and [`Lost`](Self::Lost) can be hidden by a fallback, unless the backend
/// answered with the error. The others are always returned. `E` is the error of the pool, and `S` that of a statement.
///
/// ```
/// use fusepool::ReadError;
///
/// fn status<E>(error: &ReadError<E>) -> u16 {
///     match error {
///         ReadError::Refused(_) | ReadError::Lease(_) | ReadError::Lost => 503,
///         ReadError::Deadline(_) => 504,
///         _ => 500,
///     }
/// }
/// # assert_eq!(status::<std::io::Error>(&ReadError::Lost), 503);
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError<E, S = E> {
    /// The read was refused, and never sent.
    #[error("{0}")]
    Refused(#[from] Refused),
    /// No connection or no answer arrived in time.
    #[error("{0}")]
    Deadline(#[from] DeadlineExceeded),
    /// The pool returned an error instead of a connection.
    #[error("no connection was obtained for the read")]
    Lease(#[source] Arc<E>),
    /// The statement failed.
    #[error("the read failed")]
    Statement(#[source] Arc<S>),
    /// The query returned another number of rows than the read requires.
    #[error("the query returned {0} rows")]
    RowCount(usize),
    /// The statement has another number of parameters than were given.
    #[error("the statement has {expected} parameters, and {given} were given")]
    ParameterCount {
        /// The number of parameters that the statement has.
        expected: usize,
        /// The number of parameters that were given.
        given: usize,
    },
    /// A parameter cannot be encoded as the type that the statement requires.
    #[error("a parameter could not be encoded: {0}")]
    Encode(Arc<dyn Error + Send + Sync>),
    /// The statement does not only read. Nothing was sent.
    #[error("{0}")]
    NotARead(#[from] NotARead),
    /// The policy or the deadline is invalid. Nothing was sent.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// The load that the read waited for panicked, or was stopped because the last handle of the pool
    /// was dropped.
    #[error("the load for the cache was stopped, or panicked, before it returned an answer")]
    Lost,
}

impl<E, S> ReadError<E, S> {
    /// The error of a read that obtained no connection.
    pub(crate) fn of_lease(error: GateError<E>) -> Self {
        match error {
            GateError::Refused(refused) => refused.into(),
            GateError::Deadline(deadline) => deadline.into(),
            GateError::Failed(error) => Self::Lease(Arc::new(error)),
        }
    }
}

/// The error of a read whose statement failed.
impl<E, S> From<GateError<S>> for ReadError<E, S> {
    fn from(error: GateError<S>) -> Self {
        match error {
            GateError::Refused(refused) => refused.into(),
            GateError::Deadline(deadline) => deadline.into(),
            GateError::Failed(error) => Self::Statement(Arc::new(error)),
        }
    }
}

// Written by hand, because a derive would require `E: Clone`.
impl<E, S> Clone for ReadError<E, S> {
    fn clone(&self) -> Self {
        match self {
            Self::Refused(refused) => Self::Refused(refused.clone()),
            Self::Deadline(deadline) => Self::Deadline(deadline.clone()),
            Self::Lease(error) => Self::Lease(Arc::clone(error)),
            Self::Statement(error) => Self::Statement(Arc::clone(error)),
            Self::RowCount(rows) => Self::RowCount(*rows),
            &Self::ParameterCount { expected, given } => Self::ParameterCount { expected, given },
            Self::Encode(error) => Self::Encode(Arc::clone(error)),
            Self::NotARead(error) => Self::NotARead(*error),
            Self::Config(error) => Self::Config(error.clone()),
            Self::Lost => Self::Lost,
        }
    }
}
