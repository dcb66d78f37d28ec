//! Reads that are answered from the cache, or by a fallback, when the database cannot.

use std::any::TypeId;
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Error, Row};

use super::client::Client;
use super::error;
use super::manager::Manager;
use super::parameters::{Parameter, encode};
use super::pool::Pool;
use super::read_error::ReadError;
use super::statements::Configured;
use crate::breaker::config::{LONGEST, check_duration};
use crate::breaker::verdict::Class;
use crate::cache::entry::Loaded;
use crate::cache::fallback::Reading;
use crate::cache::invalidation::Name;
use crate::cache::key::{Key, KeyHasher};
use crate::cache::origin::Origin;
use crate::cache::policy::{CachePolicy, Freshness, LONGEST_AGE};
use crate::cache::question::Question;
use crate::cache::read_only::{self, Dialect};
use crate::cache::read_through::ask;
use crate::cache::rows::Shape;
use crate::deadpool::adapter::Managed;
use crate::deadpool::pool;
use crate::outcome::served::Served;
use crate::pool::read::reading;

type Shared = crate::pool::shared::Shared<Managed<Manager>>;
type Load<S> = Pin<Box<dyn Future<Output = Result<Loaded<S>, ReadError>> + Send>>;

impl pool::Pool<Manager, Client> {
    /// Reads through the pool's cache. A hit needs no connection.
    ///
    /// What is served when is told by [a table](crate::cache#what-is-served-when). **What decides the
    /// rows besides the statement and its parameters, such as a tenant that was set on the session, has
    /// to be given with [`vary_by`](Read::vary_by).**
    ///
    /// ```
    /// use fusepool::cache::CachePolicy;
    /// use fusepool::deadpool::postgres::{Pool, ReadError};
    /// use std::time::Duration;
    ///
    /// const MENU: CachePolicy = CachePolicy::named("menu")
    ///     .fresh_for(Duration::from_secs(5))
    ///     .stale_if_error(Duration::from_secs(600));
    ///
    /// async fn menu(pool: &Pool, day: i32) -> Result<Vec<String>, ReadError> {
    ///     let dishes = pool
    ///         .cached(&MENU)
    ///         .query("SELECT name FROM dish WHERE day = $1", &[&day])
    ///         .await?;
    ///     Ok(dishes.iter().map(|row| row.get(0)).collect())
    /// }
    /// ```
    ///
    /// Parameters are encoded by the types that the statement has, which are asked for once, and again
    /// after the server has said no to the statement; both are what an answer is kept under.
    pub fn cached<'f, T>(&self, policy: &CachePolicy) -> Read<'f, T> {
        self.read().cached(policy)
    }

    /// Reads without a cache, for the sake of the fallbacks.
    ///
    /// ```
    /// # use fusepool::deadpool::postgres::{Pool, ReadError};
    /// async fn dishes(pool: &Pool, replica: &Pool) -> Result<usize, ReadError> {
    ///     let rows = pool
    ///         .read()
    ///         .or_from(replica)
    ///         .or_value(Vec::new())
    ///         .query("SELECT name FROM dish", &[])
    ///         .await?;
    ///     Ok(rows.len())
    /// }
    /// ```
    pub fn read<'f, T>(&self) -> Read<'f, T> {
        Read {
            pool: self.clone(),
            reading: Reading::new(),
            limit: None,
        }
    }
}

/// A read, and what is served when the database cannot answer it; see [`Pool::cached`].
///
/// Fallbacks are tried in the order they were written, the cache among them. `T` is what is fetched.
#[must_use = "a read does nothing until it is queried"]
pub struct Read<'f, T> {
    pool: Pool,
    reading: Reading<'f, T, Pool>,
    limit: Option<Duration>,
}

impl<'f, T> Read<'f, T> {
    /// See [`Pool::cached`]. A second policy takes the place of the first.
    pub fn cached(mut self, policy: &CachePolicy) -> Self {
        self.reading.cached(policy);
        self
    }

    reading!(Pool);

    /// Another deadline than the pool's for the statement. A zero one, or one longer than
    /// [`LONGEST`], is a [`ReadError::Config`].
    pub fn with_timeout(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }
}

impl Read<'_, Arc<Vec<Row>>> {
    /// All rows.
    ///
    /// # Errors
    ///
    /// A [`ReadError`], if nothing else is to be served.
    pub async fn query(
        self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Arc<Vec<Row>>, ReadError> {
        Ok(self.query_served(sql, params).await?.value)
    }

    /// All rows, and where they came from.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query).
    pub async fn query_served(
        self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Served<Arc<Vec<Row>>>, ReadError> {
        self.serve(sql, params).await
    }
}

impl Read<'_, Option<Arc<Row>>> {
    /// The row, if there is one.
    ///
    /// # Errors
    ///
    /// As [`query`](Read::query), and [`ReadError::RowCount`] for more rows than one.
    pub async fn query_opt(
        self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Arc<Row>>, ReadError> {
        Ok(self.query_opt_served(sql, params).await?.value)
    }

    /// The row, if there is one, and where that came from.
    ///
    /// # Errors
    ///
    /// As [`query_opt`](Self::query_opt).
    pub async fn query_opt_served(
        self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Served<Option<Arc<Row>>>, ReadError> {
        self.serve(sql, params).await
    }
}

impl Read<'_, Arc<Row>> {
    /// The row.
    ///
    /// # Errors
    ///
    /// As [`query`](Read::query), and [`ReadError::RowCount`] unless there is one row.
    pub async fn query_one(
        self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Arc<Row>, ReadError> {
        Ok(self.query_one_served(sql, params).await?.value)
    }

    /// The row, and where it came from.
    ///
    /// # Errors
    ///
    /// As [`query_one`](Self::query_one).
    pub async fn query_one_served(
        self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Served<Arc<Row>>, ReadError> {
        let optional = Read {
            pool: self.pool,
            reading: self.reading.optional(),
            limit: self.limit,
        };
        let served = optional.serve(sql, params).await?;
        let source = served.source;
        let row = served.value.ok_or(ReadError::RowCount(0))?;
        Ok(Served::new(row, source))
    }
}

impl<S> Read<'_, S> {
    async fn serve(self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Served<S>, ReadError>
    where
        S: Shape<Row>,
    {
        if let Some(limit) = self.limit {
            check_duration("with_timeout", limit, LONGEST)?;
        }
        read_only::check(sql, Dialect::Postgres)?;
        let sql: Arc<str> = sql.into();
        let (reading, limit) = (self.reading, self.limit);
        reading.wording.check_if_cached()?;
        let wording = reading.wording.clone();
        let on = async |pool: &Pool| {
            let sql = Arc::clone(&sql);
            Statement::on(pool.shared(), sql, wording.key(), limit, params).await
        };
        // Live: its own cache would not know of writes through this pool.
        let ask_other = async |other: Pool| {
            let statement = on(&other).await?;
            let loaded = load(other.shared(), limit, statement).await?;
            Ok::<_, ReadError>(loaded.value)
        };
        let shared = self.pool.shared();
        // Without the types of its parameters it can be neither found nor sent.
        let (question, load) = match on(&self.pool).await {
            Ok(statement) => {
                let made = |key: &mut KeyHasher| key.type_id(TypeId::of::<S>());
                let base = statement.key(wording.key());
                let question = wording.question(base, made, patience(shared, limit));
                (question, Ok(load(shared, limit, statement)))
            }
            Err(error) => (None, Err(error)),
        };
        let served = reading.serve(shared, question.as_ref(), || load, ask_other);
        served.await.map_err(|error| ReadError::clone(&error))
    }
}

/// A statement that owns all it consists of.
#[derive(Clone)]
struct Statement {
    sql: Arc<str>,
    types: Arc<[Type]>,
    /// What its types are kept under.
    types_key: Key,
    parameters: Arc<[Parameter]>,
}

impl Statement {
    async fn on(
        shared: &Arc<Shared>,
        sql: Arc<str>,
        mut key: KeyHasher,
        limit: Option<Duration>,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Self, ReadError> {
        // In the scope of the read: names of types depend on it, too.
        key.text(TYPES.name());
        key.text(&sql);
        let types_key = key.finish();
        let types = types(shared, &sql, types_key, limit, params.len()).await?;
        Ok(Self {
            parameters: encode(&types, params)?.into(),
            types,
            types_key,
            sql,
        })
    }

    fn key(&self, mut key: KeyHasher) -> KeyHasher {
        key.text(&self.sql);
        key.add(&self.parameters.len());
        (self.parameters.iter()).for_each(|parameter| parameter.tell(&mut key));
        key
    }
}

/// Under which the types of a statement's parameters are kept, in the cache like any answer: the first
/// who reads it asks for them. Those that are in doubt still find the answers they were asked with,
/// while the database cannot tell newer ones.
const TYPES: CachePolicy = CachePolicy::named("parameter types")
    .fresh_for(LONGEST_AGE)
    .stale_if_error(LONGEST_AGE)
    .jitter(0.0);

async fn types(
    shared: &Arc<Shared>,
    sql: &Arc<str>,
    key: Key,
    limit: Option<Duration>,
    count: usize,
) -> Result<Arc<[Type]>, ReadError> {
    if count == 0 {
        return Ok(Arc::new([]));
    }
    let question = Question {
        policy: TYPES,
        key,
        base: key,
        tags: Vec::new(),
        patience: patience(shared, limit),
    };
    // Who looks up types on the way to an answer is no second reader.
    if let Some((types, _, Freshness::Fresh)) = shared.cache().kept(&shared.gate, &question) {
        return Ok(types);
    }
    let load = || {
        let (shared, sql) = (Arc::clone(shared), Arc::clone(sql));
        Ok(async move {
            let client = client(&shared).await?;
            // Anew: what was prepared before may have other types than the table has now.
            let on = client.guarded();
            let prepare = on.client.prepare(&sql);
            let prepared = on.watch.attempt(limit, prepare).await?;
            let types: Arc<[Type]> = prepared.params().into();
            let bytes = size_of_val(&*types) as u64;
            Ok(Loaded {
                value: types,
                bytes,
            })
        })
    };
    match ask(shared, Some(&question), false, load).await {
        Ok(served) => Ok(served.value),
        Err(failed) => match failed.stale {
            Some(stale) => Ok(stale.value),
            None => Err(ReadError::clone(&failed.error)),
        },
    }
}

fn load<S: Shape<Row>>(
    shared: &Arc<Shared>,
    limit: Option<Duration>,
    statement: Statement,
) -> Load<S> {
    let shared = Arc::clone(shared);
    Box::pin(async move {
        let client = client(&shared).await?;
        let client = Configured {
            limit,
            ..client.guarded()
        };
        let rows = match rows(&client, &statement).await {
            // It may have been prepared before its table changed, and the types with that.
            Err(ReadError::Statement(error)) if is_about_statement(&error) => {
                client.cache.remove(&statement.sql, &statement.types);
                shared.cache().doubt(Name::key(statement.types_key));
                match error.code() {
                    Some(&SqlState::FEATURE_NOT_SUPPORTED) => rows(&client, &statement).await?,
                    _ => return Err(ReadError::Statement(error)),
                }
            }
            rows => rows?,
        };
        if S::IS_FIRST && rows.len() > 1 {
            return Err(ReadError::RowCount(rows.len()));
        }
        let referred: usize = rows.iter().map(row_bytes).sum();
        let value = S::of(rows);
        Ok(Loaded {
            bytes: (value.bytes() + referred + READ_BUFFER) as u64,
            value,
        })
    })
}

/// The server said no to this statement. Whatever a pool's own classification makes of that, and
/// unlike a server that broke off or was shut down.
fn is_about_statement(error: &Error) -> bool {
    error.as_db_error().is_some() && error::classify(error) == Class::Success
}

async fn rows(client: &Configured<'_>, statement: &Statement) -> Result<Vec<Row>, ReadError> {
    // With the very types that the parameters are encoded for.
    let prepare = (client.cache).prepare_typed(client.client, &statement.sql, &statement.types);
    let prepared = (client.watch)
        .attempt_cached(client.limit, pin!(prepare))
        .await?;
    let (expected, given) = (prepared.params().len(), statement.parameters.len());
    if expected != given {
        return Err(ReadError::ParameterCount { expected, given });
    }
    let parameters = statement.parameters.iter();
    let parameters: Vec<_> = parameters.map(|one| one as &(dyn ToSql + Sync)).collect();
    let query = client.client.query(&prepared, &parameters);
    Ok(client.watch.attempt(client.limit, query).await?)
}

/// Rows are slices of what was read from the network, and keep all of that.
const READ_BUFFER: usize = 8 << 10;

/// The time of the statement, and what it may take to get a connection.
fn patience(shared: &Shared, limit: Option<Duration>) -> Duration {
    let limits = shared.gate.limits();
    limit.unwrap_or(limits.query_timeout) + limits.acquire_timeout
}

/// What a row refers to: its slice, and where its columns are.
fn row_bytes(row: &Row) -> usize {
    const RANGE: usize = size_of::<Option<std::ops::Range<usize>>>();
    row.raw_size_bytes() + row.len() * RANGE
}

/// A connection for somebody who holds no handle of the pool.
async fn client(shared: &Arc<Shared>) -> Result<Client, ReadError> {
    let lease = pool::lease(shared, &shared.adapter.timeouts);
    lease.await.map_err(ReadError::of_lease)
}

impl<T> fmt::Debug for Read<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Read")
            .field("pool", self.pool.gate().breaker().name())
            .field("reading", &self.reading)
            .field("limit", &self.limit)
            .finish()
    }
}
