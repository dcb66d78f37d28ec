//! Executes reads: from the cache, from the database, or by a fallback.

use std::any::TypeId;
use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;
use sqlx::Error;

use super::mapper::{Mapper, Parts};
use super::shared_error;
use crate::cache::entry::Loaded;
use crate::cache::key::KeyHasher;
use crate::cache::rows::Shape;
use crate::outcome::error::GateError;
use crate::outcome::served::{Served, Source};
use crate::pool::read_error::ReadError;
use crate::sqlx::adapter::Shared;
use crate::sqlx::driver::Driver;
use crate::sqlx::error;
use crate::sqlx::executor::{Configured, Target};
use crate::sqlx::pool::Pool;
use crate::sqlx::statement::Statement;

/// A read's cache policy and its fallbacks.
pub(in crate::sqlx) type Reading<'f, DB, T> = crate::cache::fallback::Reading<'f, T, Pool<DB>>;

type Load<S> = BoxFuture<'static, Result<Loaded<S>, ReadError<Error>>>;

/// Executes a read: from the cache, from the database, or by a fallback.
///
/// On a leased connection and in a transaction, the read goes to the database, without cache or
/// fallbacks.
pub(in crate::sqlx) async fn serve<DB: Driver, O: Send + Sync + 'static, S: Shape<O>>(
    parts: Parts<DB, O>,
    reading: Reading<'_, DB, S>,
    executor: Configured<'_, DB>,
) -> Result<Served<S>, Error> {
    let limit = executor.limit()?;
    let (statement, mapper) = (parts.statement?, parts.mapper);
    reading
        .wording
        .check_if_cached()
        .map_err(error::misconfigured)?;
    let Target::Pool(shared) = &executor.target else {
        DB::check_read(statement.sql.as_str()).map_err(error::not_a_read)?;
        // Boxed, so that reads from the cache do not carry it.
        let loaded = Box::pin(fetch(executor, statement, &mapper)).await;
        let loaded = loaded.map_err(error::of_statement)?;
        return Ok(Served::new(loaded.value, Source::Live));
    };
    let shared = Arc::clone(shared);
    let made = |key: &mut KeyHasher| {
        key.type_id(parts.mapper_id);
        key.type_id(TypeId::of::<S>());
    };
    let wording = &reading.wording;
    let question = wording.question(with_statement(wording.key(), &statement), made, limit);
    let again = (reading.asks_others()).then(|| (statement.clone(), mapper.clone()));
    // Without the other pool's cache, which writes through this pool do not invalidate.
    let ask_other = |pool: Pool<DB>| {
        let again = again.clone();
        async move {
            let (statement, mapper) = again.ok_or(GateError::Failed(Error::PoolClosed))?;
            let executor = Configured::of(Arc::clone(pool.shared()), limit);
            let loaded = fetch(executor, statement, &mapper).await?;
            Ok::<_, GateError<Error>>(loaded.value)
        }
    };
    let load = load(&shared, limit, statement, mapper);
    let served = reading.serve(&shared, question.as_ref(), load, ask_other);
    served.await.map_err(shared_error::of_read)
}

/// The load of these rows. Fails with [`ReadError::NotARead`] if the statement does more than read.
fn load<DB: Driver, O: Send + Sync + 'static, S: Shape<O>>(
    shared: &Arc<Shared<DB>>,
    limit: Option<Duration>,
    statement: Statement<DB>,
    mapper: Mapper<DB, O>,
) -> impl FnOnce() -> Result<Load<S>, ReadError<Error>> {
    let executor = Configured::of(Arc::clone(shared), limit);
    move || {
        DB::check_read(statement.sql.as_str())?;
        Ok(Box::pin(async move {
            Ok(fetch(executor, statement, &mapper).await?)
        }))
    }
}

/// Fetches the rows, and maps them to values.
async fn fetch<DB: Driver, O: Send + Sync + 'static, S: Shape<O>>(
    executor: Configured<'_, DB>,
    statement: Statement<DB>,
    mapper: &Mapper<DB, O>,
) -> Result<Loaded<S>, GateError<Error>> {
    let rows = executor.fetch(statement, S::IS_FIRST).await?;
    let referred: usize = rows.iter().map(DB::row_bytes).sum();
    let value = S::of(mapper.map(rows).map_err(GateError::Failed)?);
    Ok(Loaded {
        bytes: (value.bytes() + referred) as u64,
        value,
    })
}

/// Adds the text and the arguments of a statement to the key of a read.
pub(in crate::sqlx) fn with_statement<DB: Driver>(
    mut key: KeyHasher,
    statement: &Statement<DB>,
) -> KeyHasher {
    key.text(statement.sql.as_str());
    match &statement.arguments {
        Some(arguments) => key.printed(arguments),
        None => key.printed(&()),
    }
    key
}

#[cfg(test)]
mod tests;
