//! Statements with their own deadline, or that invalidate cached answers.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use super::connection::Connection;
use super::driver::Driver;
use crate::cache::invalidation::Name;

/// A connection whose statements have their own deadline, or invalidate tags, until this is dropped;
/// see [`Connection::with_timeout`] and [`Connection::invalidates`]. diesel's statements run on `&mut
/// configured` as on the connection itself.
#[must_use = "only statements that run on it are configured"]
pub struct Configured<'c, R: Driver> {
    connection: &'c mut Connection<R>,
    /// The deadline that is restored on drop.
    outer_limit: Option<Duration>,
    /// The number of tags that are kept on drop.
    outer_tags: usize,
}

impl<R: Driver> Connection<R> {
    /// This connection, with the deadline `limit` for each statement instead of the pool's
    /// `query_timeout`. `limit` must be longer than zero and at most
    /// [`LONGEST`](crate::breaker::LONGEST).
    ///
    #[cfg_attr(feature = "diesel-postgres", doc = "```no_run")]
    #[cfg_attr(not(feature = "diesel-postgres"), doc = "```ignore")]
    /// use diesel::prelude::*;
    /// use diesel_async::{AsyncConnection, RunQueryDsl};
    /// use fusepool::deadpool::diesel::AsyncPgConnection;
    /// use std::time::Duration;
    ///
    /// async fn refresh(conn: &mut AsyncPgConnection) -> QueryResult<usize> {
    ///     diesel::sql_query("REFRESH MATERIALIZED VIEW sales").execute(conn).await
    /// }
    ///
    /// # async fn run(conn: &mut AsyncPgConnection) -> QueryResult<()> {
    /// let limit = Duration::from_secs(300);
    /// let analyze = diesel::sql_query("ANALYZE sales");
    /// analyze.execute(&mut conn.with_timeout(limit)).await?; // one statement,
    /// refresh(&mut conn.with_timeout(limit)).await?; // whatever a function runs,
    /// conn.with_timeout(limit).transaction(async |conn| refresh(conn).await).await?; // or a transaction
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If `limit` is out of range, every statement fails with
    /// [`QueryBuilderError`](diesel::result::Error::QueryBuilderError), whose source is a
    /// [`ConfigError`](crate::ConfigError), and is not sent.
    pub fn with_timeout(&mut self, limit: Duration) -> Configured<'_, R> {
        let configured = Configured::new(self);
        configured.connection.limit = Some(limit);
        configured
    }

    /// This connection, for statements that invalidate the answers cached under any of `tags` when
    /// they succeed; in a transaction, when the transaction commits. An invalidated answer is never
    /// served again.
    ///
    /// If the connection breaks, the deadline passes or the future is dropped, a statement may take effect,
    /// now or later. The answers are then loaded again on every read, and served only while the database
    /// cannot answer, until the server is known to [have ended the statement](crate#abandoned-statements).
    /// If the server answers with an error, they are loaded once again.
    ///
    /// A transaction that is begun other than by the methods for that, or by `batch_execute`, is not seen:
    /// the invalidation takes effect at once.
    ///
    #[cfg_attr(feature = "diesel-postgres", doc = "```no_run")]
    #[cfg_attr(not(feature = "diesel-postgres"), doc = "```ignore")]
    /// use diesel::prelude::*;
    /// use diesel_async::RunQueryDsl;
    /// use fusepool::deadpool::diesel::AsyncPgConnection;
    ///
    /// # async fn run(conn: &mut AsyncPgConnection) -> QueryResult<()> {
    /// diesel::sql_query("UPDATE dish SET price = price + 1")
    ///     .execute(&mut conn.invalidates(&["dishes"]))
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn invalidates(&mut self, tags: &[&str]) -> Configured<'_, R> {
        let configured = Configured::new(self);
        let names = Name::tags(tags);
        configured.connection.invalidates.extend(names);
        configured
    }
}

impl<'c, R: Driver> Configured<'c, R> {
    fn new(connection: &'c mut Connection<R>) -> Self {
        Self {
            outer_limit: connection.limit,
            outer_tags: connection.invalidates.len(),
            connection,
        }
    }
}

impl<R: Driver> Drop for Configured<'_, R> {
    fn drop(&mut self) {
        self.connection.limit = self.outer_limit;
        self.connection.invalidates.truncate(self.outer_tags);
    }
}

impl<R: Driver> Deref for Configured<'_, R> {
    type Target = Connection<R>;

    fn deref(&self) -> &Connection<R> {
        self.connection
    }
}

impl<R: Driver> DerefMut for Configured<'_, R> {
    fn deref_mut(&mut self) -> &mut Connection<R> {
        self.connection
    }
}

impl<R: Driver> fmt::Debug for Configured<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Configured")
            .field("connection", &self.connection)
            .field("limit", &self.connection.limit)
            .finish_non_exhaustive()
    }
}
