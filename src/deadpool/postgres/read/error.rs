//! The error of cached reads and of reads with fallbacks.

use deadpool::managed::PoolError;
use tokio_postgres::Error;
use tokio_postgres::error::DbError;

use crate::pool::read_error;

/// The error of a failed read through [`Pool::cached`](crate::deadpool::postgres::Pool::cached) or
/// [`Pool::read`](crate::deadpool::postgres::Pool::read).
pub type ReadError = read_error::ReadError<PoolError<Error>, Error>;

impl<E> read_error::ReadError<E, Error> {
    /// The error that the database answered with, if it did.
    #[must_use]
    pub fn as_db_error(&self) -> Option<&DbError> {
        match self {
            Self::Statement(error) => error.as_db_error(),
            _ => None,
        }
    }
}
