//! A statement that owns its text and its arguments.

use std::fmt;

#[cfg(feature = "sea-orm")]
use sqlx::{AssertSqlSafe, SqlSafeStr};
use sqlx::{Database, Error, Execute, SqlStr};

/// A statement taken out of a query, so that its text can be read before it is executed, and so that it
/// can be executed later, in another task, or twice.
pub(super) struct Statement<DB: Database> {
    pub(super) sql: SqlStr,
    pub(super) arguments: Option<DB::Arguments>,
    prepared: Option<DB::Statement>,
    persistent: bool,
}

impl<DB: Database> Statement<DB> {
    pub(super) fn take<'q>(mut query: impl Execute<'q, DB>) -> Result<Self, Error> {
        // The text is taken last, because that consumes the query.
        let arguments = query.take_arguments().map_err(Error::Encode)?;
        let persistent = query.persistent();
        let prepared = query.statement().cloned();
        Ok(Self {
            sql: query.sql(),
            arguments,
            prepared,
            persistent,
        })
    }

    /// A statement of a text. Without arguments, not even none, it is not prepared.
    #[cfg(feature = "sea-orm")]
    pub(super) fn new(sql: String, arguments: Option<DB::Arguments>) -> Self {
        Self {
            sql: AssertSqlSafe(sql).into_sql_str(),
            arguments,
            prepared: None,
            persistent: true,
        }
    }

    /// The same statement for any connection: the driver prepares the text again on one that has not
    /// cached it.
    pub(super) fn unprepared(self) -> Self {
        Self {
            prepared: None,
            ..self
        }
    }
}

impl<DB: Database> Execute<'static, DB> for Statement<DB> {
    fn sql(self) -> SqlStr {
        self.sql
    }

    fn statement(&self) -> Option<&DB::Statement> {
        self.prepared.as_ref()
    }

    fn take_arguments(&mut self) -> Result<Option<DB::Arguments>, sqlx::error::BoxDynError> {
        Ok(self.arguments.take())
    }

    fn persistent(&self) -> bool {
        self.persistent
    }
}

impl<DB: Database<Arguments: Clone>> Clone for Statement<DB> {
    fn clone(&self) -> Self {
        Self {
            sql: self.sql.clone(),
            arguments: self.arguments.clone(),
            prepared: self.prepared.clone(),
            persistent: self.persistent,
        }
    }
}

// Not derived: arguments may be personal data and must not be printed.
impl<DB: Database> fmt::Debug for Statement<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Statement").finish_non_exhaustive()
    }
}
