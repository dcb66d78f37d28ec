//! Statements with a deadline of their own.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use super::connection::Connection;
use super::driver::Driver;

/// A connection whose statements have a deadline of their own as long as this lives; see
/// [`Connection::with_timeout`]. Diesel's statements run on `&mut within` as on the connection itself.
#[must_use = "only statements that run on it have the deadline"]
pub struct WithTimeout<'c, R: Driver> {
    connection: &'c mut Connection<R>,
    /// The deadline around this one.
    outer: Option<Duration>,
}

impl<R: Driver> Connection<R> {
    /// This connection, with another deadline for each statement that is run on it; for a statement
    /// that takes long, or must not. `limit` is longer than zero, and at most
    /// [`LONGEST`](crate::breaker::LONGEST).
    ///
    /// With a deadline of its own a statement is never taken for
    /// [lost in an outage](crate#what-an-outage-leaves-behind).
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
    /// With another `limit`, every statement fails with
    /// [`QueryBuilderError`](diesel::result::Error::QueryBuilderError), whose source is a
    /// [`ConfigError`](crate::ConfigError), and is not sent.
    pub fn with_timeout(&mut self, limit: Duration) -> WithTimeout<'_, R> {
        WithTimeout::new(self, limit)
    }
}

impl<'c, R: Driver> WithTimeout<'c, R> {
    fn new(connection: &'c mut Connection<R>, limit: Duration) -> Self {
        let outer = connection.limit.replace(limit);
        Self { connection, outer }
    }
}

impl<R: Driver> Drop for WithTimeout<'_, R> {
    fn drop(&mut self) {
        self.connection.limit = self.outer;
    }
}

impl<R: Driver> Deref for WithTimeout<'_, R> {
    type Target = Connection<R>;

    fn deref(&self) -> &Connection<R> {
        self.connection
    }
}

impl<R: Driver> DerefMut for WithTimeout<'_, R> {
    fn deref_mut(&mut self) -> &mut Connection<R> {
        self.connection
    }
}

impl<R: Driver> fmt::Debug for WithTimeout<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithTimeout")
            .field("connection", &self.connection)
            .field("limit", &self.connection.limit)
            .finish_non_exhaustive()
    }
}
