//! A read, as its caller words it: under which policy, in which scope, and what to serve instead.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::breaker::config::ConfigError;
use crate::cache::entry::Loaded;
use crate::cache::fallback::{Step, fall_back};
use crate::cache::invalidation::Name;
use crate::cache::key::KeyHasher;
use crate::cache::policy::CachePolicy;
use crate::cache::read_through::{Origin, Question, ask};
use crate::outcome::served::Served;

/// What a read is asked under.
#[derive(Clone, Debug)]
pub(crate) struct Wording {
    policy: Option<CachePolicy>,
    /// What decides the rows besides the statement and its arguments.
    scope: KeyHasher,
    tags: Vec<Name>,
}

impl Wording {
    /// What the key begins with; the statement follows.
    pub(crate) fn key(&self) -> KeyHasher {
        let mut key = self.scope.clone();
        key.text(self.policy.as_ref().map_or("", CachePolicy::name));
        key
    }

    /// Whether there is a policy, and one that makes sense.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        match &self.policy {
            Some(policy) => policy.check(),
            None => Err(ConfigError::new("cached", "absent", "given a policy")),
        }
    }

    pub(crate) fn check_if_cached(&self) -> Result<(), ConfigError> {
        self.policy.as_ref().map_or(Ok(()), CachePolicy::check)
    }

    /// The question to the cache, if there is a policy. `base` is the [`key`](Self::key) with the
    /// statement; `made` adds what is made of the answer.
    pub(crate) fn question(
        &self,
        base: KeyHasher,
        made: impl FnOnce(&mut KeyHasher),
        patience: Duration,
    ) -> Option<Question> {
        let policy = self.policy?;
        let mut key = base;
        let base = key.finish();
        // What was kept with other tags is not invalidated by these: it is another answer.
        key.add(&policy.tags());
        let mut tags = self.tags.clone();
        tags.sort_unstable();
        key.add(&tags);
        made(&mut key);
        Some(Question {
            policy,
            key: key.finish(),
            base,
            tags,
            patience,
        })
    }
}

/// `T` is what is fetched, `P` another pool that may be asked.
pub(crate) struct Reading<'f, T, E, P> {
    pub(crate) wording: Wording,
    steps: Vec<Step<'f, T, E, P>>,
}

impl<'f, T, E, P> Reading<'f, T, E, P> {
    pub(crate) fn new() -> Self {
        Self {
            wording: Wording {
                policy: None,
                scope: KeyHasher::new(),
                tags: Vec::new(),
            },
            steps: Vec::new(),
        }
    }

    /// A second policy takes the place of the first.
    pub(crate) fn cached(&mut self, policy: &CachePolicy) {
        self.steps.retain(|step| !matches!(step, Step::Stale));
        self.steps.push(Step::Stale);
        self.wording.policy = Some(*policy);
    }

    pub(crate) fn vary_by(&mut self, scope: &[u8]) {
        self.wording.scope.bytes(scope);
    }

    pub(crate) fn tag(&mut self, tag: &str) {
        self.wording.tags.push(Name::tag(tag));
    }

    pub(crate) fn or_value(&mut self, value: T) {
        self.steps.push(Step::Value(value));
    }

    pub(crate) fn or_else<V: Into<T>>(
        &mut self,
        alternative: impl Future<Output = Result<V, E>> + Send + 'f,
    ) {
        let alternative = async move { alternative.await.map(Into::into) };
        self.steps.push(Step::Alternative(Box::pin(alternative)));
    }

    pub(crate) fn or_from(&mut self, pool: P) {
        self.steps.push(Step::Pool(pool));
    }

    /// Whether another pool may be asked the same.
    pub(crate) fn asks_others(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Pool(_)))
    }

    /// The same, of a row that need not be there.
    pub(crate) fn optional(self) -> Reading<'f, Option<T>, E, P>
    where
        T: Send + 'f,
        E: Send + 'f,
    {
        let steps = self.steps.into_iter().map(|step| step.map(Some));
        Reading {
            wording: self.wording,
            steps: steps.collect(),
        }
    }

    /// Answers: from the cache, from the backend, or by the first step that has something.
    ///
    /// Cancellation: a load that was begun for the cache goes on; any other call is dropped.
    pub(crate) async fn serve<O, L, A>(
        self,
        origin: &Arc<O>,
        question: Option<&Question>,
        load: impl FnOnce() -> Result<L, E>,
        ask_other: impl FnMut(P) -> A,
    ) -> Result<Served<T>, Arc<E>>
    where
        O: Origin<Error = E>,
        T: Clone + Send + Sync + 'static,
        L: Future<Output = Result<Loaded<T>, E>> + Send + 'static,
        A: Future<Output = Result<T, E>>,
        E: Send + Sync + 'static,
    {
        let may_leave = self.steps.iter().any(|step| !matches!(step, Step::Stale));
        let failed = match ask(origin, question, may_leave, load).await {
            Ok(served) => return Ok(served),
            Err(failed) => failed,
        };
        let Some(reason) = failed.unanswered else {
            return Err(failed.error);
        };
        let served = fall_back(self.steps, reason, failed.stale, ask_other).await;
        let served = served.ok_or(failed.error)?;
        let policy = self.wording.policy.as_ref();
        origin
            .cache()
            .fell_back(origin.gate(), policy, served.source);
        Ok(served)
    }
}

impl<T, E, P> fmt::Debug for Reading<'_, T, E, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading")
            .field("policy", &self.wording.policy)
            .field("steps", &self.steps)
            .finish_non_exhaustive()
    }
}
