//! Transactions and savepoints of SeaORM.

use std::fmt;
use std::mem::take;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use sea_orm::{DbErr, RuntimeErr, TransactionError, TransactionOptions, TransactionSession};
use tokio::sync::{Mutex as AsyncMutex, MutexGuard};

use super::backend::{Backend, after_begin, begin};
use super::configured::{Configured, Connection};
use super::error;
use crate::sqlx::connection::GuardedConnection;
use crate::sqlx::transaction::Level;

/// A guarded transaction, or a savepoint in one, used like SeaORM's type of the same name. It is rolled back
/// if it is dropped without [`commit`](Self::commit).
///
/// Its statements are recorded and have deadlines, but the breaker never refuses them, as in a
/// [`Transaction`](crate::sqlx::Transaction). They run one at a time.
pub struct DatabaseTransaction<DB: Backend> {
    session: Arc<Session<DB>>,
    level: Level,
}

/// The connection of a transaction, which its savepoints share.
pub(super) struct Session<DB: Backend> {
    // SeaORM's statements take `&self`. A statement needs the connection until it is answered, so this lock
    // is one to hold while waiting. Its waiters are callers of one transaction.
    connection: AsyncMutex<GuardedConnection<DB>>,
    /// Transactions and savepoints that were dropped while a statement ran.
    dropped: Mutex<Vec<Level>>,
}

impl<DB: Backend> Session<DB> {
    pub(super) async fn lock(&self) -> MutexGuard<'_, GuardedConnection<DB>> {
        let mut connection = self.connection.lock().await;
        self.end_dropped(&mut connection);
        connection
    }

    /// Ends a transaction or a savepoint whose owner is dropped, at once or before the next statement.
    fn end(&self, level: Level) {
        lock(&self.dropped).push(level);
        if let Ok(mut connection) = self.connection.try_lock() {
            self.end_dropped(&mut connection);
        }
    }

    fn end_dropped(&self, connection: &mut GuardedConnection<DB>) {
        for level in take(&mut *lock(&self.dropped)) {
            level.end(connection);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<DB: Backend> Drop for Session<DB> {
    fn drop(&mut self) {
        let dropped = take(
            self.dropped
                .get_mut()
                .unwrap_or_else(PoisonError::into_inner),
        );
        for level in dropped {
            level.end(self.connection.get_mut());
        }
    }
}

impl<DB: Backend> DatabaseTransaction<DB> {
    /// Begins a transaction on a leased connection.
    pub(super) async fn on(
        connection: GuardedConnection<DB>,
        options: TransactionOptions,
    ) -> Result<Self, DbErr> {
        let session = Session {
            connection: AsyncMutex::new(connection),
            dropped: Mutex::default(),
        };
        Self::begin(Arc::new(session), options).await
    }

    /// Begins a savepoint.
    pub(super) async fn begin_transaction(
        &self,
        options: TransactionOptions,
    ) -> Result<Self, DbErr> {
        Self::begin(Arc::clone(&self.session), options).await
    }

    async fn begin(session: Arc<Session<DB>>, options: TransactionOptions) -> Result<Self, DbErr> {
        let begun = begin(&mut *session.lock().await, options).await;
        let level = begun.map_err(|e| error::of(DbErr::Query, e))?;
        // From here on, it is rolled back if it is dropped.
        let transaction = Self { session, level };
        let ready = after_begin(&mut *transaction.session.lock().await, options).await;
        ready.map_err(|e| error::of(DbErr::Exec, e))?;
        Ok(transaction)
    }

    /// This transaction for one operation, each of whose statements has the deadline `limit` instead of the
    /// pool's `query_timeout`.
    #[must_use]
    pub fn with_timeout(&self, limit: Duration) -> Configured<'_, DB> {
        self.configured().with_timeout(limit)
    }

    /// This transaction for one operation, each of whose statements invalidates the answers cached under
    /// any of `tags` when the transaction commits. See
    /// [`WriteExt::invalidates`](crate::sqlx::WriteExt::invalidates).
    #[must_use]
    pub fn invalidates(&self, tags: &[&str]) -> Configured<'_, DB> {
        self.configured().invalidates(tags)
    }

    /// Commits the transaction, or releases the savepoint. The breaker never refuses this; see
    /// [`Transaction::commit`](crate::sqlx::Transaction::commit).
    ///
    /// # Errors
    ///
    /// The [errors of a statement](super#errors). After a deadline it is unknown whether the transaction
    /// was committed.
    ///
    /// While a savepoint in it is open, it cannot be committed, and is rolled back. SeaORM's own type would
    /// release that savepoint, return `Ok`, and roll back later.
    pub async fn commit(mut self) -> Result<(), DbErr> {
        let mut connection = self.session.lock().await;
        if !self.level.is_innermost(&connection) {
            let text = "a savepoint in this transaction is still open, so the transaction was not committed";
            return Err(DbErr::Exec(RuntimeErr::Internal(text.to_owned())));
        }
        let committed = self.level.commit(&mut connection).await;
        committed.map_err(|e| error::of(DbErr::Query, e))
    }

    /// Rolls back the transaction, or to the savepoint. The breaker never refuses this.
    ///
    /// # Errors
    ///
    /// The [errors of a statement](super#errors).
    pub async fn rollback(mut self) -> Result<(), DbErr> {
        let mut connection = self.session.lock().await;
        let rolled_back = self.level.rollback(&mut connection).await;
        rolled_back.map_err(|e| error::of(DbErr::Query, e))
    }

    /// Runs `callback`, and commits if it returns `Ok`.
    ///
    /// Cancellation: if this is dropped, the transaction is rolled back.
    pub(super) async fn run<F, T, E>(self, callback: F) -> Result<T, TransactionError<E>>
    where
        F: for<'c> FnOnce(&'c Self) -> Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'c>>,
        E: fmt::Display + fmt::Debug,
    {
        match callback(&self).await {
            Ok(value) => {
                self.commit().await?;
                Ok(value)
            }
            Err(error) => {
                self.rollback().await?;
                Err(TransactionError::Transaction(error))
            }
        }
    }
}

impl<DB: Backend> Connection for DatabaseTransaction<DB> {
    type Driver = DB;

    fn configured(&self) -> Configured<'_, DB> {
        Configured::transaction(&self.session)
    }
}

#[async_trait]
impl<DB: Backend> TransactionSession for DatabaseTransaction<DB> {
    async fn commit(self) -> Result<(), DbErr> {
        self.commit().await
    }

    async fn rollback(self) -> Result<(), DbErr> {
        self.rollback().await
    }
}

impl<DB: Backend> Drop for DatabaseTransaction<DB> {
    fn drop(&mut self) {
        self.session.end(self.level);
    }
}

impl<DB: Backend> fmt::Debug for Session<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Session");
        match self.connection.try_lock() {
            Ok(connection) => debug.field("connection", &*connection),
            Err(_) => debug.field("connection", &"in use"),
        };
        debug.finish_non_exhaustive()
    }
}

impl<DB: Backend> fmt::Debug for DatabaseTransaction<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseTransaction")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}
