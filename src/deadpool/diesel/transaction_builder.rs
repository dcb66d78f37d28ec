//! Transactions with an isolation level and the like.

use std::fmt;

use diesel::result::Error;
use diesel_async::{AnsiTransactionManager, AsyncPgConnection as Raw, TransactionManager};

use super::connection::Connection;

/// Starts a transaction with an isolation level and the like: diesel-async's `TransactionBuilder` for
/// guarded connections, which diesel-async itself makes for its own alone.
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

    /// `READ ONLY`.
    pub fn read_only(mut self) -> Self {
        self.read_mode = " READ ONLY";
        self
    }

    /// `READ WRITE`.
    pub fn read_write(mut self) -> Self {
        self.read_mode = " READ WRITE";
        self
    }

    /// `DEFERRABLE`.
    pub fn deferrable(mut self) -> Self {
        self.deferrable = " DEFERRABLE";
        self
    }

    /// `NOT DEFERRABLE`.
    pub fn not_deferrable(mut self) -> Self {
        self.deferrable = " NOT DEFERRABLE";
        self
    }

    /// `ISOLATION LEVEL READ COMMITTED`.
    pub fn read_committed(mut self) -> Self {
        self.isolation_level = " ISOLATION LEVEL READ COMMITTED";
        self
    }

    /// `ISOLATION LEVEL REPEATABLE READ`.
    pub fn repeatable_read(mut self) -> Self {
        self.isolation_level = " ISOLATION LEVEL REPEATABLE READ";
        self
    }

    /// `ISOLATION LEVEL SERIALIZABLE`.
    pub fn serializable(mut self) -> Self {
        self.isolation_level = " ISOLATION LEVEL SERIALIZABLE";
        self
    }

    /// Runs `callback` in the transaction: committed if it returns `Ok`, rolled back otherwise.
    ///
    /// # Errors
    ///
    /// The callback's, and those of the statements around it.
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
                // What broke the transaction says more than that it is broken.
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
