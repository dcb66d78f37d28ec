//! How a query that may be served by others than the database is answered.

use std::any::TypeId;
use std::mem::size_of;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{Error, Executor};

use super::driver::Driver;
use super::error;
use super::executor::{Target, Within};
use super::mapper::{Mapper, Parts};
use super::pool::Pool;
use super::shared::Shared;
use super::shared_error;
use super::statement::Statement;
use crate::cache::{CachePolicy, KeyHasher, Loaded, Name};
use crate::fallback::{Step, fall_back};
use crate::read_through::{Failed, Origin, Question};
use crate::served::{Served, Source};

/// A query, and what is served when the database cannot answer it.
pub(super) struct Request<'f, DB: Driver, O, T> {
    pub(super) parts: Parts<DB, O>,
    pub(super) policy: Option<CachePolicy>,
    /// What decides the rows besides the statement and its arguments.
    pub(super) scope: KeyHasher,
    pub(super) tags: Vec<Name>,
    pub(super) steps: Vec<Step<'f, T, Error, Pool<DB>>>,
}

/// What is fetched: all rows, or the first.
pub(super) trait Shape<O>: Clone + Send + Sync + 'static {
    const IS_FIRST: bool;

    fn of(values: Vec<O>) -> Self;

    /// What it takes on the heap, without what the values themselves refer to.
    fn bytes(&self) -> usize;
}

/// The counts of an [`Arc`].
const COUNTS: usize = 2 * size_of::<usize>();

impl<O: Send + Sync + 'static> Shape<O> for Arc<Vec<O>> {
    const IS_FIRST: bool = false;

    fn of(values: Vec<O>) -> Self {
        Arc::new(values)
    }

    fn bytes(&self) -> usize {
        COUNTS + size_of::<Vec<O>>() + self.capacity() * size_of::<O>()
    }
}

impl<O: Send + Sync + 'static> Shape<O> for Option<Arc<O>> {
    const IS_FIRST: bool = true;

    fn of(values: Vec<O>) -> Self {
        values.into_iter().next().map(Arc::new)
    }

    fn bytes(&self) -> usize {
        self.as_ref().map_or(0, |_| COUNTS + size_of::<O>())
    }
}

/// Answers a query: from the cache, from the database, or by a fallback.
pub(super) async fn serve<DB: Driver, O: Send + Sync + 'static, S: Shape<O>>(
    request: Request<'_, DB, O, S>,
    executor: Within<'_, DB>,
) -> Result<Served<S>, Error> {
    let limit = executor.limit()?;
    let statement = request.parts.statement?;
    let mapper = request.parts.mapper;
    let Target::Pool(shared) = &executor.target else {
        let loaded = fetch(executor, statement, &mapper).await?;
        return Ok(Served::new(loaded.value, Source::Live));
    };
    let shared = Arc::clone(shared);
    let question = match request.policy {
        Some(policy) => {
            policy.check().map_err(error::misconfigured)?;
            let mut key = base_key(request.scope, Some(&policy), &statement);
            let base = key.finish();
            // What was kept with other tags is not invalidated by these: it is another answer.
            key.add(&policy.tags());
            request.tags.iter().for_each(|tag| key.add(tag));
            key.type_id(request.parts.mapper_id);
            key.type_id(TypeId::of::<S>());
            Some(Question {
                policy,
                key: key.finish(),
                base,
                tags: request.tags,
                // Its own time, and what it may take to get a connection.
                patience: limit.map(|limit| limit + shared.gate.limits().acquire_timeout),
            })
        }
        None => None,
    };
    // Only where there is another pool to ask.
    let asks_again = request
        .steps
        .iter()
        .any(|step| matches!(step, Step::Pool(_)));
    let again = asks_again.then(|| (statement.clone(), mapper.clone()));
    let may_leave = request
        .steps
        .iter()
        .any(|step| !matches!(step, Step::Stale));

    let asked = ask(
        &shared,
        limit,
        question.as_ref(),
        may_leave,
        statement,
        mapper,
    );
    let failed = match asked.await {
        Ok(served) => return Ok(served),
        Err(failed) => failed,
    };
    let Some(reason) = failed.unanswered else {
        return Err(shared_error::of_all(failed.error));
    };
    let ask_other = |pool: Pool<DB>| {
        let (again, question) = (again.clone(), &question);
        async move {
            let (statement, mapper) = again.ok_or(Error::PoolClosed)?;
            let other = pool.shared();
            let served = ask(other, limit, question.as_ref(), false, statement, mapper).await;
            match served {
                Ok(served) => Ok(served.value),
                Err(failed) => Err(shared_error::of_all(failed.error)),
            }
        }
    };
    match fall_back(request.steps, reason, failed.stale, ask_other).await {
        Some(served) => {
            let policy = request.policy.as_ref();
            shared
                .cache()
                .fell_back(&shared.gate, policy, served.source);
            Ok(served)
        }
        None => Err(shared_error::of_all(failed.error)),
    }
}

/// Asks a pool, through its cache if there is a question for it.
async fn ask<DB: Driver, O: Send + Sync + 'static, S: Shape<O>>(
    shared: &Arc<Shared<DB>>,
    limit: Option<Duration>,
    question: Option<&Question>,
    may_leave: bool,
    statement: Statement<DB>,
    mapper: Mapper<DB, O>,
) -> Result<Served<S>, Failed<S, Error>> {
    let executor = Within::of(Arc::clone(shared), limit);
    let load = || {
        DB::check_read(statement.sql.as_str()).map_err(error::not_a_read)?;
        Ok(async move { fetch(executor, statement, &mapper).await })
    };
    if let Some(question) = question {
        return shared.cache().read(shared, question, may_leave, load).await;
    }
    let loaded = match load() {
        Ok(load) => load.await,
        Err(error) => Err(error),
    };
    match loaded {
        Ok(loaded) => Ok(Served::new(loaded.value, Source::Live)),
        Err(error) => Err(Failed {
            unanswered: shared.unanswered(&error),
            error: Arc::new(error),
            stale: None,
        }),
    }
}

async fn fetch<DB: Driver, O: Send + Sync + 'static, S: Shape<O>>(
    executor: Within<'_, DB>,
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

/// All that tells the question from others, but for what is made of the rows.
pub(super) fn base_key<DB: Driver>(
    scope: KeyHasher,
    policy: Option<&CachePolicy>,
    statement: &Statement<DB>,
) -> KeyHasher {
    let mut key = scope;
    key.text(policy.map_or("", CachePolicy::name));
    key.text(statement.sql.as_str());
    key.printed(&statement.arguments);
    key
}

#[cfg(test)]
mod tests;
