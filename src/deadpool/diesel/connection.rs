//! The guarded connection of a pool.

use std::fmt;
use std::time::Duration;

use diesel::associations::{HasTable, Identifiable};
use diesel::connection::{CacheSize, Instrumentation};
use diesel::query_builder::{AsQuery, QueryFragment, QueryId};
use diesel::{ConnectionResult, QueryResult};
use diesel_async::{
    AnsiTransactionManager, AsyncConnection, AsyncConnectionCore, SimpleAsyncConnection,
    TransactionManager, UpdateAndFetchResults,
};
use futures_core::future::BoxFuture;

use super::driver::Driver;
use super::error;
use super::rows::Rows;
use super::statement::Statement;
use crate::breaker::config::{LONGEST, check_duration};
use crate::cache::invalidation::Name;
use crate::deadpool::adapter::Managed;
use crate::deadpool::object;
use crate::gate::admission::turned_away;
use crate::pool::session::System;
use crate::pool::statement::{Admission, Watch};
use crate::pool::transaction::Effect;

/// A guarded connection, used like diesel-async's. A statement on it is refused while the breaker is
/// open, has the pool's `query_timeout`, and is recorded when it ends.
///
/// Statements in a transaction are not refused, because the transaction holds its locks already. After a
/// statement was given up, nothing more is sent: every later statement fails with
/// [`BrokenTransactionManager`](diesel::result::Error::BrokenTransactionManager), so that a transaction
/// ends at once, with the error that broke it. When the connection is dropped, it is closed instead of
/// returned to the pool.
pub struct Connection<R: Driver> {
    pub(super) object: object::Object<R::Manager>,
    /// The deadline of each statement. `None`: the pool's.
    pub(super) limit: Option<Duration>,
    /// The tags that each statement invalidates.
    pub(super) invalidates: Vec<Name>,
}

impl<R: Driver> Connection<R> {
    /// The driver's connection. Statements on it are neither guarded nor recorded. If a transaction is
    /// begun on it, later statements through `&conn` do not count as part of that. At the end of the lease,
    /// the connection is checked with one statement before it returns to the pool.
    pub fn unguarded(&mut self) -> &mut R {
        &mut self.object
    }

    /// The deadline of a statement. `None`: the pool's.
    pub(super) fn limit(&self) -> QueryResult<Option<Duration>> {
        if let Some(limit) = self.limit {
            check_duration("with_timeout", limit, LONGEST).map_err(error::misconfigured)?;
        }
        Ok(self.limit)
    }

    /// Admits a statement; `sql` is its text, if that is known. This does not wait, so that a query of
    /// diesel, whose lifetime is shorter than the connection's, can be built at once.
    fn statement(&mut self, sql: Option<&str>) -> QueryResult<(&mut R, Statement<'_, R>)> {
        let limit = self.limit()?;
        let (raw, watch) = self.object.lease.parts();
        let in_transaction = in_transaction(raw);
        let effect = watch.effect(sql.unwrap_or_default());
        let statement = admit(
            watch,
            in_transaction,
            effect,
            limit,
            self.invalidates.clone(),
        )?;
        Ok((raw, statement))
    }

    /// The text of a query that may end the transaction, as some statements of MySQL do. It is built only
    /// for that.
    fn text(&mut self, query: &impl QueryFragment<R::Backend>) -> Option<String> {
        let is_mysql = matches!(R::SYSTEM, System::MySql);
        let built = is_mysql && in_transaction(self.object.lease.parts().0);
        built.then(|| R::build(query).ok())?.map(|built| built.sql)
    }

    /// Admits a statement through a shared reference to the connection. diesel's transaction state cannot
    /// be read through that, but diesel begins and ends its transactions by texts, which are followed.
    #[cfg(feature = "diesel-postgres")]
    pub(super) fn pipelined(&self, sql: Option<&str>) -> QueryResult<(&R, Statement<'_, R>)> {
        let limit = self.limit()?;
        let lease = &self.object.lease;
        let watch = lease.watch();
        let effect = watch.effect(sql.unwrap_or_default());
        let statement = admit(watch, false, effect, limit, self.invalidates.clone())?;
        Ok((lease, statement))
    }
}

/// Admits a statement, which is refused only outside of a transaction. `in_transaction`: diesel says
/// that it is in one. diesel's own transactions are texts, too.
fn admit<'l, R: Driver>(
    watch: Watch<'l, Managed<R::Manager>>,
    in_transaction: bool,
    effect: Effect,
    limit: Option<Duration>,
    invalidates: Vec<Name>,
) -> QueryResult<Statement<'l, R>> {
    let admission = match in_transaction || watch.state.is_in_transaction() {
        true => Admission::Transaction,
        false => Admission::Breaker,
    };
    let admitted = watch.try_admit(admission.of(effect), limit);
    let statement = admitted.map_err(error::refused)?;
    Ok(Statement(statement.by_text(effect, invalidates)))
}

fn in_transaction<R: Driver>(raw: &mut R) -> bool {
    let status = AnsiTransactionManager::transaction_manager_status_mut(raw);
    !matches!(status.transaction_depth(), Ok(None))
}

impl<R: Driver> SimpleAsyncConnection for Connection<R> {
    async fn batch_execute(&mut self, query: &str) -> QueryResult<()> {
        let (raw, statement) = match self.statement(Some(query)) {
            Ok(admitted) => admitted,
            // Returned without yielding: a connection whose `BEGIN` is dropped counts as broken, see
            // https://github.com/diesel-rs/diesel_async/issues/198 and
            // https://github.com/diesel-rs/diesel_async/pull/201.
            Err(error) if Effect::of(query, Some(R::SYSTEM)).begins => return Err(error),
            Err(error) => return turned_away(Err(error)).await,
        };
        statement.run(raw.batch_execute(query)).await
    }
}

impl<R: Driver> AsyncConnectionCore for Connection<R> {
    type ExecuteFuture<'conn, 'query> = BoxFuture<'conn, QueryResult<usize>>;
    type LoadFuture<'conn, 'query> = BoxFuture<'conn, QueryResult<Rows<'conn, R>>>;
    type Stream<'conn, 'query> = Rows<'conn, R>;
    type Row<'conn, 'query> = R::OwnedRow;
    type Backend = R::Backend;

    fn load<'conn, 'query, T>(&'conn mut self, source: T) -> Self::LoadFuture<'conn, 'query>
    where
        T: AsQuery + 'query,
        T::Query: QueryFragment<Self::Backend> + QueryId + 'query,
    {
        let query = source.as_query();
        let sql = self.text(&query);
        match self.statement(sql.as_deref()) {
            Ok((raw, statement)) => Box::pin(statement.load(raw.start_load(query))),
            Err(error) => Box::pin(turned_away(Err(error))),
        }
    }

    fn execute_returning_count<'conn, 'query, T>(
        &'conn mut self,
        source: T,
    ) -> Self::ExecuteFuture<'conn, 'query>
    where
        T: QueryFragment<Self::Backend> + QueryId + 'query,
    {
        let text = self.text(&source);
        match self.statement(text.as_deref()) {
            Ok((raw, statement)) => Box::pin(statement.run(raw.start_execute(source))),
            Err(error) => Box::pin(turned_away(Err(error))),
        }
    }
}

impl<R: Driver> AsyncConnection for Connection<R> {
    type TransactionManager = AnsiTransactionManager;

    /// Opens a guarded connection outside of a pool, as the driver does.
    async fn establish(url: &str) -> ConnectionResult<Self> {
        Ok(R::establish(url).await?.into())
    }

    fn transaction_state(&mut self) -> &mut AnsiTransactionManager {
        self.object.lease.parts().0.transaction_state()
    }

    fn instrumentation(&mut self) -> &mut dyn Instrumentation {
        self.object.lease.parts().0.instrumentation()
    }

    fn set_instrumentation(&mut self, instrumentation: impl Instrumentation) {
        (self.object.lease.parts().0).set_instrumentation(instrumentation);
    }

    fn set_prepared_statement_cache_size(&mut self, size: CacheSize) {
        (self.object.lease.parts().0).set_prepared_statement_cache_size(size);
    }
}

/// `save_changes` counts as one statement, even if the driver sends two.
impl<R, Changes, Output> UpdateAndFetchResults<Changes, Output> for Connection<R>
where
    R: Driver + UpdateAndFetchResults<Changes, Output>,
    Changes: Identifiable + HasTable + Send,
    Output: Send,
{
    fn update_and_fetch<'conn, 'changes>(
        &'conn mut self,
        changeset: Changes,
    ) -> BoxFuture<'changes, QueryResult<Output>>
    where
        Changes: 'changes,
        'conn: 'changes,
        Self: 'changes,
    {
        Box::pin(async move {
            let (raw, statement) = match self.statement(None) {
                Ok(admitted) => admitted,
                Err(error) => return turned_away(Err(error)).await,
            };
            statement.run(raw.update_and_fetch(changeset)).await
        })
    }
}

impl<R: Driver> fmt::Debug for Connection<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("object", &self.object)
            .finish()
    }
}

/// A guarded connection cannot be passed where diesel-async's is required, on which statements would
/// run unguarded: the second example does not compile.
///
#[cfg_attr(feature = "diesel-postgres", doc = "```")]
#[cfg_attr(not(feature = "diesel-postgres"), doc = "```ignore")]
/// use diesel::QueryResult;
/// use diesel_async::RunQueryDsl;
/// use fusepool::deadpool::diesel::{AsyncPgConnection, Object};
///
/// async fn vacuum(conn: &mut AsyncPgConnection) -> QueryResult<usize> {
///     diesel::sql_query("VACUUM").execute(conn).await
/// }
///
/// async fn run(mut conn: Object<AsyncPgConnection>) -> QueryResult<usize> {
///     vacuum(&mut conn).await
/// }
/// ```
///
#[cfg_attr(feature = "diesel-postgres", doc = "```compile_fail,E0308")]
#[cfg_attr(not(feature = "diesel-postgres"), doc = "```ignore")]
/// use diesel::QueryResult;
/// use diesel_async::{AsyncPgConnection as Unguarded, RunQueryDsl};
/// use fusepool::deadpool::diesel::{AsyncPgConnection, Object};
///
/// async fn vacuum(conn: &mut Unguarded) -> QueryResult<usize> {
///     diesel::sql_query("VACUUM").execute(conn).await
/// }
///
/// async fn run(mut conn: Object<AsyncPgConnection>) -> QueryResult<usize> {
///     vacuum(&mut conn).await
/// }
/// ```
#[cfg(doctest)]
struct DoesNotCompile;
