//! Why a cached read, or one with a fallback, has no answer.

use deadpool::managed::PoolError;
use tokio_postgres::Error;
use tokio_postgres::error::DbError;

use crate::pool::read_error;

/// Why a read through [`Pool::cached`](super::Pool::cached) or [`Pool::read`](super::Pool::read) has
/// no answer.
pub type ReadError = read_error::ReadError<PoolError<Error>, Error>;

impl<E> read_error::ReadError<E, Error> {
    /// What the database said, if it said anything.
    #[must_use]
    pub fn as_db_error(&self) -> Option<&DbError> {
        match self {
            Self::Statement(error) => error.as_db_error(),
            _ => None,
        }
    }
}
