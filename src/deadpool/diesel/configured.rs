//! Statements with a deadline of their own, or that make cached answers outdated.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use super::connection::Connection;
use super::driver::Driver;
use crate::cache::invalidation::Name;

/// A connection whose statements have a deadline of their own, or invalidate tags, as long as this lives;
/// see [`Connection::with_timeout`] and [`Connection::invalidates`]. Diesel's statements run on
/// `&mut configured` as on the connection itself.
#[must_use = "only statements that run on it are configured"]
pub struct Configured<'c, R: Driver> {
    connection: &'c mut Connection<R>,
    /// What holds around this one.
    outer_limit: Option<Duration>,
    outer_tags: usize,
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
    pub fn with_timeout(&mut self, limit: Duration) -> Configured<'_, R> {
        let configured = Configured::new(self);
        configured.connection.limit = Some(limit);
        configured
    }

    /// This connection, for statements that make what is cached under any of `tags` outdated, when they
    /// succeed; in a transaction, when that is committed. If it cannot be known whether a statement took
    /// effect, such answers are asked for again, and served only where the database cannot give a newer
    /// one.
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
