//! Why a cached read, or one with a fallback, has no answer.

use std::error::Error;
use std::sync::Arc;

use crate::breaker::config::ConfigError;
use crate::cache::read_only::NotARead;
use crate::outcome::error::{DeadlineExceeded, GateError, Refused};

/// Why a read has no answer: neither the backend's, nor one from the cache or a fallback. All who
/// waited for the same load get the same error.
///
/// `E` is what goes wrong in the pool, `S` what goes wrong with a statement.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError<E, S = E> {
    /// Refused at once, and never sent.
    #[error("{0}")]
    Refused(#[from] Refused),
    /// There was no answer in time.
    #[error("{0}")]
    Deadline(#[from] DeadlineExceeded),
    /// There was no connection.
    #[error("there was no connection for the read")]
    Lease(#[source] Arc<E>),
    /// The statement failed.
    #[error("the read failed")]
    Statement(#[source] Arc<S>),
    /// Another number of rows than was asked for.
    #[error("the query returned {0} rows")]
    RowCount(usize),
    /// The statement has another number of parameters.
    #[error("the statement has {expected} parameters, and {given} were given")]
    ParameterCount {
        /// As many as the statement has.
        expected: usize,
        /// As many as were given.
        given: usize,
    },
    /// A parameter cannot be encoded as what the statement asks for.
    #[error("a parameter could not be encoded: {0}")]
    Encode(Arc<dyn Error + Send + Sync>),
    /// The statement does not only read; nothing was sent.
    #[error("{0}")]
    NotARead(#[from] NotARead),
    /// The policy or the deadline makes no sense; nothing was sent.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// The load that was waited for was stopped, because the pool was closed, or panicked.
    #[error("the load for the cache was stopped, or panicked, before it brought an answer")]
    Lost,
}

impl<E, S> ReadError<E, S> {
    /// Of a read that got no connection.
    pub(crate) fn of_lease(error: GateError<E>) -> Self {
        match error {
            GateError::Refused(refused) => refused.into(),
            GateError::Deadline(deadline) => deadline.into(),
            GateError::Failed(error) => Self::Lease(Arc::new(error)),
        }
    }
}

/// Of a read whose statement failed.
impl<E, S> From<GateError<S>> for ReadError<E, S> {
    fn from(error: GateError<S>) -> Self {
        match error {
            GateError::Refused(refused) => refused.into(),
            GateError::Deadline(deadline) => deadline.into(),
            GateError::Failed(error) => Self::Statement(Arc::new(error)),
        }
    }
}

// By hand, because a derive would ask for `E: Clone`.
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
            Self::NotARead(error) => Self::NotARead(error.clone()),
            Self::Config(error) => Self::Config(error.clone()),
            Self::Lost => Self::Lost,
        }
    }
}
