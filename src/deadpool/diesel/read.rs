//! Queries that are answered from the cache, or by a fallback, when the database cannot.

use std::any::TypeId;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use deadpool::managed;
use diesel::deserialize::FromSqlRow;
use diesel::query_builder::{AsQuery, QueryFragment, QueryId};
use diesel::query_dsl::CompatibleType;
use diesel::result::Error;
use diesel_async::pooled_connection::PoolError;
use futures_util::TryStreamExt;

use super::connection::Connection;
use super::driver::{BuiltQuery, Driver};
use super::object::Object;
use crate::breaker::config::{LONGEST, check_duration};
use crate::cache::entry::Loaded;
use crate::cache::fallback::Reading;
use crate::cache::key::KeyHasher;
use crate::cache::policy::CachePolicy;
use crate::cache::rows::Shape;
use crate::deadpool::adapter::Managed;
use crate::deadpool::pool;
use crate::outcome::served::Served;
use crate::pool::read::reading;
use crate::pool::read_error;
use crate::pool::shared::Shared;
use crate::pool::statement::Admission;

/// The error of a read that has no answer.
pub type ReadError = read_error::ReadError<managed::PoolError<PoolError>, PoolError>;

/// A pool that hands out guarded connections.
type Pool<R> = pool::Pool<<R as Driver>::Manager, Object<Connection<R>>>;
type Load<S> = Pin<Box<dyn Future<Output = Result<Loaded<S>, ReadError>> + Send>>;

/// Adds cached reads to every query of diesel.
pub trait ReadExt: AsQuery + Sized {
    /// Reads through the cache of the pool that the query is loaded from. A hit needs no connection.
    ///
    /// The key is the SQL that diesel builds, with all bound values as they are sent, and the type of
    /// the result. **Data that depends on more than that, such as a tenant that was set on the session,
    /// needs [`vary_by`](Read::vary_by).** [A table](crate::cache#what-is-served-when) says what is
    /// served when. The query must own its values (`'static`), because a load outlives its caller.
    ///
    #[cfg_attr(feature = "diesel-postgres", doc = "```no_run")]
    #[cfg_attr(not(feature = "diesel-postgres"), doc = "```ignore")]
    /// use diesel::prelude::*;
    /// use fusepool::cache::CachePolicy;
    /// use fusepool::deadpool::diesel::{AsyncPgConnection, Pool, ReadError, ReadExt};
    /// use std::sync::Arc;
    /// use std::time::Duration;
    ///
    /// const MENU: CachePolicy = CachePolicy::named("menu")
    ///     .fresh_for(Duration::from_secs(5))
    ///     .stale_if_error(Duration::from_secs(600));
    ///
    /// diesel::table! {
    ///     dish (id) {
    ///         id -> Int4,
    ///         name -> Text,
    ///     }
    /// }
    ///
    /// async fn menu(pool: &Pool<AsyncPgConnection>) -> Result<Arc<Vec<(i32, String)>>, ReadError> {
    ///     dish::table
    ///         .filter(dish::id.gt(0))
    ///         .cached(&MENU)
    ///         .or_value(vec![])
    ///         .load(pool)
    ///         .await
    /// }
    /// ```
    fn cached<'f, R: Driver, T>(self, policy: &CachePolicy) -> Read<'f, R, Self, T> {
        let mut read = self.with_fallback();
        read.reading.cached(policy);
        read
    }

    /// Reads without a cache, in order to add fallbacks.
    fn with_fallback<'f, R: Driver, T>(self) -> Read<'f, R, Self, T> {
        Read {
            query: self,
            reading: Reading::new(),
            limit: None,
        }
    }
}

impl<Q: AsQuery> ReadExt for Q {}

/// A query, and what is served when the database cannot answer it; see [`ReadExt::cached`].
///
/// Fallbacks are tried in the order they were written, the cache among them. `T` is what is read.
#[must_use = "a read does nothing until it is loaded"]
pub struct Read<'f, R: Driver, Q, T> {
    query: Q,
    reading: Reading<'f, T, Pool<R>>,
    limit: Option<Duration>,
}

impl<'f, R: Driver, Q, T> Read<'f, R, Q, T> {
    reading!(pool::Pool<R::Manager, Object<Connection<R>>>);

    /// Sets another deadline than the pool's for the query. A zero one, or one longer than
    /// [`LONGEST`], is a [`ReadError::Config`](crate::ReadError::Config).
    pub fn with_timeout(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }
}

impl<R, Q, U> Read<'_, R, Q, Arc<Vec<U>>>
where
    R: Driver,
    Q: AsQuery,
    U: Send + Sync + 'static,
{
    /// All rows.
    ///
    /// # Errors
    ///
    /// A [`ReadError`], if nothing else is to be served.
    pub async fn load<ST>(self, pool: &Pool<R>) -> Result<Arc<Vec<U>>, ReadError>
    where
        Q::Query: QueryFragment<R::Backend> + QueryId + Send + Sync + 'static,
        Q::SqlType: CompatibleType<U, R::Backend, SqlType = ST>,
        U: FromSqlRow<ST, R::Backend>,
        ST: 'static,
    {
        Ok(self.load_served(pool).await?.value)
    }

    /// All rows, and where they came from.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub async fn load_served<ST>(self, pool: &Pool<R>) -> Result<Served<Arc<Vec<U>>>, ReadError>
    where
        Q::Query: QueryFragment<R::Backend> + QueryId + Send + Sync + 'static,
        Q::SqlType: CompatibleType<U, R::Backend, SqlType = ST>,
        U: FromSqlRow<ST, R::Backend>,
        ST: 'static,
    {
        serve(self.query.as_query(), self.reading, self.limit, pool).await
    }
}

impl<R, Q, U> Read<'_, R, Q, Option<Arc<U>>>
where
    R: Driver,
    Q: AsQuery,
    U: Send + Sync + 'static,
{
    /// The first row, if there is one.
    ///
    /// # Errors
    ///
    /// A [`ReadError`], if nothing else is to be served.
    pub async fn first<ST>(self, pool: &Pool<R>) -> Result<Option<Arc<U>>, ReadError>
    where
        Q::Query: QueryFragment<R::Backend> + QueryId + Send + Sync + 'static,
        Q::SqlType: CompatibleType<U, R::Backend, SqlType = ST>,
        U: FromSqlRow<ST, R::Backend>,
        ST: 'static,
    {
        Ok(self.first_served(pool).await?.value)
    }

    /// The first row, if there is one, and where that came from.
    ///
    /// # Errors
    ///
    /// As [`first`](Self::first).
    pub async fn first_served<ST>(self, pool: &Pool<R>) -> Result<Served<Option<Arc<U>>>, ReadError>
    where
        Q::Query: QueryFragment<R::Backend> + QueryId + Send + Sync + 'static,
        Q::SqlType: CompatibleType<U, R::Backend, SqlType = ST>,
        U: FromSqlRow<ST, R::Backend>,
        ST: 'static,
    {
        serve(self.query.as_query(), self.reading, self.limit, pool).await
    }
}

async fn serve<R, Q, U, ST, S>(
    query: Q,
    reading: Reading<'_, S, Pool<R>>,
    limit: Option<Duration>,
    pool: &Pool<R>,
) -> Result<Served<S>, ReadError>
where
    R: Driver,
    Q: AsQuery<Query = Q> + QueryFragment<R::Backend> + QueryId + Send + Sync + 'static,
    for<'q> &'q Q: AsQuery<Query = &'q Q>,
    U: FromSqlRow<ST, R::Backend> + Send + Sync + 'static,
    ST: 'static,
    S: Shape<U>,
{
    if let Some(limit) = limit {
        check_duration("with_timeout", limit, LONGEST)?;
    }
    reading.wording.check_if_cached()?;
    let built = R::build(&query).map_err(|error| ReadError::Encode(Arc::new(error)))?;
    R::check_read(&built.sql)?;
    let base = with_query(reading.wording.key(), &built);
    let query = Arc::new(query);
    let made = |key: &mut KeyHasher| {
        key.type_id(TypeId::of::<S>());
        key.type_id(TypeId::of::<ST>());
    };
    let shared = pool.shared();
    let question = reading.wording.question(base, made, limit);
    let from = |pool: &Pool<R>| -> Load<S> {
        let (shared, query) = (Arc::clone(pool.shared()), Arc::clone(&query));
        Box::pin(fetch::<R, Q, U, ST, S>(shared, query, limit))
    };
    let ask_other = |other: Pool<R>| {
        let loaded = from(&other);
        async { Ok::<_, ReadError>(loaded.await?.value) }
    };
    let served = reading.serve(shared, question.as_ref(), || Ok(from(pool)), ask_other);
    served.await.map_err(|error| ReadError::clone(&error))
}

/// The key of a read, with all that tells the query from others.
fn with_query(mut key: KeyHasher, built: &BuiltQuery) -> KeyHasher {
    key.text(&built.sql);
    key.add(&built.values.len());
    for value in &built.values {
        key.add(&value.is_some());
        key.bytes(value.as_deref().unwrap_or_default());
    }
    for of in &built.types {
        key.text(of);
    }
    key
}

/// Runs the query on a connection of its own.
async fn fetch<R, Q, U, ST, S>(
    shared: Arc<Shared<Managed<R::Manager>>>,
    query: Arc<Q>,
    limit: Option<Duration>,
) -> Result<Loaded<S>, ReadError>
where
    R: Driver,
    Q: QueryFragment<R::Backend> + QueryId + Send + Sync + 'static,
    for<'q> &'q Q: AsQuery<Query = &'q Q>,
    U: FromSqlRow<ST, R::Backend> + Send + Sync + 'static,
    ST: 'static,
    S: Shape<U>,
{
    let lease = pool::lease::<_, Object<Connection<R>>>(&shared, &shared.adapter.timeouts);
    let mut connection = lease.await.map_err(ReadError::of_lease)?;
    let (raw, watch) = connection.parts();
    let admitted = watch.admit(Admission::Breaker, limit).await?;
    let load = raw.start_load(&*query);
    let rows = async {
        let rows = load.await.map_err(PoolError::QueryError)?;
        Ok(rows.map_err(PoolError::QueryError))
    };
    let mut rows = admitted.load(rows).await?;
    let (mut values, mut referred) = (Vec::new(), 0);
    while let Some(row) = rows.try_next().await? {
        if S::IS_FIRST && !values.is_empty() {
            continue;
        }
        referred += R::row_bytes(&row);
        let value = U::build_from_row(&row).map_err(|error| {
            let error = PoolError::QueryError(Error::DeserializationError(error));
            ReadError::Statement(Arc::new(error))
        });
        values.push(value?);
    }
    let value = S::of(values);
    Ok(Loaded {
        bytes: (value.bytes() + referred) as u64,
        value,
    })
}

impl<R: Driver, Q, T> fmt::Debug for Read<'_, R, Q, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Read")
            .field("reading", &self.reading)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
