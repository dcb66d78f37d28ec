//! Maps rows to the values of a query.

use std::any::TypeId;
use std::collections::VecDeque;
use std::fmt;
use std::future::ready;
use std::mem::size_of;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use futures_util::{FutureExt, StreamExt, stream};
use sqlx::query::{Map, QueryAs, QueryScalar};
use sqlx::{Database, Describe, Either, Error, Execute, Executor, FromRow, IntoArguments, SqlStr};

use crate::sqlx::driver::{Driver, Rows};
use crate::sqlx::statement::Statement;

/// Maps rows to values as the query it was taken from does.
pub(in crate::sqlx) enum Mapper<DB: Database, O> {
    /// By the conversion of the value's type, such as `FromRow`.
    ByType(fn(DB::Row) -> Result<O, Error>),
    /// By the closure given to `map`.
    ByClosure(Arc<Mapping<DB, O>>),
}

/// The parts of a query: the statement, and how its rows are mapped.
pub struct Parts<DB: Database, O> {
    pub(in crate::sqlx) statement: Result<Statement<DB>, Error>,
    pub(in crate::sqlx) mapper: Mapper<DB, O>,
    /// Identifies the mapper. Two mappers with the same id map equal rows to equal values.
    pub(in crate::sqlx) mapper_id: TypeId,
}

/// A query that returns rows and maps them to values: `query_as`, `query_scalar`, `query` with
/// `map`, and the `query!` macros. [`ReadExt`](crate::sqlx::ReadExt) extends it.
pub trait Readable: Sized {
    /// The database driver of the query.
    type Database: Driver;
    /// The value that a row is mapped to.
    type Output: Send + Sync + 'static;

    #[doc(hidden)]
    fn take_apart(self) -> Parts<Self::Database, Self::Output>;
}

impl<'q, DB, O, A> Readable for QueryAs<'q, DB, O, A>
where
    DB: Driver,
    O: for<'r> FromRow<'r, DB::Row> + Send + Sync + Unpin + 'static,
    A: IntoArguments<DB> + 'q,
{
    type Database = DB;
    type Output = O;

    fn take_apart(self) -> Parts<DB, O> {
        Parts {
            statement: Statement::take(self).map(Statement::unprepared),
            mapper: Mapper::ByType(|row| O::from_row(&row)),
            mapper_id: TypeId::of::<fn() -> O>(),
        }
    }
}

impl<'q, DB, O, A> Readable for QueryScalar<'q, DB, O, A>
where
    DB: Driver,
    (O,): for<'r> FromRow<'r, DB::Row>,
    O: Send + Sync + Unpin + 'static,
    A: IntoArguments<DB> + 'q,
{
    type Database = DB;
    type Output = O;

    fn take_apart(self) -> Parts<DB, O> {
        Parts {
            statement: Statement::take(self).map(Statement::unprepared),
            mapper: Mapper::ByType(|row| <(O,)>::from_row(&row).map(|(value,)| value)),
            mapper_id: TypeId::of::<fn() -> (O,)>(),
        }
    }
}

/// `query(..).map(..)`, and the queries that the `query!` macros return.
impl<DB, F, O, A> Readable for Map<'static, DB, F, A>
where
    DB: Driver,
    F: FnMut(DB::Row) -> Result<O, Error> + Send + 'static,
    O: Send + Sync + Unpin + 'static,
    A: IntoArguments<DB> + Send + 'static,
{
    type Database = DB;
    type Output = O;

    fn take_apart(self) -> Parts<DB, O> {
        const {
            assert!(
                size_of::<F>() == 0,
                "a closure that maps cached rows must not capture anything: captured values would \
                 not be part of the cache key"
            );
        }
        let (statement, mapping) = Mapping::of(self);
        Parts {
            statement,
            mapper: Mapper::ByClosure(Arc::new(mapping)),
            mapper_id: TypeId::of::<F>(),
        }
    }
}

impl<DB: Database, O: Send + 'static> Mapper<DB, O> {
    pub(super) fn map(&self, rows: Vec<DB::Row>) -> Result<Vec<O>, Error> {
        match self {
            Self::ByType(map) => rows.into_iter().map(map).collect(),
            Self::ByClosure(mapping) => mapping.map(rows),
        }
    }
}

impl<DB: Database, O> Clone for Mapper<DB, O> {
    fn clone(&self) -> Self {
        match self {
            Self::ByType(map) => Self::ByType(*map),
            Self::ByClosure(mapping) => Self::ByClosure(Arc::clone(mapping)),
        }
    }
}

/// The closure of a [`Map`].
///
/// sqlx does not expose the closure: a `Map` applies it to the rows that an executor returns. So
/// this runs the `Map` on an [`Interceptor`], which takes the statement and then returns the rows
/// that were fetched elsewhere.
pub(in crate::sqlx) struct Mapping<DB: Database, O> {
    values: Mutex<BoxStream<'static, Result<O, Error>>>,
    rows: Arc<Mutex<VecDeque<DB::Row>>>,
}

impl<DB: Driver, O: Send + Unpin + 'static> Mapping<DB, O> {
    fn of<F, A>(query: Map<'static, DB, F, A>) -> (Result<Statement<DB>, Error>, Self)
    where
        F: FnMut(DB::Row) -> Result<O, Error> + Send + 'static,
        A: IntoArguments<DB> + Send + 'static,
    {
        let rows = Arc::default();
        let taken: Taken<DB> = Arc::default();
        let interceptor = Interceptor {
            taken: Arc::clone(&taken),
            rows: Arc::clone(&rows),
        };
        let mut values = query.fetch(interceptor);
        // The first poll passes the statement to the interceptor. Then the stream waits for rows.
        let early = values.next().now_or_never();
        let statement = lock(&taken).take();
        let statement = match (statement, early) {
            (Some(statement), _) => statement,
            (None, Some(Some(Err(error)))) => Err(error),
            (None, _) => Err(Error::Protocol("the mapped query has no statement".into())),
        };
        let values = Mutex::new(values);
        (statement, Self { values, rows })
    }
}

impl<DB: Database, O> Mapping<DB, O> {
    fn map(&self, rows: Vec<DB::Row>) -> Result<Vec<O>, Error> {
        let failed_before = || Error::Decode("the closure of `map` failed before".into());
        // After a panic, the stream must not be polled again.
        let mut values = self.values.lock().map_err(|_| failed_before())?;
        let count = rows.len();
        *lock(&self.rows) = rows.into();
        let mut mapped = Vec::with_capacity(count);
        while mapped.len() < count {
            match values.next().now_or_never() {
                Some(Some(value)) => mapped.push(value?),
                // After an error, sqlx ends the stream.
                _ => return Err(failed_before()),
            }
        }
        Ok(mapped)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

type Taken<DB> = Arc<Mutex<Option<Result<Statement<DB>, Error>>>>;

/// An executor that executes nothing: it takes the statement and returns given rows.
struct Interceptor<DB: Database> {
    taken: Taken<DB>,
    rows: Arc<Mutex<VecDeque<DB::Row>>>,
}

impl<DB: Driver> Executor<'static> for Interceptor<DB> {
    type Database = DB;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> Rows<'e, DB>
    where
        E: 'q + Execute<'q, DB>,
    {
        *lock(&self.taken) = Some(Statement::take(query).map(Statement::unprepared));
        let rows = self.rows;
        let next = move |_: &mut std::task::Context<'_>| match lock(&rows).pop_front() {
            Some(row) => Poll::Ready(Some(Ok(Either::Right(row)))),
            None => Poll::Pending,
        };
        stream::poll_fn(next).boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, _: E) -> BoxFuture<'e, Result<Option<DB::Row>, Error>>
    where
        E: 'q + Execute<'q, DB>,
    {
        Box::pin(ready(Err(only_streams())))
    }

    fn prepare_with<'e>(
        self,
        _: SqlStr,
        _: &'e [DB::TypeInfo],
    ) -> BoxFuture<'e, Result<DB::Statement, Error>>
    where
        'static: 'e,
    {
        Box::pin(ready(Err(only_streams())))
    }

    fn describe<'e>(self, _: SqlStr) -> BoxFuture<'e, Result<Describe<DB>, Error>>
    where
        'static: 'e,
    {
        Box::pin(ready(Err(only_streams())))
    }
}

fn only_streams() -> Error {
    Error::Protocol("this executor only supports `fetch_many`".into())
}

impl<DB: Database> fmt::Debug for Interceptor<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interceptor").finish_non_exhaustive()
    }
}

impl<DB: Database, O> fmt::Debug for Parts<DB, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}
