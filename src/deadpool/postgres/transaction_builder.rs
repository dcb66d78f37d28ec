//! How a transaction is configured.

use std::fmt;

use tokio_postgres::{Error, IsolationLevel};

use super::statements::Watch;
use super::transaction::Transaction;

/// Configures a [`Transaction`], like deadpool-postgres' `TransactionBuilder`.
#[must_use = "a builder does nothing until it starts"]
pub struct TransactionBuilder<'a> {
    raw: deadpool_postgres::TransactionBuilder<'a>,
    watch: Watch<'a>,
}

impl<'a> TransactionBuilder<'a> {
    pub(super) fn new(raw: deadpool_postgres::TransactionBuilder<'a>, watch: Watch<'a>) -> Self {
        Self { raw, watch }
    }

    /// Which changes of others it sees. Default: the database's.
    pub fn isolation_level(mut self, isolation_level: IsolationLevel) -> Self {
        self.raw = self.raw.isolation_level(isolation_level);
        self
    }

    /// Whether it only reads. Default: the database's.
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.raw = self.raw.read_only(read_only);
        self
    }

    /// Whether a serializable transaction that only reads waits until no conflict can abort it.
    /// Default: the database's.
    pub fn deferrable(mut self, deferrable: bool) -> Self {
        self.raw = self.raw.deferrable(deferrable);
        self
    }

    /// Begins the transaction. It is rolled back when it is dropped.
    ///
    /// # Errors
    ///
    /// The driver's; refusals and deadlines are among them.
    pub async fn start(self) -> Result<Transaction<'a>, Error> {
        let raw = self.watch.run(None, self.raw.start()).await?;
        Ok(Transaction::new(raw, self.watch))
    }
}

impl fmt::Debug for TransactionBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionBuilder").finish_non_exhaustive()
    }
}
