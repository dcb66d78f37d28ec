//! Fresh, or load, or stale: who may be served what.
//!
//! ```text
//!   fresh ──────────────────────────────▶ served, nobody is asked
//!   past fresh, within stale_while_revalidate ──▶ served, and one load asks behind
//!   else: one load a key, through the gate
//!           ├─ an answer ───────────────▶ served live, and kept
//!           ├─ an error it answered ────▶ the error
//!           └─ no answer ───────────────▶ stale, within stale_if_error; else the next fallback, or the error
//! ```
//!
//! A caller with something else to serve does not wait for a load when the breaker opens.

use std::future::Future;
use std::sync::Arc;

use tokio::time::timeout;

use crate::cache::answers::{Answers, Count};
use crate::cache::entry::{Entry, Loaded};
use crate::cache::origin::Origin;
use crate::cache::policy::Freshness;
use crate::cache::question::Question;
use crate::cache::single_flight::Lost;
use crate::gate::admission::turned_away;
use crate::outcome::error::Awaited;
use crate::outcome::served::{Served, Source, StaleReason, Unanswered};

#[cfg(test)]
mod tests;

/// No answer, and nothing fresh.
#[derive(Debug)]
pub(crate) struct Failed<T, E> {
    pub(crate) error: Arc<E>,
    /// `None`: this is what the database answered, and nothing else may be served instead.
    pub(crate) unanswered: Option<Unanswered>,
    /// What there is instead.
    pub(crate) stale: Option<Served<T>>,
}

impl Answers {
    /// Answers `question`, from the cache or by what `load` gives, which is told only if the cache has
    /// nothing fresh. Whoever has a fallback besides the cache `may_leave`
    /// when the breaker opens.
    ///
    /// Cancellation: a load that was begun goes on.
    pub(crate) async fn read<O, T, L>(
        self: &Arc<Self>,
        origin: &Arc<O>,
        question: &Question,
        may_leave: bool,
        load: impl FnOnce() -> Result<L, O::Error>,
    ) -> Result<Served<T>, Failed<T, O::Error>>
    where
        O: Origin,
        T: Clone + Send + Sync + 'static,
        L: Future<Output = Result<Loaded<T>, O::Error>> + Send + 'static,
    {
        let gate = origin.gate();
        let kept = self.kept(gate, question);
        match kept {
            Some((value, age, Freshness::Fresh)) => {
                self.count(Count::Hits);
                return Ok(Served::new(value, Source::Fresh { age }));
            }
            Some((value, age, Freshness::Revalidate)) => {
                if gate.breaker().rejection().is_none()
                    && let Ok(load) = load()
                {
                    // Whoever comes next will see what it brings.
                    drop(self.join(origin, question, load));
                }
                let reason = StaleReason::Revalidating;
                let source = Source::Stale { age, reason };
                self.fell_back(gate, Some(&question.policy), source);
                return Ok(Served::new(value, source));
            }
            _ => {}
        }
        self.count(Count::Misses);
        let load = match load() {
            Ok(load) => load,
            Err(error) => return Err(self.failed(origin, question, Arc::new(error))),
        };
        let may_leave = may_leave || kept.is_some();
        match self.ask(origin, question, may_leave, load).await {
            Ok(entry) => match entry.value() {
                Some(value) => Ok(Served::new(value, Source::Live)),
                None => Err(self.failed(origin, question, Arc::new(O::lost()))),
            },
            Err(error) => Err(self.failed(origin, question, error)),
        }
    }

    /// Waits for an answer to `question`, as one of all who ask it.
    async fn ask<O, T, L>(
        self: &Arc<Self>,
        origin: &Arc<O>,
        question: &Question,
        may_leave: bool,
        load: L,
    ) -> Result<Arc<Entry>, Arc<O::Error>>
    where
        O: Origin,
        T: Send + Sync + 'static,
        L: Future<Output = Result<Loaded<T>, O::Error>> + Send + 'static,
    {
        let gate = origin.gate();
        // Spares an open breaker the task.
        if let Some(refused) = gate.refusal() {
            return Err(Arc::new(turned_away(refused).await.into()));
        }
        let outcome = self.join(origin, question, load).outcome();
        let patience = question.patience;
        let outcome = timeout(patience, async {
            match may_leave {
                true => gate.unless_opened(outcome).await,
                false => Ok(outcome.await),
            }
        });
        match outcome.await {
            Ok(Ok(Ok(Ok(entry)))) => Ok(entry),
            Ok(Ok(Ok(Err(error)))) => Err(error.downcast().unwrap_or_else(|_| Arc::new(O::lost()))),
            Ok(Ok(Err(Lost))) => Err(Arc::new(O::lost())),
            Ok(Err(refused)) => Err(Arc::new(refused.into())),
            Err(_) => Err(Arc::new(gate.missed(patience, Awaited::Answer).into())),
        }
    }

    fn failed<O, T>(
        &self,
        origin: &Arc<O>,
        question: &Question,
        error: Arc<O::Error>,
    ) -> Failed<T, O::Error>
    where
        O: Origin,
        T: Clone + 'static,
    {
        let unanswered = origin.unanswered(&error);
        let stale = unanswered.and_then(|why| {
            // What is kept may be newer than before the wait, or gone.
            let (value, age, _) = self.kept(origin.gate(), question)?;
            let reason = StaleReason::Unanswered(why);
            Some(Served::new(value, Source::Stale { age, reason }))
        });
        Failed {
            error,
            unanswered,
            stale,
        }
    }
}

/// Asks `origin`, through its cache if there is a question for that. A caller who has a fallback
/// besides the cache `may_leave` when the breaker opens.
pub(crate) async fn ask<O, T, L>(
    origin: &Arc<O>,
    question: Option<&Question>,
    may_leave: bool,
    load: impl FnOnce() -> Result<L, O::Error>,
) -> Result<Served<T>, Failed<T, O::Error>>
where
    O: Origin,
    T: Clone + Send + Sync + 'static,
    L: Future<Output = Result<Loaded<T>, O::Error>> + Send + 'static,
{
    if let Some(question) = question {
        return origin.cache().read(origin, question, may_leave, load).await;
    }
    let loaded = match load() {
        Ok(load) => load.await,
        Err(error) => Err(error),
    };
    match loaded {
        Ok(loaded) => Ok(Served::new(loaded.value, Source::Live)),
        Err(error) => Err(Failed {
            unanswered: origin.unanswered(&error),
            error: Arc::new(error),
            stale: None,
        }),
    }
}
