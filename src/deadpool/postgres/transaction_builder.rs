//! Configures a transaction.

use std::fmt;

use tokio_postgres::{Error, IsolationLevel};

use super::transaction::Transaction;
use super::watch::Watch;

/// Configures a [`Transaction`], like deadpool-postgres' `TransactionBuilder`.
///
/// ```no_run
/// # async fn run(client: &mut fusepool::deadpool::postgres::Client)
/// # -> Result<(), tokio_postgres::Error> {
/// use tokio_postgres::IsolationLevel;
///
/// let transaction = client
///     .build_transaction()
///     .isolation_level(IsolationLevel::Serializable)
///     .read_only(true)
///     .start()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a builder does nothing until it starts"]
pub struct TransactionBuilder<'a> {
    raw: deadpool_postgres::TransactionBuilder<'a>,
    watch: Watch<'a>,
}

impl<'a> TransactionBuilder<'a> {
    pub(super) fn new(raw: deadpool_postgres::TransactionBuilder<'a>, watch: Watch<'a>) -> Self {
        Self { raw, watch }
    }

    /// The isolation level. Default: that of the database.
    pub fn isolation_level(mut self, isolation_level: IsolationLevel) -> Self {
        self.raw = self.raw.isolation_level(isolation_level);
        self
    }

    /// Whether the transaction is read-only. Default: that of the database.
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.raw = self.raw.read_only(read_only);
        self
    }

    /// Whether the transaction is deferrable: a serializable read-only transaction then waits at
    /// its start until no conflict can abort it. Default: that of the database.
    pub fn deferrable(mut self, deferrable: bool) -> Self {
        self.raw = self.raw.deferrable(deferrable);
        self
    }

    /// Begins the transaction. It is rolled back if it is dropped without a commit.
    ///
    /// # Errors
    ///
    /// The [errors of a statement](super#errors).
    pub async fn start(self) -> Result<Transaction<'a>, Error> {
        let raw = self.watch.run_trivial(self.raw.start()).await?;
        Ok(Transaction::new(raw, self.watch))
    }
}

impl fmt::Debug for TransactionBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionBuilder").finish_non_exhaustive()
    }
}
