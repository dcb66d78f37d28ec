//! Transactions and savepoints.

use std::fmt;
use std::ops::{Deref, DerefMut};

use sqlx::{Database, Error, SqlSafeStr, SqlStr};
// Not exported by sqlx any more: https://github.com/transact-rs/sqlx/pull/3821. sqlx's maintainer names
// the alternatives in https://github.com/SeaQL/sea-orm/issues/2600.
use sqlx_core::transaction::TransactionManager;

use super::connection::{GuardedConnection, Held, PoolConnection};
use super::driver::in_transaction;
use super::error;
use crate::pool::adapter::diagnose;
use crate::pool::statement::Admission;

/// A transaction, or a savepoint in one. It is rolled back if it is dropped without
/// [`commit`](Self::commit).
///
/// Its statements are recorded and have deadlines, but the breaker never refuses them: the
/// transaction holds its connection already, and its locks are released soonest if it can end.
///
/// ```no_run
/// # #[cfg(feature = "sqlx-postgres")]
/// # async fn run(pool: &fusepool::sqlx::PgPool) -> sqlx::Result<()> {
/// let mut tx = pool.begin().await?;
/// sqlx::query("DELETE FROM dish").execute(&mut *tx).await?;
/// tx.commit().await?;
/// # Ok(())
/// # }
/// ```
pub struct Transaction<'c, DB: Database> {
    connection: Held<'c, DB>,
    level: Level,
}

type Manager<DB> = <DB as Database>::TransactionManager;

/// A transaction or a savepoint on a connection, which the methods are given.
#[derive(Clone, Copy)]
pub(super) struct Level {
    open: bool,
    /// The number of transactions and savepoints that are open on the connection, with this one.
    #[cfg(feature = "sea-orm")]
    depth: usize,
    /// The number of cache tags that were waiting to be published when it began.
    unpublished: usize,
}

impl Level {
    /// Sends `BEGIN`, or `statement`, or begins a savepoint. Without an admission, that of any statement on
    /// the connection applies.
    ///
    /// Cancellation: if this is dropped in flight, the connection is closed. sqlx 0.9.0 would lease it
    /// again with the transaction open on it: <https://github.com/transact-rs/sqlx/issues/4393>, and for
    /// SQLite <https://github.com/transact-rs/sqlx/issues/3932>.
    pub(super) async fn begin<DB: Database>(
        connection: &mut GuardedConnection<DB>,
        admission: Option<Admission>,
        statement: Option<SqlStr>,
    ) -> Result<Self, Error> {
        let (raw, watch, usual) = connection.parts();
        let is_outermost = !in_transaction::<DB>(raw);
        let begin = async {
            let admitted = watch.admit(admission.unwrap_or(usual), None).await?;
            if is_outermost && watch.state.is_in_transaction() {
                watch.may_commit();
            }
            let begin = Manager::<DB>::begin(raw, statement);
            admitted.trivial().run(diagnose, begin).await
        };
        begin.await.map_err(error::of_statement)?;
        let names = &connection.lease.state.unpublished;
        Ok(Self {
            open: true,
            unpublished: names.enter(),
            #[cfg(feature = "sea-orm")]
            depth: names.depth(),
        })
    }

    /// Whether no savepoint in it is open. The driver does not tell: that of SQLite counts a savepoint that
    /// was dropped until its rollback has run.
    #[cfg(feature = "sea-orm")]
    pub(super) fn is_innermost<DB: Database>(&self, connection: &GuardedConnection<DB>) -> bool {
        connection.lease.state.unpublished.depth() == self.depth
    }

    pub(super) async fn commit<DB: Database>(
        &mut self,
        connection: &mut GuardedConnection<DB>,
    ) -> Result<(), Error> {
        let (raw, watch, _) = connection.parts();
        let commit = async {
            let statement = watch.admit(Admission::Transaction, None).await?;
            let commit = Manager::<DB>::commit(raw);
            statement.committing().run(diagnose, commit).await
        };
        commit.await.map_err(error::of_statement)?;
        self.open = false;
        Ok(())
    }

    pub(super) async fn rollback<DB: Database>(
        &mut self,
        connection: &mut GuardedConnection<DB>,
    ) -> Result<(), Error> {
        let (raw, watch, _) = connection.parts();
        let rollback = async {
            let statement = watch.admit(Admission::Transaction, None).await?;
            let rollback = Manager::<DB>::rollback(raw);
            statement.trivial().run(diagnose, rollback).await
        };
        rollback.await.map_err(error::of_statement)?;
        self.open = false;
        let unpublished = &connection.lease.state.unpublished;
        unpublished.forget_since(self.unpublished);
        Ok(())
    }

    /// Ends it, when its owner is dropped. If it was neither committed nor rolled back, this queues the
    /// rollback. That is sent before the next use of the connection, at the latest when the connection is
    /// returned to the pool.
    pub(super) fn end<DB: Database>(&self, connection: &mut GuardedConnection<DB>) {
        if self.open {
            let (raw, ..) = connection.parts();
            Manager::<DB>::start_rollback(raw);
            let unpublished = &connection.lease.state.unpublished;
            unpublished.forget_since(self.unpublished);
        }
        connection.lease.state.unpublished.leave();
    }
}

impl<DB: Database> Transaction<'static, DB> {
    /// Begins a transaction that owns its connection.
    pub(super) async fn begin_owned(
        mut connection: GuardedConnection<DB>,
        admission: Admission,
        statement: Option<SqlStr>,
    ) -> Result<Self, Error> {
        let level = Level::begin(&mut connection, Some(admission), statement).await?;
        Ok(Self {
            connection: Held::Owned(connection),
            level,
        })
    }
}

impl<'c, DB: Database> Transaction<'c, DB> {
    /// Begins a transaction or savepoint on a borrowed connection.
    pub(super) async fn on(
        connection: &'c mut GuardedConnection<DB>,
        statement: Option<SqlStr>,
    ) -> Result<Self, Error> {
        let level = Level::begin(connection, None, statement).await?;
        Ok(Self {
            connection: Held::Borrowed(connection),
            level,
        })
    }

    /// Begins a savepoint, whose statements are guarded, too.
    ///
    /// # Errors
    ///
    /// The [errors of a statement](super#errors).
    pub async fn begin(&mut self) -> Result<Transaction<'_, DB>, Error> {
        Transaction::on(self, None).await
    }

    /// Always fails, as in sqlx: a savepoint cannot begin with a custom statement.
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

    /// Commits the transaction, or releases the savepoint.
    ///
    /// The breaker never refuses this. It is refused only after an abandoned statement
    /// ([`Refused::Abandoned`](crate::Refused::Abandoned)); the connection is then closed, and the
    /// server rolls back.
    ///
    /// # Errors
    ///
    /// The [errors of a statement](super#errors). After a deadline it is unknown whether the
    /// transaction was committed.
    pub async fn commit(mut self) -> Result<(), Error> {
        self.level.commit(&mut self.connection).await
    }

    /// Rolls back the transaction, or to the savepoint.
    ///
    /// The breaker never refuses this. It is refused only after an abandoned statement
    /// ([`Refused::Abandoned`](crate::Refused::Abandoned)); the connection is then closed, and the
    /// server rolls back.
    ///
    /// ```
    /// # async fn run(pool: &fusepool::sqlx::PgPool) -> sqlx::Result<()> {
    /// let mut tx = pool.begin().await?;
    /// let rows = sqlx::query("DELETE FROM dish").execute(&mut *tx).await?.rows_affected();
    /// match rows {
    ///     ..=10 => tx.commit().await?,
    ///     _ => tx.rollback().await?,
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The [errors of a statement](super#errors).
    pub async fn rollback(mut self) -> Result<(), Error> {
        self.level.rollback(&mut self.connection).await
    }
}

impl<DB: Database> PoolConnection<DB> {
    /// Begins a transaction. Guarded like a statement.
    ///
    /// # Errors
    ///
    /// The [errors of a statement](super#errors).
    pub async fn begin(&mut self) -> Result<Transaction<'_, DB>, Error> {
        Transaction::on(&mut self.guarded, None).await
    }

    /// Begins a transaction with a custom statement, for example `BEGIN ISOLATION LEVEL
    /// SERIALIZABLE`.
    ///
    /// # Errors
    ///
    /// The [errors of a statement](super#errors).
    pub async fn begin_with(
        &mut self,
        statement: impl SqlSafeStr,
    ) -> Result<Transaction<'_, DB>, Error> {
        Transaction::on(&mut self.guarded, Some(statement.into_sql_str())).await
    }
}

impl<DB: Database> Drop for Transaction<'_, DB> {
    fn drop(&mut self) {
        self.level.end(&mut self.connection);
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

/// A savepoint cannot outlive its transaction: the second example does not compile.
///
#[cfg_attr(feature = "sqlx-postgres", doc = "```")]
#[cfg_attr(not(feature = "sqlx-postgres"), doc = "```ignore")]
/// # async fn run(pool: &fusepool::sqlx::PgPool) -> sqlx::Result<()> {
/// let mut transaction = pool.begin().await?;
/// let savepoint = transaction.begin().await?;
/// savepoint.commit().await?;
/// transaction.commit().await
/// # }
/// ```
///
#[cfg_attr(feature = "sqlx-postgres", doc = "```compile_fail,E0505")]
#[cfg_attr(not(feature = "sqlx-postgres"), doc = "```ignore")]
/// # async fn run(pool: &fusepool::sqlx::PgPool) -> sqlx::Result<()> {
/// let mut transaction = pool.begin().await?;
/// let savepoint = transaction.begin().await?;
/// transaction.commit().await?;
/// savepoint.commit().await
/// # }
/// ```
#[cfg(doctest)]
struct DoesNotCompile;
