//! sqlx's errors as SeaORM's, and what they say about a statement.

use std::io;
use std::sync::Arc;

use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr};
use sqlx::Error;

use crate::outcome::delivery::Delivery;
use crate::outcome::error::Refused;
use crate::sqlx::error::{self, CouldNotConnect};
use crate::sqlx::shared::Shared;

/// The sqlx error in `error`, if there is one.
///
/// SeaORM does not name it as the source of its error, so other code that searches the sources does not
/// find it. [`refusal`](crate::refusal) and [`deadline_exceeded`](crate::deadline_exceeded) do.
///
/// ```
/// # use sea_orm::DbErr;
/// fn code(error: &DbErr) -> Option<String> {
///     let error = fusepool::sqlx::sea_orm::sqlx_error(error)?;
///     Some(error.as_database_error()?.code()?.into_owned())
/// }
/// assert_eq!(code(&DbErr::RecordNotInserted), None);
/// ```
#[must_use]
pub fn sqlx_error(error: &DbErr) -> Option<&Error> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => Some(error),
        _ => None,
    }
}

/// Whether the statement that failed with `error` may have reached the database. Retry a write without
/// further checks only after [`Delivery::NotSent`]. Errors of the application's own are
/// [`Delivery::Unknown`].
///
/// ```
/// use fusepool::sqlx::sea_orm::{Delivery, delivery};
/// use sea_orm::{ConnAcquireErr, DbErr};
///
/// let error = DbErr::ConnectionAcquire(ConnAcquireErr::Timeout);
/// assert_eq!(delivery(&error), Delivery::NotSent);
/// assert_eq!(delivery(&DbErr::RecordNotUpdated), Delivery::Answered);
/// assert_eq!(delivery(&DbErr::Custom("no stock".into())), Delivery::Unknown);
/// ```
#[must_use]
pub fn delivery(error: &DbErr) -> Delivery {
    if let Some(error) = sqlx_error(error) {
        return error::delivery(error);
    }
    match error {
        DbErr::ConnectionAcquire(_)
        | DbErr::UpdateGetPrimaryKey
        | DbErr::PrimaryKeyNotSet { .. }
        | DbErr::AttrNotSet(_)
        | DbErr::BackendNotSupported { .. }
        | DbErr::AccessDenied { .. } => Delivery::NotSent,
        DbErr::RecordNotFound(_)
        | DbErr::RecordNotUpdated
        | DbErr::UnpackInsertId
        | DbErr::Type(_) => Delivery::Answered,
        _ => Delivery::Unknown,
    }
}

/// The error of a statement, as the caller gets it. `kind` says what the statement was to do; an error
/// before it was sent is one of the connection, as in SeaORM.
pub(super) fn of(kind: fn(RuntimeErr) -> DbErr, error: Error) -> DbErr {
    match error {
        Error::PoolTimedOut => DbErr::ConnectionAcquire(ConnAcquireErr::Timeout),
        Error::PoolClosed => DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed),
        error => match of_mapping(&error) {
            Some(error) => error.clone(),
            None => {
                let kind = if is_of_connection(&error) {
                    DbErr::Conn
                } else {
                    kind
                };
                kind(RuntimeErr::SqlxError(Arc::new(error)))
            }
        },
    }
}

fn is_of_connection(error: &Error) -> bool {
    let Error::Io(error) = error else {
        return false;
    };
    let holds = |inner: &(dyn std::error::Error + Send + Sync + 'static)| {
        inner.is::<CouldNotConnect>() || inner.is::<Refused>()
    };
    io::Error::get_ref(error).is_some_and(holds)
}

/// An error with which SeaORM rejected a row of a cached read, as sqlx's.
pub(super) fn rejected_row(error: DbErr) -> Error {
    Error::Decode(Box::new(error))
}

/// The error with which SeaORM rejected a row.
fn of_mapping(error: &Error) -> Option<&DbErr> {
    let Error::Decode(inner) = error else {
        return None;
    };
    match inner.downcast_ref::<Shared>() {
        Some(shared) => of_mapping(&shared.0),
        None => inner.downcast_ref(),
    }
}

/// The error as sqlx's, for the rules about errors of sqlx.
pub(super) fn judged<T>(error: &DbErr, judge: impl FnOnce(&Error) -> Option<T>) -> Option<T> {
    match error {
        DbErr::ConnectionAcquire(ConnAcquireErr::Timeout) => judge(&Error::PoolTimedOut),
        DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed) => judge(&Error::PoolClosed),
        error => judge(sqlx_error(error)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::error::{DeadlineExceeded, deadline_exceeded, refusal};
    use crate::{Awaited, GateError};
    use std::time::Duration;

    fn refused() -> Error {
        error::refused(Refused::Saturated {
            pool: "orders".into(),
            waiting: 80,
        })
    }

    #[test]
    fn refusals_and_deadlines_are_found_in_errors_of_seaorm() {
        let error = of(DbErr::Exec, refused());
        assert!(matches!(error, DbErr::Conn(_)), "{error:?}");
        assert_eq!(refusal(&error).unwrap().pool(), Some("orders"));
        assert_eq!(delivery(&error), Delivery::NotSent);
        let error = sea_orm::TransactionError::<DbErr>::Connection(error);
        assert_eq!(refusal(&error).unwrap().pool(), Some("orders"));

        let late = DeadlineExceeded::new("orders".into(), Duration::from_secs(3), Awaited::Answer);
        let error = of(
            DbErr::Exec,
            error::of_statement(GateError::Deadline(late.clone())),
        );
        assert!(matches!(error, DbErr::Exec(_)), "{error:?}");
        assert_eq!(deadline_exceeded(&error), Some(&late));
        assert_eq!(delivery(&error), Delivery::Unknown);
        assert_eq!(refusal(&error), None);
    }

    #[test]
    fn an_error_of_a_shared_load_is_the_one_of_the_row() {
        let row = || DbErr::Type("no such enum".into());
        let error = of(DbErr::Query, rejected_row(row()));
        assert_eq!(error, row());
        let shared = Shared(Arc::new(rejected_row(row())));
        let error = of(DbErr::Query, Error::Decode(Box::new(shared)));
        assert_eq!(error, row());
    }
}
