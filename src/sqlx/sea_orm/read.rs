//! Adds a cache and other fallbacks to SeaORM's queries.

use std::any::TypeId;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::FutureExt;
use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, EntityTrait, ExecResult, QueryResult, Select, SelectTwo,
    SelectTwoRequired, Selector, SelectorRaw, SelectorTrait, Statement,
};

use super::backend::{Backend, statement};
use super::configured::Connection;
use super::connection::DatabaseConnection;
use super::error;
use crate::cache::invalidation::Name;
use crate::cache::policy::CachePolicy;
use crate::cache::rows::Shape;
use crate::outcome::served::Served;
use crate::pool::read::reading;
use crate::sqlx::error::misconfigured;
use crate::sqlx::pool::Pool;
use crate::sqlx::read::mapper::{Mapper, Parts};
use crate::sqlx::read::serve::{Reading, serve, with_statement};

/// A query of SeaORM that returns rows: `Entity::find()`, also with a related entity, and what
/// `into_model`, `into_tuple`, `into_partial_model` and `from_raw_sql` return. [`ReadExt`] extends it.
///
/// `find_with_related` is none, because SeaORM joins its rows afterwards. Use `into_model` for queries of
/// more than two entities.
pub trait Readable: Sized + Send {
    /// The conversion of a row to a value.
    type Selector: SelectorTrait<Item: Send + Sync + 'static> + 'static;

    /// The statement of `all`, or of `one`, as SeaORM makes it.
    #[doc(hidden)]
    fn statement(self, backend: DbBackend, only_first: bool) -> Result<Statement, DbErr>;
}

type Item<Q> = <<Q as Readable>::Selector as SelectorTrait>::Item;

impl<S: SelectorTrait<Item: Send + Sync + 'static> + Send + 'static> Readable for Selector<S> {
    type Selector = S;

    fn statement(self, backend: DbBackend, only_first: bool) -> Result<Statement, DbErr> {
        if !only_first {
            return Ok(self.into_statement(backend));
        }
        // `one` adds a limit to the query, which only SeaORM can reach. So it is run on a connection that
        // takes the statement and returns no row.
        let asked = Asked::new(backend);
        let _ = self.one(&asked).now_or_never();
        asked.statement()
    }
}
impl<S: SelectorTrait<Item: Send + Sync + 'static> + Send + 'static> Readable for SelectorRaw<S> {
    type Selector = S;

    fn statement(self, _: DbBackend, _: bool) -> Result<Statement, DbErr> {
        Ok(self.into_statement())
    }
}

impl<E: EntityTrait<Model: Send + Sync + 'static>> Readable for Select<E> {
    type Selector = sea_orm::SelectModel<E::Model>;

    fn statement(self, backend: DbBackend, only_first: bool) -> Result<Statement, DbErr> {
        self.into_model::<E::Model>().statement(backend, only_first)
    }
}

impl<E, F> Readable for SelectTwo<E, F>
where
    E: EntityTrait<Model: Send + Sync + 'static>,
    F: EntityTrait<Model: Send + Sync + 'static>,
{
    type Selector = sea_orm::SelectTwoModel<E::Model, F::Model>;

    fn statement(self, backend: DbBackend, only_first: bool) -> Result<Statement, DbErr> {
        let selector = self.into_model::<E::Model, F::Model>();
        selector.statement(backend, only_first)
    }
}

impl<E, F> Readable for SelectTwoRequired<E, F>
where
    E: EntityTrait<Model: Send + Sync + 'static>,
    F: EntityTrait<Model: Send + Sync + 'static>,
{
    type Selector = sea_orm::SelectTwoRequiredModel<E::Model, F::Model>;

    fn statement(self, backend: DbBackend, only_first: bool) -> Result<Statement, DbErr> {
        let selector = self.into_model::<E::Model, F::Model>();
        selector.statement(backend, only_first)
    }
}

/// Adds a cache and other fallbacks to SeaORM's queries.
///
/// [`cached`](Self::cached) explains what is served when.
pub trait ReadExt: Readable {
    /// Reads through the pool's cache.
    ///
    #[cfg_attr(feature = "sqlx-postgres", doc = "```")]
    #[cfg_attr(not(feature = "sqlx-postgres"), doc = "```ignore")]
    /// use fusepool::cache::CachePolicy;
    /// use fusepool::sqlx::sea_orm::{ReadExt, postgres::DatabaseConnection};
    /// use sea_orm::{DbErr, EntityTrait};
    /// use std::{sync::Arc, time::Duration};
    ///
    /// const MENU: CachePolicy = CachePolicy::named("menu")
    ///     .fresh_for(Duration::from_secs(5))
    ///     .stale_if_error(Duration::from_secs(600));
    ///
    /// async fn all<E>(db: &DatabaseConnection) -> Result<Arc<Vec<E::Model>>, DbErr>
    /// where
    ///     E: EntityTrait<Model: Send + Sync>,
    /// {
    ///     E::find().cached(&MENU).all(db).await
    /// }
    /// ```
    ///
    /// Values are returned in an [`Arc`] that is shared with the cache.
    ///
    /// The key of an answer consists of the statement's text, its values, the types, and the policy. **If
    /// the rows depend on anything else, add it to the key with [`vary_by`](Read::vary_by)**: [see
    /// there](crate::sqlx::ReadExt::cached). `all` and `one` are different
    /// statements, because `one` has a limit.
    ///
    /// See [this table](crate::cache#what-is-served-when) for what is served when. In a transaction, neither
    /// the cache nor any fallback is used.
    ///
    /// # Errors
    ///
    /// Fetching fails with the [errors of a statement](super#errors), and, before anything is
    /// sent, with a [`ConfigError`](crate::ConfigError) if the policy is invalid, or a
    /// [`NotARead`](crate::NotARead) if the statement writes or locks, in a `DbErr::Query`. If a load fails,
    /// all callers that wait for it get its error.
    fn cached<'f, DB: Backend, T>(self, policy: &CachePolicy) -> Read<'f, DB, Self, T> {
        Read::new(self).cached(policy)
    }

    /// Serves `value` when the database cannot answer. An error that the database answered with is returned
    /// as it is.
    fn or_value<'f, DB: Backend, T>(self, value: impl Into<T>) -> Read<'f, DB, Self, T> {
        Read::new(self).or_value(value)
    }

    /// Serves the value of `alternative` when the database cannot answer. `alternative` is polled only
    /// then. If it fails, the next fallback is tried.
    fn or_else<'f, DB: Backend, T, V: Into<T>>(
        self,
        alternative: impl Future<Output = Result<V, DbErr>> + Send + 'f,
    ) -> Read<'f, DB, Self, T> {
        Read::new(self).or_else(alternative)
    }

    /// Executes the query on `other` when the database cannot answer: for example on a replica, which has
    /// its own breaker. If that fails, the next fallback is tried. The cache of `other` is not used, because
    /// writes through this pool do not invalidate it.
    fn or_from<'f, DB: Backend, T>(self, other: &DatabaseConnection<DB>) -> Read<'f, DB, Self, T> {
        Read::new(self).or_from(other)
    }
}

impl<Q: Readable> ReadExt for Q {}

/// A query with its cache policy and fallbacks; see [`ReadExt`].
///
/// Fallbacks, including stale cached answers, are tried in the order of the calls. `T` is the type of the
/// fetched value.
#[must_use = "a query does nothing until it is fetched"]
pub struct Read<'f, DB: Backend, Q, T> {
    query: Q,
    reading: Reading<'f, DB, T>,
}

impl<'f, DB: Backend, Q: Readable, T> Read<'f, DB, Q, T> {
    fn new(query: Q) -> Self {
        Self {
            query,
            reading: Reading::<DB, T>::new(),
        }
    }

    /// See [`ReadExt::cached`]. A second policy replaces the first one.
    pub fn cached(mut self, policy: &CachePolicy) -> Self {
        self.reading.cached(policy);
        self
    }

    reading!(Pool<DB>, DbErr);

    async fn served(self, db: &impl Connection<Driver = DB>) -> Result<Served<T>, DbErr>
    where
        T: Shape<Item<Q>>,
    {
        let query = self.query.statement(DB::BACKEND, T::IS_FIRST)?;
        let parts = Parts {
            statement: Ok(statement(query)),
            mapper: Mapper::ByType(|row: DB::Row| {
                let value = Q::Selector::from_raw_query_result(row.into());
                value.map_err(error::rejected_row)
            }),
            mapper_id: TypeId::of::<Q::Selector>(),
        };
        let configured = db.configured();
        let mut held = configured.held().await;
        let executor = held.executor(configured.limit(), &[]);
        let served = serve(parts, self.reading, executor).await;
        served.map_err(|e| error::of(DbErr::Query, e))
    }
}

impl<DB: Backend, Q: Readable> Read<'_, DB, Q, Arc<Vec<Item<Q>>>> {
    /// Fetches all rows.
    ///
    /// # Errors
    ///
    /// As [`ReadExt::cached`] lists.
    pub async fn all(self, db: &impl Connection<Driver = DB>) -> Result<Arc<Vec<Item<Q>>>, DbErr> {
        Ok(self.served(db).await?.value)
    }

    /// Fetches all rows, and says where they came from.
    ///
    /// # Errors
    ///
    /// As [`all`](Self::all).
    pub async fn all_served(
        self,
        db: &impl Connection<Driver = DB>,
    ) -> Result<Served<Arc<Vec<Item<Q>>>>, DbErr> {
        self.served(db).await
    }

    /// Invalidates the cached answers to this query with these values and this
    /// [`vary_by`](Self::vary_by), whatever method fetched them and whatever type their rows have. The
    /// policy must be the one they are cached under.
    ///
    /// # Errors
    ///
    /// A `DbErr::Query` with a [`ConfigError`](crate::ConfigError), if there is no policy or an invalid one.
    pub fn invalidate(self, db: &DatabaseConnection<DB>) -> Result<(), DbErr>
    where
        Q: Clone,
    {
        let wording = self.reading.wording;
        let checked = wording.check().map_err(misconfigured);
        checked.map_err(|e| error::of(DbErr::Query, e))?;
        for only_first in [false, true] {
            let query = self.query.clone().statement(DB::BACKEND, only_first)?;
            let key = with_statement(wording.key(), &statement::<DB>(query)).finish();
            db.cache().invalidate(Name::key(key));
        }
        Ok(())
    }
}

impl<DB: Backend, Q: Readable> Read<'_, DB, Q, Option<Arc<Item<Q>>>> {
    /// Fetches the first row, or `None` if there is none.
    ///
    /// # Errors
    ///
    /// As [`ReadExt::cached`] lists.
    pub async fn one(
        self,
        db: &impl Connection<Driver = DB>,
    ) -> Result<Option<Arc<Item<Q>>>, DbErr> {
        Ok(self.served(db).await?.value)
    }

    /// Fetches the first row, or `None` if there is none, and says where the answer came from.
    ///
    /// # Errors
    ///
    /// As [`one`](Self::one).
    pub async fn one_served(
        self,
        db: &impl Connection<Driver = DB>,
    ) -> Result<Served<Option<Arc<Item<Q>>>>, DbErr> {
        self.served(db).await
    }
}

impl<DB: Backend, Q, T> fmt::Debug for Read<'_, DB, Q, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Read")
            .field("reading", &self.reading)
            .finish_non_exhaustive()
    }
}

/// A connection that takes the statement that it is given, and returns no row.
struct Asked {
    backend: DbBackend,
    statement: Mutex<Option<Statement>>,
}

impl Asked {
    fn new(backend: DbBackend) -> Self {
        Self {
            backend,
            statement: Mutex::default(),
        }
    }

    fn statement(self) -> Result<Statement, DbErr> {
        let statement = self.statement.into_inner();
        let statement = statement.unwrap_or_else(PoisonError::into_inner);
        statement.ok_or_else(|| DbErr::Custom("the query has no statement".into()))
    }
}

#[async_trait]
impl ConnectionTrait for Asked {
    fn get_database_backend(&self) -> DbBackend {
        self.backend
    }

    async fn execute_raw(&self, _: Statement) -> Result<ExecResult, DbErr> {
        Err(only_asks())
    }

    async fn execute_unprepared(&self, _: &str) -> Result<ExecResult, DbErr> {
        Err(only_asks())
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let mut asked = self
            .statement
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *asked = Some(statement);
        Ok(None)
    }

    async fn query_all_raw(&self, _: Statement) -> Result<Vec<QueryResult>, DbErr> {
        Err(only_asks())
    }
}

fn only_asks() -> DbErr {
    DbErr::Custom("this connection only takes the statement of a query of one row".into())
}
