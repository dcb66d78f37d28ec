//! Queries that are answered from the cache, or by a fallback, when the database cannot.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use sqlx::Error;

use super::driver::Driver;
use super::error;
use super::executor::Configured;
use super::mapper::{Parts, Readable};
use super::pool::Pool;
use super::serve::{Reading, serve, with_statement};
use crate::cache::invalidation::Name;
use crate::cache::policy::CachePolicy;
use crate::outcome::served::Served;

/// Queries that can be answered by others than the database.
///
/// Implemented for `query_as`, `query_scalar`, `query` with a `map`, and the `query!` macros.
///
/// [`cached`](Self::cached) explains what is served when.
pub trait ReadExt: Readable {
    /// Reads through the pool's cache.
    ///
    /// ```
    /// use fusepool::cache::CachePolicy;
    /// use fusepool::sqlx::{PgPool, ReadExt};
    /// use std::{sync::Arc, time::Duration};
    ///
    /// const MENU: CachePolicy = CachePolicy::named("menu")
    ///     .fresh_for(Duration::from_secs(5))
    ///     .stale_if_error(Duration::from_secs(600));
    ///
    /// # #[derive(sqlx::FromRow)] struct Dish { name: String }
    /// # async fn menu(pool: &PgPool, day: i32) -> sqlx::Result<Arc<Vec<Dish>>> {
    /// sqlx::query_as("SELECT name FROM dish WHERE day = $1")
    ///     .bind(day)
    ///     .cached(&MENU)
    ///     .fetch_all(pool)
    ///     .await
    /// # }
    /// ```
    ///
    /// Values come behind an [`Arc`], shared with the cache; [`Arc::unwrap_or_clone`] makes them your own.
    ///
    /// # Whose rows are they?
    ///
    /// An answer is kept under the text of the statement, its arguments, the types, and the policy.
    /// **If anything else decides what rows a query returns, it has to be given with
    /// [`vary_by`](Read::vary_by)**, or one user is served the rows of another: a role that was set on the
    /// connection, row-level security, `search_path`.
    ///
    /// A load runs in a task of its own, on any connection of the pool: what the pool's hooks set
    /// there must not depend on who asks, and they see none of the caller's task-local values. So let a
    /// row-level security policy take its tenant from the statement, or have a pool for each role; and
    /// give as scope what all connections of a pool have in common, and may change while it runs.
    ///
    /// ```
    /// # use fusepool::cache::CachePolicy;
    /// # use fusepool::sqlx::{PgPool, ReadExt};
    /// # use std::{sync::Arc, time::Duration};
    /// # const ORDERS: CachePolicy = CachePolicy::named("orders").fresh_for(Duration::from_secs(1));
    /// # async fn orders(pool: &PgPool, tenant: &str) -> sqlx::Result<Arc<Vec<i64>>> {
    /// // `pool` is this tenant's or another's: whoever keeps pools sets a role on all connections of
    /// // each, by which row-level security selects the rows. The statement does not tell whose
    /// // they are, and the tenant of a pool may change.
    /// sqlx::query_scalar("SELECT id FROM orders")
    ///     .cached(&ORDERS)
    ///     .vary_by(tenant)
    ///     .fetch_all(pool)
    ///     .await
    /// # }
    /// ```
    ///
    /// # What is served when
    ///
    /// There is [a table](crate::cache#what-is-served-when). On a lease and in a transaction nothing is read
    /// from the cache, kept in it, or served instead.
    ///
    /// # Errors
    ///
    /// Besides those of the query, [`Error::Configuration`] with a [`ConfigError`](crate::ConfigError) for a
    /// policy that makes no sense, and with a [`NotARead`](crate::NotARead) for a statement that writes,
    /// locks, or is more than one. Both before anything is sent. All who wait for one load that fails get
    /// its error.
    fn cached<'f, T>(self, policy: &CachePolicy) -> Read<'f, Self::Database, Self::Output, T> {
        Read::new(self).cached(policy)
    }

    /// Serves `value` where the database cannot answer. Never in place of an error that it answered
    /// with.
    ///
    /// ```
    /// use fusepool::sqlx::{PgPool, ReadExt};
    ///
    /// # async fn count(pool: &PgPool) -> sqlx::Result<i64> {
    /// let waiting = sqlx::query_scalar("SELECT count(*) FROM orders WHERE shipped IS NULL")
    ///     .or_value(0)
    ///     .fetch_one(pool)
    ///     .await?;
    /// # Ok(*waiting)
    /// # }
    /// ```
    fn or_value<'f, T>(self, value: impl Into<T>) -> Read<'f, Self::Database, Self::Output, T> {
        Read::new(self).or_value(value)
    }

    /// Serves what `alternative` gives where the database cannot answer: a simpler query, or
    /// something that needs none. It is not begun before it is needed.
    fn or_else<'f, T, V>(
        self,
        alternative: impl Future<Output = Result<V, Error>> + Send + 'f,
    ) -> Read<'f, Self::Database, Self::Output, T>
    where
        V: Into<T>,
    {
        Read::new(self).or_else(alternative)
    }

    /// Asks `pool` where the database cannot answer: a replica, guarded by a breaker of its own.
    ///
    /// It is asked live: its own cache would not know of writes through this pool.
    fn or_from<'f, T>(
        self,
        pool: &Pool<Self::Database>,
    ) -> Read<'f, Self::Database, Self::Output, T> {
        Read::new(self).or_from(pool)
    }
}

impl<Q: Readable> ReadExt for Q {}

/// A query, and what is served when the database cannot answer it; see [`ReadExt`].
///
/// Fallbacks are tried in the order they were written, the cache among them. `T` is what is fetched.
#[must_use = "a query does nothing until it is fetched"]
pub struct Read<'f, DB: Driver, O, T> {
    parts: Parts<DB, O>,
    reading: Reading<'f, DB, T>,
}

impl<'f, DB: Driver, O, T> Read<'f, DB, O, T> {
    fn new(query: impl Readable<Database = DB, Output = O>) -> Self {
        Self {
            parts: query.take_apart(),
            reading: Reading::<DB, T>::new(),
        }
    }

    /// See [`ReadExt::cached`]. A second policy takes the place of the first.
    pub fn cached(mut self, policy: &CachePolicy) -> Self {
        self.reading.cached(policy);
        self
    }

    /// What decides the rows besides the statement and its arguments, such as the tenant of a
    /// session; see [`ReadExt::cached`]. Can be given several times.
    ///
    /// Bytes, because they are compared in full: what a `Debug` or `Display` prints may be cut short
    /// or masked. Of a number, give `to_be_bytes()`.
    pub fn vary_by(mut self, scope: impl AsRef<[u8]>) -> Self {
        self.reading.vary_by(scope.as_ref());
        self
    }

    /// A tag besides those of the policy, such as `product:42`, by which a write can invalidate the
    /// answer.
    pub fn tag(mut self, tag: impl AsRef<str>) -> Self {
        self.reading.tag(tag.as_ref());
        self
    }

    /// See [`ReadExt::or_value`].
    pub fn or_value(mut self, value: impl Into<T>) -> Self {
        self.reading.or_value(value.into());
        self
    }

    /// See [`ReadExt::or_else`].
    pub fn or_else<V: Into<T>>(
        mut self,
        alternative: impl Future<Output = Result<V, Error>> + Send + 'f,
    ) -> Self {
        self.reading.or_else(alternative);
        self
    }

    /// See [`ReadExt::or_from`].
    pub fn or_from(mut self, pool: &Pool<DB>) -> Self {
        self.reading.or_from(pool.clone());
        self
    }
}

impl<DB: Driver, O: Send + Sync + 'static> Read<'_, DB, O, Arc<Vec<O>>> {
    /// All rows.
    ///
    /// # Errors
    ///
    /// As the query's, and as [`ReadExt::cached`] says.
    pub async fn fetch_all<'c>(
        self,
        executor: impl Into<Configured<'c, DB>>,
    ) -> Result<Arc<Vec<O>>, Error> {
        Ok(self.fetch_all_served(executor).await?.value)
    }

    /// All rows, and where they came from.
    ///
    /// # Errors
    ///
    /// As [`fetch_all`](Self::fetch_all).
    pub async fn fetch_all_served<'c>(
        self,
        executor: impl Into<Configured<'c, DB>>,
    ) -> Result<Served<Arc<Vec<O>>>, Error> {
        serve(self.parts, self.reading, executor.into()).await
    }

    /// Makes what is cached for this query, with these arguments and scopes, outdated, for whatever
    /// type and however it is fetched.
    ///
    /// # Errors
    ///
    /// [`Error::Encode`] for arguments that cannot be encoded; [`Error::Configuration`] without a
    /// policy, under which nothing is cached. Arguments have to be of the types that they are read
    /// with.
    pub fn invalidate(self, pool: &Pool<DB>) -> Result<(), Error> {
        self.reading.wording.check().map_err(error::misconfigured)?;
        let statement = self.parts.statement?;
        let key = with_statement(self.reading.wording.key(), &statement).finish();
        pool.cache().invalidate(Name::key(key));
        Ok(())
    }
}

impl<DB: Driver, O: Send + Sync + 'static> Read<'_, DB, O, Option<Arc<O>>> {
    /// The first row, if there is one.
    ///
    /// # Errors
    ///
    /// As the query's, and as [`ReadExt::cached`] says.
    pub async fn fetch_optional<'c>(
        self,
        executor: impl Into<Configured<'c, DB>>,
    ) -> Result<Option<Arc<O>>, Error> {
        Ok(self.fetch_optional_served(executor).await?.value)
    }

    /// The first row, if there is one, and where that came from.
    ///
    /// # Errors
    ///
    /// As [`fetch_optional`](Self::fetch_optional).
    pub async fn fetch_optional_served<'c>(
        self,
        executor: impl Into<Configured<'c, DB>>,
    ) -> Result<Served<Option<Arc<O>>>, Error> {
        serve(self.parts, self.reading, executor.into()).await
    }
}

impl<'f, DB: Driver, O: Send + Sync + 'static> Read<'f, DB, O, Arc<O>> {
    /// The first row.
    ///
    /// # Errors
    ///
    /// [`Error::RowNotFound`], also if that is what the cache knows; as the query's, and as
    /// [`ReadExt::cached`] says.
    pub async fn fetch_one<'c>(
        self,
        executor: impl Into<Configured<'c, DB>>,
    ) -> Result<Arc<O>, Error> {
        Ok(self.fetch_one_served(executor).await?.value)
    }

    /// The first row, and where that came from.
    ///
    /// # Errors
    ///
    /// As [`fetch_one`](Self::fetch_one).
    pub async fn fetch_one_served<'c>(
        self,
        executor: impl Into<Configured<'c, DB>>,
    ) -> Result<Served<Arc<O>>, Error> {
        // One answer serves this and `fetch_optional`.
        let served = serve(self.parts, self.reading.optional(), executor.into()).await?;
        match served.value {
            Some(value) => Ok(Served::new(value, served.source)),
            None => Err(Error::RowNotFound),
        }
    }
}

impl<DB: Driver, O, T> fmt::Debug for Read<'_, DB, O, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Read")
            .field("reading", &self.reading)
            .finish_non_exhaustive()
    }
}
