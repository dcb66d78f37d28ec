//! Transactions and savepoints.

use std::fmt;
use std::ops::{Deref, DerefMut};

use sqlx::{Database, Error, SqlSafeStr, SqlStr};
use sqlx_core::transaction::TransactionManager;

use super::adapter::Sqlx;
use super::connection::{GuardedConnection, Held, PoolConnection};
use super::error::{self, was_sent};
use crate::pool::adapter::diagnose;
use crate::pool::cache::settle;
use crate::pool::statement::{Admission, Watch};

/// A transaction in progress, or a savepoint in one. Dropped without
/// [`commit`](Self::commit), it is rolled back.
///
/// Statements in it are watched, but never refused: it holds its connection already, and what it
/// locked in the database is freed soonest by letting it end.
pub struct Transaction<'c, DB: Database> {
    connection: Held<'c, DB>,
    open: bool,
    /// How much there was to publish when it began.
    unpublished: usize,
}

type Manager<DB> = <DB as Database>::TransactionManager;

impl<DB: Database> Transaction<'static, DB> {
    /// Begins on a connection that was leased for it.
    pub(super) async fn begin_owned(
        mut connection: GuardedConnection<DB>,
        admission: Admission<'_>,
        statement: Option<SqlStr>,
    ) -> Result<Self, Error> {
        let (raw, watch, _) = connection.parts();
        begin(raw, watch, admission, statement).await?;
        Ok(Self {
            unpublished: connection.lease.state.unpublished.enter(),
            connection: Held::Owned(connection),
            open: true,
        })
    }
}

/// Cancellation: dropped in flight, the connection is closed: sqlx would hand it out again with the
/// transaction open on it.
async fn begin<DB: Database>(
    raw: &mut DB::Connection,
    watch: Watch<'_, Sqlx<DB>>,
    admission: Admission<'_>,
    statement: Option<SqlStr>,
) -> Result<(), Error> {
    let begin = async {
        let admitted = watch.admit(admission, None).await?;
        let begin = Manager::<DB>::begin(raw, statement);
        admitted.run(diagnose, begin).await
    };
    begin.await.map_err(error::of_statement)
}

impl<'c, DB: Database> Transaction<'c, DB> {
    pub(super) async fn on(
        connection: &'c mut GuardedConnection<DB>,
        statement: Option<SqlStr>,
    ) -> Result<Self, Error> {
        let (raw, watch, admission) = connection.parts();
        begin(raw, watch, admission, statement).await?;
        Ok(Self {
            unpublished: connection.lease.state.unpublished.enter(),
            connection: Held::Borrowed(connection),
            open: true,
        })
    }

    /// Begins a savepoint.
    ///
    /// # Errors
    ///
    /// As a statement's.
    pub async fn begin(&mut self) -> Result<Transaction<'_, DB>, Error> {
        Transaction::on(self, None).await
    }

    /// As sqlx's: custom statements are for outermost transactions only.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSavePointStatement`].
    pub async fn begin_with(
        &mut self,
        statement: impl SqlSafeStr,
    ) -> Result<Transaction<'_, DB>, Error> {
        Transaction::on(self, Some(statement.into_sql_str())).await
    }

    /// Commits. Never refused by the breaker; refused after a statement that was given up, and then
    /// rolled back with its connection.
    ///
    /// # Errors
    ///
    /// As a statement's. After a deadline it is unknown whether the transaction was committed.
    pub async fn commit(mut self) -> Result<(), Error> {
        let (raw, watch, _) = self.connection.parts();
        // A savepoint's writes are the outer transaction's.
        let publication = match watch.state.unpublished.is_outermost() {
            true => watch.commits(),
            false => None,
        };
        let commit = async {
            let statement = watch.admit(Admission::Transaction, None).await?;
            let commit = Manager::<DB>::commit(raw);
            statement.unshortened().run(diagnose, commit).await
        };
        let result = commit.await.map_err(error::of_statement);
        settle(publication, &result, was_sent);
        result?;
        self.open = false;
        Ok(())
    }

    /// Rolls back. Never refused by the breaker; refused after a statement that was given up, since
    /// closing the connection rolls back.
    ///
    /// # Errors
    ///
    /// As a statement's.
    pub async fn rollback(mut self) -> Result<(), Error> {
        let (raw, watch, _) = self.connection.parts();
        let rollback = async {
            let statement = watch.admit(Admission::Transaction, None).await?;
            statement.run(diagnose, Manager::<DB>::rollback(raw)).await
        };
        rollback.await.map_err(error::of_statement)?;
        self.open = false;
        let unpublished = &self.connection.lease.state.unpublished;
        unpublished.forget_since(self.unpublished);
        Ok(())
    }
}

impl<DB: Database> PoolConnection<DB> {
    /// Begins a transaction, guarded like a statement.
    ///
    /// # Errors
    ///
    /// As a statement's.
    pub async fn begin(&mut self) -> Result<Transaction<'_, DB>, Error> {
        Transaction::on(&mut self.guarded, None).await
    }

    /// Begins a transaction with a statement of your own.
    ///
    /// # Errors
    ///
    /// As a statement's.
    pub async fn begin_with(
        &mut self,
        statement: impl SqlSafeStr,
    ) -> Result<Transaction<'_, DB>, Error> {
        Transaction::on(&mut self.guarded, Some(statement.into_sql_str())).await
    }
}

impl<DB: Database> Drop for Transaction<'_, DB> {
    fn drop(&mut self) {
        if self.open {
            // Queues the rollback; it is sent by whatever uses the connection next, at the latest
            // when that is given back.
            Manager::<DB>::start_rollback(&mut self.connection);
            let unpublished = &self.connection.lease.state.unpublished;
            unpublished.forget_since(self.unpublished);
        }
        self.connection.lease.state.unpublished.leave();
    }
}

impl<DB: Database> Deref for Transaction<'_, DB> {
    type Target = GuardedConnection<DB>;

    fn deref(&self) -> &Self::Target {
        &self.connection
    }
}

impl<DB: Database> DerefMut for Transaction<'_, DB> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.connection
    }
}

impl<DB: Database> AsMut<DB::Connection> for Transaction<'_, DB> {
    fn as_mut(&mut self) -> &mut DB::Connection {
        &mut self.connection
    }
}

impl<DB: Database> fmt::Debug for Transaction<'_, DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction")
            .field("connection", &**self)
            .finish()
    }
}
