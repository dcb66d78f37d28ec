//! Fallbacks: the values that are served when the database cannot answer.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::cache::answers::Kept;
use crate::cache::entry::Loaded;
use crate::cache::origin::Origin;
use crate::cache::policy::CachePolicy;
use crate::cache::question::{Question, Wording};
use crate::cache::read_through::{Others, ask};
use crate::outcome::served::{Served, Source, Unanswered};

/// A read with its fallbacks, in the order in which they were written. `T` is the type of the
/// result, and `P` the type of another pool.
pub(crate) struct Reading<'f, T, P> {
    pub(crate) wording: Wording,
    steps: Vec<Step<'f, T, P>>,
    /// The stale answer of the cache is tried before the step with this index. `None`: without a policy.
    stale_at: Option<usize>,
}

impl<'f, T, P> Reading<'f, T, P> {
    pub(crate) fn new() -> Self {
        Self {
            wording: Wording::new(),
            steps: Vec::new(),
            stale_at: None,
        }
    }

    /// Sets the policy, and appends the cache to the fallbacks. A second policy replaces the first.
    pub(crate) fn cached(&mut self, policy: &CachePolicy) {
        self.stale_at = Some(self.steps.len());
        self.wording.policy = Some(*policy);
    }

    pub(crate) fn vary_by(&mut self, scope: &[u8]) {
        self.wording.vary_by(scope);
    }

    pub(crate) fn tag(&mut self, tag: &str) {
        self.wording.tag(tag);
    }

    pub(crate) fn or_value(&mut self, value: T) {
        self.steps.push(Step::Value(value));
    }

    pub(crate) fn or_else<V: Into<T>, E>(
        &mut self,
        alternative: impl Future<Output = Result<V, E>> + Send + 'f,
    ) {
        let alternative = async move { alternative.await.ok().map(Into::into) };
        self.steps.push(Step::Alternative(Box::pin(alternative)));
    }

    pub(crate) fn or_from(&mut self, pool: P) {
        self.steps.push(Step::Pool(pool));
    }

    /// Whether another pool is one of the fallbacks.
    #[cfg(feature = "sqlx")]
    pub(crate) fn asks_others(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Pool(_)))
    }

    /// The same read, of an optional row.
    #[cfg(any(feature = "sqlx", feature = "deadpool-postgres"))]
    pub(crate) fn optional(self) -> Reading<'f, Option<T>, P>
    where
        T: Send + 'f,
    {
        let steps = self.steps.into_iter().map(|step| step.map(Some));
        Reading {
            wording: self.wording,
            steps: steps.collect(),
            stale_at: self.stale_at,
        }
    }

    /// The values that can be served besides an answer of the cache.
    pub(crate) fn others(&self) -> Others {
        if self.steps.is_empty() {
            Others::None
        } else if self.steps.iter().any(|step| matches!(step, Step::Value(_))) {
            Others::Value
        } else {
            Others::Uncertain
        }
    }

    /// Serves the read: from the cache, from the backend, or from the first fallback that provides
    /// a value.
    ///
    /// Cancellation: a load for the cache continues if it has started; any other call is dropped.
    pub(crate) fn serve<O, L, A, E>(
        self,
        origin: &Arc<O>,
        question: Option<&Question>,
        load: impl FnOnce() -> Result<L, O::Error>,
        ask_other: impl FnMut(P) -> A,
    ) -> impl Future<Output = Result<Served<T>, Arc<O::Error>>>
    where
        O: Origin,
        T: Clone + Send + Sync + 'static,
        L: Future<Output = Result<Loaded<T>, O::Error>> + Send + 'static,
        A: Future<Output = Result<T, E>>,
    {
        let fresh = match question {
            Some(question) => origin.cache().fresh(origin.gate(), question),
            None => Err(None),
        };
        // Boxed, so that a read with a fresh answer does not carry it.
        let read =
            fresh.map_err(|kept| Box::pin(self.ask(origin, question, kept, load, ask_other)));
        async move {
            match read {
                Ok(fresh) => Ok(fresh),
                Err(ask) => ask.await,
            }
        }
    }

    /// Serves a read without a fresh answer. `kept` is what else the cache has.
    async fn ask<O, L, A, E>(
        self,
        origin: &Arc<O>,
        question: Option<&Question>,
        kept: Option<Kept<T>>,
        load: impl FnOnce() -> Result<L, O::Error>,
        ask_other: impl FnMut(P) -> A,
    ) -> Result<Served<T>, Arc<O::Error>>
    where
        O: Origin,
        T: Clone + Send + Sync + 'static,
        L: Future<Output = Result<Loaded<T>, O::Error>> + Send + 'static,
        A: Future<Output = Result<T, E>>,
    {
        let failed = match ask(origin, question, kept, self.others(), load).await {
            Ok(served) => return Ok(served),
            Err(failed) => failed,
        };
        let Some(reason) = failed.unanswered else {
            return Err(failed.error);
        };
        let stale = self.stale_at.zip(failed.stale);
        let served = fall_back(self.steps, reason, stale, ask_other).await;
        let served = served.ok_or(failed.error)?;
        let policy = self.wording.policy.as_ref();
        origin
            .cache()
            .fell_back(origin.gate(), policy, served.source);
        Ok(served)
    }
}

impl<T, P> fmt::Debug for Reading<'_, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading")
            .field("policy", &self.wording.policy)
            .field("steps", &self.steps)
            .finish_non_exhaustive()
    }
}

type Alternative<'f, T> = Pin<Box<dyn Future<Output = Option<T>> + Send + 'f>>;

/// One fallback.
enum Step<'f, T, P> {
    Value(T),
    Alternative(Alternative<'f, T>),
    Pool(P),
}

#[cfg(any(feature = "sqlx", feature = "deadpool-postgres"))]
impl<'f, T: Send + 'f, P> Step<'f, T, P> {
    fn map<U: 'f>(self, f: fn(T) -> U) -> Step<'f, U, P> {
        match self {
            Self::Value(value) => Step::Value(f(value)),
            Self::Alternative(alternative) => {
                Step::Alternative(Box::pin(async move { alternative.await.map(f) }))
            }
            Self::Pool(pool) => Step::Pool(pool),
        }
    }
}

/// Tries the fallbacks in order, and returns the first value. `stale` is tried before the step with its
/// index. A fallback that fails is skipped. `None` if none provides a value.
///
/// Cancellation: the fallback in progress is dropped.
async fn fall_back<T, E, P, A>(
    steps: Vec<Step<'_, T, P>>,
    reason: Unanswered,
    stale: Option<(usize, Served<T>)>,
    mut ask: impl FnMut(P) -> A,
) -> Option<Served<T>>
where
    A: Future<Output = Result<T, E>>,
{
    let before = stale.as_ref().map_or(steps.len(), |(index, _)| *index);
    for step in steps.into_iter().take(before) {
        let served = match step {
            Step::Value(value) => Some(Served::new(value, Source::Default { reason })),
            Step::Alternative(alternative) => {
                (alternative.await).map(|value| Served::new(value, Source::Alternative { reason }))
            }
            // Boxed, so that the other steps do not carry it.
            Step::Pool(pool) => (Box::pin(ask(pool)).await.ok())
                .map(|value| Served::new(value, Source::OtherPool { reason })),
        };
        if served.is_some() {
            return served;
        }
    }
    // A value at hand: the steps after it are not reached.
    stale.map(|(_, stale)| stale)
}

impl<T, P> fmt::Debug for Step<'_, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Value(_) => "Value",
            Self::Alternative(_) => "Alternative",
            Self::Pool(_) => "Pool",
        })
    }
}
