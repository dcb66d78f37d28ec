//! Adds a cache and other fallbacks to queries that read.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use sqlx::Error;

use self::mapper::{Parts, Readable};
use self::serve::{Reading, serve, with_statement};
use crate::cache::invalidation::Name;
use crate::cache::policy::CachePolicy;
use crate::outcome::served::Served;
use crate::pool::read::reading;
use crate::sqlx::driver::Driver;
use crate::sqlx::error;
use crate::sqlx::executor::Configured;
use crate::sqlx::pool::Pool;

mod cache;
pub(super) mod mapper;
pub(super) mod serve;
mod shared_error;

/// Adds a cache and other fallbacks to queries that return rows: `query_as`, `query_scalar`, `query`
/// with `map`, and the `query!` macros.
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
    /// Values are returned in an [`Arc`] that is shared with the cache. [`Arc::unwrap_or_clone`]
    /// returns an owned value.
    ///
    /// # Multi-tenant data: vary the key
    ///
    /// The key of an answer consists of the statement's text, its arguments, the types, and the
    /// policy. **If the rows depend on anything else, add it to the key with
    /// [`vary_by`](Read::vary_by)**: a role that was set on the connection, the tenant of row-level
    /// security, or the `search_path`. Otherwise one user is served the rows of another.
    ///
    /// A load runs in its own [task](crate::cache#loads), on any connection of the pool. So what the pool's hooks set on a
    /// connection must not depend on the caller, and the hooks do not see the caller's task-local
    /// values. Pass the tenant to a row-level security policy through the statement, or use one pool
    /// for each role. Use `vary_by` for what all connections of a pool have in common and what may
    /// change while the pool is in use.
    ///
    /// ```
    /// # use fusepool::cache::CachePolicy;
    /// # use fusepool::sqlx::{PgPool, ReadExt};
    /// # use std::{sync::Arc, time::Duration};
    /// # const ORDERS: CachePolicy = CachePolicy::named("orders").fresh_for(Duration::from_secs(1));
    /// # async fn orders(pool: &PgPool, tenant: &str) -> sqlx::Result<Arc<Vec<i64>>> {
    /// // Each tenant has a pool whose connections all have the tenant's role, by which row-level
    /// // security selects the rows. The statement does not contain the tenant, and a pool may be
    /// // given to another tenant.
    /// sqlx::query_scalar("SELECT id FROM orders")
    ///     .cached(&ORDERS)
    ///     .vary_by(tenant)
    ///     .fetch_all(pool)
    ///     .await
    /// # }
    /// ```
    ///
    /// # Mapped rows
    ///
    /// A closure given to `map` must not capture anything, because captured values would not be part
    /// of the key:
    ///
    #[cfg_attr(feature = "sqlx-postgres", doc = "```")]
    #[cfg_attr(not(feature = "sqlx-postgres"), doc = "```ignore")]
    /// # use fusepool::cache::CachePolicy;
    /// # use fusepool::sqlx::{Read, ReadExt};
    /// # use sqlx::{Postgres, Row, postgres::PgRow};
    /// # use std::sync::Arc;
    /// # const MENU: CachePolicy = CachePolicy::named("menu");
    /// # let read: Read<'_, Postgres, i64, Arc<Vec<i64>>> =
    /// sqlx::query("SELECT price FROM dish")
    ///     .map(|row: PgRow| row.get(0))
    ///     .cached(&MENU)
    /// # ;
    /// ```
    ///
    /// This does not compile. Pass the value that the closure needs as an argument of the query:
    ///
    #[cfg_attr(feature = "sqlx-postgres", doc = "```compile_fail,E0080")]
    #[cfg_attr(not(feature = "sqlx-postgres"), doc = "```ignore")]
    /// # use fusepool::cache::CachePolicy;
    /// # use fusepool::sqlx::{Read, ReadExt};
    /// # use sqlx::{Postgres, Row, postgres::PgRow};
    /// # use std::sync::Arc;
    /// # const MENU: CachePolicy = CachePolicy::named("menu");
    /// # let discount = 10;
    /// # let read: Read<'_, Postgres, i64, Arc<Vec<i64>>> =
    /// sqlx::query("SELECT price FROM dish")
    ///     .map(move |row: PgRow| row.get::<i64, _>(0) - discount)
    ///     .cached(&MENU)
    /// # ;
    /// ```
    ///
    /// # What is served when
    ///
    /// See [this table](crate::cache#what-is-served-when). On a leased connection and in a
    /// transaction, neither the cache nor any fallback is used.
    ///
    /// # Errors
    ///
    /// Fetching fails with the [errors of a statement](super#errors), and, before anything is sent,
    /// with an [`Error::Configuration`] that holds
    ///
    /// - a [`ConfigError`](crate::ConfigError), if the policy is invalid.
    /// - a [`NotARead`](crate::NotARead), if the statement writes or locks, or is more than one
    ///   statement.
    ///
    /// If a load fails, all callers that wait for it get its error.
    fn cached<'f, T>(self, policy: &CachePolicy) -> Read<'f, Self::Database, Self::Output, T> {
        Read::new(self).cached(policy)
    }

    /// Serves `value` when the database cannot answer. An error that the database answered with is
    /// returned as it is.
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

    /// Serves the value of `alternative` when the database cannot answer: for example that of a
    /// simpler query, or a value computed without one. `alternative` is polled only then. If it
    /// fails, the next fallback is tried.
    ///
    /// ```
    /// use fusepool::sqlx::{PgPool, ReadExt};
    ///
    /// # async fn last_known_count() -> sqlx::Result<i64> { Ok(0) }
    /// # async fn count(pool: &PgPool) -> sqlx::Result<i64> {
    /// let waiting = sqlx::query_scalar("SELECT count(*) FROM orders WHERE shipped IS NULL")
    ///     .or_else(last_known_count())
    ///     .fetch_one(pool)
    ///     .await?;
    /// # Ok(*waiting)
    /// # }
    /// ```
    fn or_else<'f, T, V>(
        self,
        alternative: impl Future<Output = Result<V, Error>> + Send + 'f,
    ) -> Read<'f, Self::Database, Self::Output, T>
    where
        V: Into<T>,
    {
        Read::new(self).or_else(alternative)
    }

    /// Executes the query on `pool` when the database cannot answer: for example on a replica, which
    /// has its own breaker. If that fails, the next fallback is tried.
    ///
    /// The cache of `pool` is not used, because writes through this pool do not invalidate it.
    ///
    /// ```
    /// use fusepool::sqlx::{PgPool, ReadExt};
    ///
    /// # async fn count(pool: &PgPool, replica: &PgPool) -> sqlx::Result<i64> {
    /// let waiting = sqlx::query_scalar("SELECT count(*) FROM orders WHERE shipped IS NULL")
    ///     .or_from(replica)
    ///     .fetch_one(pool)
    ///     .await?;
    /// # Ok(*waiting)
    /// # }
    /// ```
    fn or_from<'f, T>(
        self,
        pool: &Pool<Self::Database>,
    ) -> Read<'f, Self::Database, Self::Output, T> {
        Read::new(self).or_from(pool)
    }
}

impl<Q: Readable> ReadExt for Q {}

/// A query with its cache policy and fallbacks; see [`ReadExt`].
///
/// Fallbacks, including stale cached answers, are tried in the order of the calls. `T` is the type of
/// the fetched value.
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

    /// See [`ReadExt::cached`]. A second policy replaces the first one.
    pub fn cached(mut self, policy: &CachePolicy) -> Self {
        self.reading.cached(policy);
        self
    }

    reading!(Pool<DB>, Error);
}

impl<DB: Driver, O: Send + Sync + 'static> Read<'_, DB, O, Arc<Vec<O>>> {
    /// Fetches all rows.
    ///
    /// # Errors
    ///
    /// As [`ReadExt::cached`] lists.
    pub async fn fetch_all<'c>(
        self,
        executor: impl Into<Configured<'c, DB>>,
    ) -> Result<Arc<Vec<O>>, Error> {
        Ok(self.fetch_all_served(executor).await?.value)
    }

    /// Fetches all rows, and says where they came from.
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

    /// Invalidates the cached answers to this query with these arguments and this
    /// [`vary_by`](Self::vary_by), whatever method fetched them and whatever type their rows have.
    /// The policy must be the one they are cached under, and the arguments must have the same types.
    ///
    /// ```
    /// use fusepool::cache::CachePolicy;
    /// use fusepool::sqlx::{PgPool, ReadExt};
    ///
    /// const MENU: CachePolicy = CachePolicy::named("menu");
    ///
    /// # #[derive(sqlx::FromRow)] struct Dish { name: String }
    /// # fn menu_changed(pool: &PgPool, day: i32) -> sqlx::Result<()> {
    /// sqlx::query_as::<_, Dish>("SELECT name FROM dish WHERE day = $1")
    ///     .bind(day)
    ///     .cached(&MENU)
    ///     .invalidate(pool)
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// - [`Error::Encode`], if an argument cannot be encoded.
    /// - [`Error::Configuration`] with a [`ConfigError`](crate::ConfigError), if there is no policy
    ///   or an invalid one.
    pub fn invalidate(self, pool: &Pool<DB>) -> Result<(), Error> {
        self.reading.wording.check().map_err(error::misconfigured)?;
        let statement = self.parts.statement?;
        let key = with_statement(self.reading.wording.key(), &statement).finish();
        pool.cache().invalidate(Name::key(key));
        Ok(())
    }
}

impl<DB: Driver, O: Send + Sync + 'static> Read<'_, DB, O, Option<Arc<O>>> {
    /// Fetches the first row, or `None` if there is none.
    ///
    /// # Errors
    ///
    /// As [`ReadExt::cached`] lists.
    pub async fn fetch_optional<'c>(
        self,
        executor: impl Into<Configured<'c, DB>>,
    ) -> Result<Option<Arc<O>>, Error> {
        Ok(self.fetch_optional_served(executor).await?.value)
    }

    /// Fetches the first row, or `None` if there is none, and says where the answer came from.
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
    /// Fetches the first row.
    ///
    /// # Errors
    ///
    /// [`Error::RowNotFound`], if there is no row, also according to a cached answer; otherwise as
    /// [`ReadExt::cached`] lists.
    pub async fn fetch_one<'c>(
        self,
        executor: impl Into<Configured<'c, DB>>,
    ) -> Result<Arc<O>, Error> {
        Ok(self.fetch_one_served(executor).await?.value)
    }

    /// Fetches the first row, and says where it came from.
    ///
    /// # Errors
    ///
    /// As [`fetch_one`](Self::fetch_one).
    pub async fn fetch_one_served<'c>(
        self,
        executor: impl Into<Configured<'c, DB>>,
    ) -> Result<Served<Arc<O>>, Error> {
        // `fetch_one` and `fetch_optional` share cached answers.
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
