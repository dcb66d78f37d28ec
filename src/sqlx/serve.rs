//! How a query that may be served by others than the database is answered.

use std::any::TypeId;
use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;
use sqlx::{Error, Executor};

use super::adapter::Shared;
use super::driver::Driver;
use super::executor::{Target, WithTimeout};
use super::mapper::{Mapper, Parts};
use super::pool::Pool;
use super::statement::Statement;
use super::{error, shared_error};
use crate::cache::entry::Loaded;
use crate::cache::key::KeyHasher;
use crate::cache::rows::Shape;
use crate::outcome::served::{Served, Source};

/// What is served of a read, and what instead.
pub(super) type Reading<'f, DB, T> = crate::cache::reading::Reading<'f, T, Error, Pool<DB>>;

/// Answers a query: from the cache, from the database, or by a fallback.
pub(super) async fn serve<DB: Driver, O: Send + Sync + 'static, S: Shape<O>>(
    parts: Parts<DB, O>,
    reading: Reading<'_, DB, S>,
    executor: WithTimeout<'_, DB>,
) -> Result<Served<S>, Error> {
    let limit = executor.limit()?;
    let (statement, mapper) = (parts.statement?, parts.mapper);
    reading
        .wording
        .check_if_cached()
        .map_err(error::misconfigured)?;
    let Target::Pool(shared) = &executor.target else {
        DB::check_read(statement.sql.as_str()).map_err(error::not_a_read)?;
        let loaded = fetch(executor, statement, &mapper).await?;
        return Ok(Served::new(loaded.value, Source::Live));
    };
    let shared = Arc::clone(shared);
    // Its own time, and what it may take to get a connection: others may have given the load more.
    let limits = shared.gate.limits();
    let patience = limit.unwrap_or(limits.query_timeout) + limits.acquire_timeout;
    let made = |key: &mut KeyHasher| {
        key.type_id(parts.mapper_id);
        key.type_id(TypeId::of::<S>());
    };
    let wording = &reading.wording;
    let question = wording.question(with_statement(wording.key(), &statement), made, patience);
    let again = (reading.asks_others()).then(|| (statement.clone(), mapper.clone()));
    // Live: its own cache would not know of writes through this pool.
    let ask_other = |pool: Pool<DB>| {
        let again = again.clone();
        async move {
            let (statement, mapper) = again.ok_or(Error::PoolClosed)?;
            let executor = WithTimeout::of(Arc::clone(pool.shared()), limit);
            Ok(fetch(executor, statement, &mapper).await?.value)
        }
    };
    let load = load(&shared, limit, statement, mapper);
    let served = reading.serve(&shared, question.as_ref(), load, ask_other);
    served.await.map_err(shared_error::of_all)
}

/// A load of these rows, which is refused if it is none.
fn load<DB: Driver, O: Send + Sync + 'static, S: Shape<O>>(
    shared: &Arc<Shared<DB>>,
    limit: Option<Duration>,
    statement: Statement<DB>,
    mapper: Mapper<DB, O>,
) -> impl FnOnce() -> Result<BoxFuture<'static, Result<Loaded<S>, Error>>, Error> {
    let executor = WithTimeout::of(Arc::clone(shared), limit);
    move || {
        DB::check_read(statement.sql.as_str()).map_err(error::not_a_read)?;
        Ok(Box::pin(async move {
            fetch(executor, statement, &mapper).await
        }))
    }
}

async fn fetch<DB: Driver, O: Send + Sync + 'static, S: Shape<O>>(
    executor: WithTimeout<'_, DB>,
    statement: Statement<DB>,
    mapper: &Mapper<DB, O>,
) -> Result<Loaded<S>, Error> {
    let rows = if S::IS_FIRST {
        let row = executor.fetch_optional(statement).await?;
        row.into_iter().collect()
    } else {
        executor.fetch_all(statement).await?
    };
    let referred: usize = rows.iter().map(DB::row_bytes).sum();
    let value = S::of(mapper.map(rows)?);
    Ok(Loaded {
        bytes: (value.bytes() + referred) as u64,
        value,
    })
}

/// The key of a read, with all that tells the statement from others.
pub(super) fn with_statement<DB: Driver>(
    mut key: KeyHasher,
    statement: &Statement<DB>,
) -> KeyHasher {
    key.text(statement.sql.as_str());
    key.printed(&statement.arguments);
    key
}

#[cfg(test)]
mod tests;
