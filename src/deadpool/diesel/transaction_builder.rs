//! Configures a transaction.

use std::fmt;

use diesel::result::Error;
use diesel_async::{AnsiTransactionManager, AsyncPgConnection as Raw, TransactionManager};

use super::connection::Connection;

/// Configures a transaction on a guarded connection: its isolation level, read mode and
/// deferrability.
///
/// This replaces diesel-async's `TransactionBuilder`, which works only with diesel-async's own
/// connections. What is not set is the database's default.
///
/// ```no_run
/// # use diesel_async::RunQueryDsl;
/// # async fn run(conn: &mut fusepool::deadpool::diesel::AsyncPgConnection) -> diesel::QueryResult<usize> {
/// conn.build_transaction()
///     .serializable()
///     .run(async |conn| diesel::sql_query("DELETE FROM dish").execute(conn).await)
///     .await
/// # }
/// ```
#[must_use = "a transaction builder does nothing until it runs"]
pub struct TransactionBuilder<'c> {
    connection: &'c mut Connection<Raw>,
    isolation_level: &'static str,
    read_mode: &'static str,
    deferrable: &'static str,
}

impl<'c> TransactionBuilder<'c> {
    pub(super) fn new(connection: &'c mut Connection<Raw>) -> Self {
        Self {
            connection,
            isolation_level: "",
            read_mode: "",
            deferrable: "",
        }
    }

    /// Begins the transaction with `READ ONLY`.
    pub fn read_only(mut self) -> Self {
        self.read_mode = " READ ONLY";
        self
    }

    /// Begins the transaction with `READ WRITE`.
    pub fn read_write(mut self) -> Self {
        self.read_mode = " READ WRITE";
        self
    }

    /// Begins the transaction with `DEFERRABLE`.
    pub fn deferrable(mut self) -> Self {
        self.deferrable = " DEFERRABLE";
        self
    }

    /// Begins the transaction with `NOT DEFERRABLE`.
    pub fn not_deferrable(mut self) -> Self {
        self.deferrable = " NOT DEFERRABLE";
        self
    }

    /// Begins the transaction with `ISOLATION LEVEL READ COMMITTED`.
    pub fn read_committed(mut self) -> Self {
        self.isolation_level = " ISOLATION LEVEL READ COMMITTED";
        self
    }

    /// Begins the transaction with `ISOLATION LEVEL REPEATABLE READ`.
    pub fn repeatable_read(mut self) -> Self {
        self.isolation_level = " ISOLATION LEVEL REPEATABLE READ";
        self
    }

    /// Begins the transaction with `ISOLATION LEVEL SERIALIZABLE`.
    pub fn serializable(mut self) -> Self {
        self.isolation_level = " ISOLATION LEVEL SERIALIZABLE";
        self
    }

    /// Runs `callback` in the transaction. Commits if it returns `Ok`, and rolls back otherwise.
    ///
    /// # Errors
    ///
    /// The error of the callback, or of `BEGIN`, `COMMIT` or `ROLLBACK`.
    pub async fn run<T, E, F>(&mut self, callback: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&mut Connection<Raw>) -> Result<T, E>,
        E: From<Error>,
    {
        let begin = self.begin();
        let connection = &mut *self.connection;
        AnsiTransactionManager::begin_transaction_sql(connection, &begin).await?;
        match callback(connection).await {
            Ok(value) => {
                AnsiTransactionManager::commit_transaction(connection).await?;
                Ok(value)
            }
            Err(error) => match AnsiTransactionManager::rollback_transaction(connection).await {
                // The callback's error says why the transaction broke.
                Ok(()) | Err(Error::BrokenTransactionManager) => Err(error),
                Err(error) => Err(error.into()),
            },
        }
    }

    fn begin(&self) -> String {
        let Self {
            isolation_level,
            read_mode,
            deferrable,
            ..
        } = self;
        format!("BEGIN TRANSACTION{isolation_level}{read_mode}{deferrable}")
    }
}

impl fmt::Debug for TransactionBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionBuilder")
            .field("begin", &self.begin())
            .finish_non_exhaustive()
    }
}
