//! One error for all callers that waited for the same load.

use std::io;
use std::sync::Arc;

use sqlx::Error;
use sqlx::error::BoxDynError;

use crate::pool::read_error::ReadError;
use crate::sqlx::error::{self, CouldNotConnect};
use crate::sqlx::shared::Shared;

/// The error of a failed read, as the caller gets it.
pub(super) fn of_read(error: Arc<ReadError<Error>>) -> Error {
    match ReadError::clone(&error) {
        ReadError::Refused(refused) => error::refused(refused),
        ReadError::Deadline(deadline) => error::missed(deadline),
        ReadError::Config(config) => error::misconfigured(config),
        ReadError::NotARead(not_a_read) => error::not_a_read(not_a_read),
        ReadError::Lease(shared) | ReadError::Statement(shared) => {
            drop(error);
            of_all(shared)
        }
        _ => error::lost(),
    }
}

/// A copy of an error that several callers share, with the same text and source. A single caller gets
/// the error itself. The copy has the same variant, unless that is not listed here: then it is an
/// [`Error::Io`].
///
/// `sqlx::Error` is not `Clone`: <https://github.com/transact-rs/sqlx/issues/1364>.
fn of_all(error: Arc<Error>) -> Error {
    let error = match Arc::try_unwrap(error) {
        Ok(error) => return error,
        Err(error) => error,
    };
    match &*error {
        Error::Io(io) => {
            let kind = io.kind();
            let inner = io.get_ref();
            match inner.and_then(|inner| inner.downcast_ref::<CouldNotConnect>()) {
                Some(could_not) => Error::Io(io::Error::new(kind, could_not.clone())),
                None => Error::Io(io::Error::new(kind, Shared(error))),
            }
        }
        Error::Database(_) => Error::Database(Box::new(Shared(error))),
        Error::Configuration(_) => Error::Configuration(boxed(error)),
        Error::Tls(_) => Error::Tls(boxed(error)),
        Error::Encode(_) => Error::Encode(boxed(error)),
        Error::Decode(_) => Error::Decode(boxed(error)),
        Error::ColumnDecode { index, .. } => Error::ColumnDecode {
            index: index.clone(),
            source: boxed(error),
        },
        Error::Protocol(said) => Error::Protocol(said.clone()),
        Error::InvalidArgument(said) => Error::InvalidArgument(said.clone()),
        Error::TypeNotFound { type_name } => Error::TypeNotFound {
            type_name: type_name.clone(),
        },
        Error::ColumnIndexOutOfBounds { index, len } => Error::ColumnIndexOutOfBounds {
            index: *index,
            len: *len,
        },
        Error::ColumnNotFound(name) => Error::ColumnNotFound(name.clone()),
        Error::RowNotFound => Error::RowNotFound,
        Error::PoolTimedOut => Error::PoolTimedOut,
        Error::PoolClosed => Error::PoolClosed,
        Error::WorkerCrashed => Error::WorkerCrashed,
        _ => Error::Io(io::Error::other(Shared(error))),
    }
}

fn boxed(error: Arc<Error>) -> BoxDynError {
    Box::new(Shared(error))
}
