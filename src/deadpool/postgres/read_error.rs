//! Why a cached read, or one with a fallback, has no answer.

use std::error::Error as StdError;
use std::sync::Arc;

use tokio_postgres::Error;
use tokio_postgres::error::DbError;

use crate::breaker::config::ConfigError;
use crate::cache::read_only::NotARead;
use crate::deadpool::error::PoolError;
use crate::outcome::error::{DeadlineExceeded, Refused, deadline_exceeded, refusal};

/// Why a read through [`Pool::cached`](super::Pool::cached) or [`Pool::read`](super::Pool::read) has
/// no answer. All who waited for the same load get the same error.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Refused at once, and never sent.
    #[error("{0}")]
    Refused(#[from] Refused),
    /// It was not answered in time.
    #[error("{0}")]
    Deadline(#[from] DeadlineExceeded),
    /// There was no connection.
    #[error("there was no connection for the read")]
    Pool(#[source] Arc<PoolError<Error>>),
    /// The statement failed; [`as_db_error`](Self::as_db_error) is what the database said.
    #[error("the read failed")]
    Statement(#[source] Arc<Error>),
    /// `query_one` got another number of rows than one, or `query_opt` more than one.
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
    Encode(Arc<dyn StdError + Send + Sync>),
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

impl ReadError {
    /// What the database said, if it said anything.
    #[must_use]
    pub fn as_db_error(&self) -> Option<&DbError> {
        match self {
            Self::Statement(error) => error.as_db_error(),
            _ => None,
        }
    }

    pub(super) fn encode(error: Box<dyn StdError + Send + Sync>) -> Self {
        Self::Encode(error.into())
    }
}

impl From<Error> for ReadError {
    /// Refusals and deadlines travel inside of the driver's own error.
    fn from(error: Error) -> Self {
        if let Some(rejected) = refusal(&error) {
            return rejected.clone().into();
        }
        if let Some(deadline) = deadline_exceeded(&error) {
            return deadline.clone().into();
        }
        Self::Statement(Arc::new(error))
    }
}

impl From<PoolError<Error>> for ReadError {
    fn from(error: PoolError<Error>) -> Self {
        match error {
            PoolError::Refused(rejected) => rejected.into(),
            error => Self::Pool(Arc::new(error)),
        }
    }
}
