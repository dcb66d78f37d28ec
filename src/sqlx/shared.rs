//! An error that several callers share, because they waited for the same load.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use sqlx::Error;
use sqlx::error::{DatabaseError, ErrorKind};

/// The driver's own error in `error`, such as a `PgDatabaseError`. `None` if the database did not report
/// this error, or if it is that of another driver.
///
/// If several callers waited for the same load of a [cached](crate::sqlx::ReadExt::cached) read, they
/// share its error. sqlx's `try_downcast_ref` and `try_downcast` do not find the driver's error in such
/// an error; this does. The methods of [`DatabaseError`], such as its code and its message, are the same
/// for both.
///
#[cfg_attr(feature = "sqlx-postgres", doc = "```")]
#[cfg_attr(not(feature = "sqlx-postgres"), doc = "```ignore")]
/// use sqlx::postgres::PgDatabaseError;
///
/// fn hint(error: &sqlx::Error) -> Option<&str> {
///     fusepool::sqlx::database_error::<PgDatabaseError>(error)?.hint()
/// }
/// assert_eq!(hint(&sqlx::Error::RowNotFound), None);
/// ```
#[must_use]
pub fn database_error<E: DatabaseError>(error: &Error) -> Option<&E> {
    own(error.as_database_error()?)
}

/// The driver's own error, which several callers may share.
pub(super) fn own<E: DatabaseError>(error: &dyn DatabaseError) -> Option<&E> {
    match error.as_error().downcast_ref::<Shared>() {
        Some(shared) => own(shared.database()?),
        None => error.as_error().downcast_ref(),
    }
}

/// The inner error of a shared error. It takes the place of the inner error in a copy, so that the
/// copy prints the same text.
#[derive(Debug)]
pub(super) struct Shared(pub(super) Arc<Error>);

impl Shared {
    fn inner(&self) -> &(dyn StdError + 'static) {
        match &*self.0 {
            Error::Io(error) => match error.get_ref() {
                Some(inner) => inner,
                None => error,
            },
            Error::Database(error) => error.as_error(),
            error => error.source().unwrap_or(error),
        }
    }

    fn database(&self) -> Option<&dyn DatabaseError> {
        self.0.as_database_error()
    }
}

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.inner(), f)
    }
}

impl StdError for Shared {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.inner().source()
    }
}

/// [`database_error`] finds the driver's own error in it. `try_downcast_ref` does not: whatever that finds,
/// `try_downcast` must return by value, and the driver's errors cannot be cloned.
impl DatabaseError for Shared {
    fn message(&self) -> &str {
        self.database().map_or("", DatabaseError::message)
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        self.database()?.code()
    }

    fn as_error(&self) -> &(dyn StdError + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn StdError + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn StdError + Send + Sync + 'static> {
        self
    }

    fn constraint(&self) -> Option<&str> {
        self.database()?.constraint()
    }

    fn table(&self) -> Option<&str> {
        self.database()?.table()
    }

    fn kind(&self) -> ErrorKind {
        self.database()
            .map_or(ErrorKind::Other, DatabaseError::kind)
    }
}
