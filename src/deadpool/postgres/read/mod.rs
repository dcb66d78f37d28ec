//! Cached reads, and reads with fallbacks.

use std::any::TypeId;
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Error, Row};

use self::error::ReadError;
use self::parameters::{Parameter, encode};
use crate::breaker::config::{LONGEST, check_duration};
use crate::breaker::verdict::Class;
use crate::cache::doubt::Doubt;
use crate::cache::entry::Loaded;
use crate::cache::fallback::Reading;
use crate::cache::invalidation::Name;
use crate::cache::key::{Key, KeyHasher};
use crate::cache::origin::Origin;
use crate::cache::policy::{CachePolicy, Freshness, LONGEST_AGE};
use crate::cache::question::Question;
use crate::cache::read_only;
use crate::cache::read_through::{Others, ask};
use crate::cache::rows::Shape;
use crate::cache::tokens::Dialect;
use crate::deadpool::adapter::Managed;
use crate::deadpool::pool;
use crate::deadpool::postgres::client::Client;
use crate::deadpool::postgres::configured::Configured;
use crate::deadpool::postgres::error as driver_error;
use crate::deadpool::postgres::manager::Manager;
use crate::deadpool::postgres::pool::Pool;
use crate::outcome::served::Served;
use crate::pool::read::reading;
use crate::pool::transaction::Effect;

pub(super) mod error;
mod parameters;

type Shared = crate::pool::shared::Shared<Managed<Manager>>;
type Load<S> = Pin<Box<dyn Future<Output = Result<Loaded<S>, ReadError>> + Send>>;

impl pool::Pool<Manager, Client> {
    /// Reads through the pool's cache. A cache hit needs no connection.
    ///
    /// See [this table](crate::cache#what-is-served-when) for what is served when.
    ///
    /// **If the rows depend on anything besides the statement and its parameters, such as a tenant
    /// that is set on the session, add it to the key with [`vary_by`](Read::vary_by).** Otherwise one
    /// tenant is served the rows of another.
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
    /// The encoded parameters and their types are part of the key. To learn the types, fusepool
    /// prepares the statement when it is first read, and keeps them in the cache. It learns them again
    /// after the server answered the statement with an error.
    pub fn cached<'f, T>(&self, policy: &CachePolicy) -> Read<'f, T> {
        self.read().cached(policy)
    }

    /// Reads without the cache, but with fallbacks.
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

/// A read with its cache policy and fallbacks; see [`Pool::cached`].
///
/// Fallbacks, including stale cached answers, are tried in the order of the calls. `T` is the type of
/// the fetched value.
#[must_use = "a read does nothing until it is queried"]
pub struct Read<'f, T> {
    pool: Pool,
    reading: Reading<'f, T, Pool>,
    limit: Option<Duration>,
}

impl<'f, T> Read<'f, T> {
    /// See [`Pool::cached`]. A second policy replaces the first one.
    pub fn cached(mut self, policy: &CachePolicy) -> Self {
        self.reading.cached(policy);
        self
    }

    reading!(Pool);

    /// Sets the deadline of the statement instead of the pool's `query_timeout`. If it is zero or
    /// longer than [`LONGEST`], the read fails with [`ReadError::Config`].
    pub fn with_timeout(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }
}

impl Read<'_, Arc<Vec<Row>>> {
    /// Fetches all rows.
    ///
    /// # Errors
    ///
    /// - [`ReadError::Config`]: the policy or the deadline is invalid, and nothing was sent.
    /// - [`ReadError::NotARead`]: the statement does more than read, and nothing was sent.
    /// - [`ReadError::ParameterCount`], [`ReadError::Encode`]: the parameters do not match the
    ///   statement.
    /// - Otherwise, the database answered with an error, or it did not answer and no fallback has a
    ///   value.
    pub async fn query(
        self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Arc<Vec<Row>>, ReadError> {
        Ok(self.query_served(sql, params).await?.value)
    }

    /// Fetches all rows, and says where they came from.
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
    /// Fetches the row, or `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`ReadError::RowCount`], if there are several rows; otherwise as [`query`](Read::query).
    pub async fn query_opt(
        self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Arc<Row>>, ReadError> {
        Ok(self.query_opt_served(sql, params).await?.value)
    }

    /// Fetches the row, or `None` if there is none, and says where the answer came from.
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
    /// Fetches the row.
    ///
    /// # Errors
    ///
    /// [`ReadError::RowCount`], unless there is exactly one row; otherwise as
    /// [`query`](Read::query).
    pub async fn query_one(
        self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Arc<Row>, ReadError> {
        Ok(self.query_one_served(sql, params).await?.value)
    }

    /// Fetches the row, and says where it came from.
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
        let (wording, others) = (reading.wording.clone(), reading.others());
        let on = async |pool: &Pool, others| {
            let sql = Arc::clone(&sql);
            Statement::on(pool.shared(), sql, wording.key(), limit, others, params).await
        };
        // Without the other pool's cache, which writes through this pool do not invalidate.
        let ask_other = async |other: Pool| {
            let statement = on(&other, Others::None).await?;
            let loaded = load(other.shared(), limit, statement).await?;
            Ok::<_, ReadError>(loaded.value)
        };
        let shared = self.pool.shared();
        // The types of the parameters are needed both for the key and to send the statement.
        let (question, load) = match on(&self.pool, others).await {
            Ok(statement) => {
                let made = |key: &mut KeyHasher| key.type_id(TypeId::of::<S>());
                let base = statement.key(wording.key());
                let question = wording.question(base, made, limit);
                (question, Ok(load(shared, limit, statement)))
            }
            Err(error) => (None, Err(error)),
        };
        let served = reading.serve(shared, question.as_ref(), || load, ask_other);
        served.await.map_err(|error| ReadError::clone(&error))
    }
}

/// A statement that owns its text and its parameters.
#[derive(Clone)]
struct Statement {
    sql: Arc<str>,
    types: Arc<[Type]>,
    /// The key under which the types are cached.
    types_key: Key,
    parameters: Arc<[Parameter]>,
}

impl Statement {
    async fn on(
        shared: &Arc<Shared>,
        sql: Arc<str>,
        mut key: KeyHasher,
        limit: Option<Duration>,
        others: Others,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Self, ReadError> {
        // The key contains the read's `vary_by`, because what a type's name means can depend on it.
        key.text(TYPES.name());
        key.text(&sql);
        let types_key = key.finish();
        let types = types(shared, &sql, types_key, limit, others, params.len()).await?;
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
        for parameter in &*self.parameters {
            parameter.add_to(&mut key);
        }
        key
    }
}

/// The policy for the types of a statement's parameters, which are cached like an answer. Types that
/// are in doubt still serve to find cached answers while the database cannot answer.
const TYPES: CachePolicy = CachePolicy::named("parameter types")
    .fresh_for(LONGEST_AGE)
    .stale_if_error(LONGEST_AGE)
    .jitter(0.0);

/// The types of a statement's parameters: cached, or asked of the server.
async fn types(
    shared: &Arc<Shared>,
    sql: &Arc<str>,
    key: Key,
    limit: Option<Duration>,
    others: Others,
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
        limit,
    };
    // Not counted as a cache hit of its own.
    let kept = match shared.cache().kept(&shared.gate, &question) {
        Some((types, _, Freshness::Fresh)) => return Ok(types),
        kept => kept,
    };
    let load = || {
        let (shared, sql) = (Arc::clone(shared), Arc::clone(sql));
        // Boxed, because the future of each caller holds one, and most do not use it.
        Ok(Box::pin(async move {
            let client = client(&shared).await?;
            // Not from the statement cache: a table may have changed since the statement was prepared.
            let on = client.guarded();
            let prepare = on.client.prepare(&sql);
            let prepared = (on.watch)
                .attempt(Effect::default(), limit, Vec::new(), prepare)
                .await?;
            let types: Arc<[Type]> = prepared.params().into();
            let bytes = size_of_val(&*types) as u64;
            Ok(Loaded {
                value: types,
                bytes,
            })
        }))
    };
    match ask(shared, Some(&question), kept, others, load).await {
        Ok(served) => Ok(served.value),
        Err(failed) => match failed.stale {
            Some(stale) => Ok(stale.value),
            None => Err(ReadError::clone(&failed.error)),
        },
    }
}

/// The load of a statement's rows.
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
            // The table may have changed since the statement was prepared, and the types with it.
            Err(ReadError::Statement(error)) if is_about_statement(&error) => {
                client.cache.remove(&statement.sql, &statement.types);
                Doubt::begin(shared.cache(), vec![Name::key(statement.types_key)]).end();
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

/// Whether the error is the server's answer to this statement, and not for example the notice that it
/// shuts down. The user's classification does not matter here.
fn is_about_statement(error: &Error) -> bool {
    error.as_db_error().is_some() && driver_error::classify(error) == Class::Success
}

async fn rows(client: &Configured<'_>, statement: &Statement) -> Result<Vec<Row>, ReadError> {
    // Prepared with the types that the parameters are encoded for.
    let prepare = (client.cache).prepare_typed(client.client, &statement.sql, &statement.types);
    let prepared = (client.watch)
        .attempt_cached(client.limit, None, pin!(prepare))
        .await?;
    let (expected, given) = (prepared.params().len(), statement.parameters.len());
    if expected != given {
        return Err(ReadError::ParameterCount { expected, given });
    }
    let parameters = statement.parameters.iter();
    let parameters: Vec<_> = parameters.map(|one| one as &(dyn ToSql + Sync)).collect();
    let query = client.client.query(&prepared, &parameters);
    Ok(client
        .watch
        .attempt(Effect::default(), client.limit, Vec::new(), query)
        .await?)
}

/// An estimate of the read buffer that rows keep alive, in bytes: they are slices of it.
const READ_BUFFER: usize = 8 << 10;

/// The heap memory that a row refers to, in bytes: its data, and the ranges of its columns.
fn row_bytes(row: &Row) -> usize {
    const RANGE: usize = size_of::<Option<std::ops::Range<usize>>>();
    row.raw_size_bytes() + row.len() * RANGE
}

/// Leases a connection. Takes the shared state of a pool, so that a load does not keep the pool alive.
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
