//! The read path of the cache.
//!
//! ```text
//!   fresh ──────────────────────────▶ serve it, without a query
//!   within stale_while_revalidate ──▶ serve it, and load in the background
//!   otherwise: one load for each key, through the gate
//!           ├─ an answer ───────────▶ serve it live, and store it
//!           ├─ the database's error ▶ return the error
//!           └─ no answer ───────────▶ the fallbacks, the stale answer among them, or the error
//! ```
//!
//! A caller that has a stale answer or another fallback stops waiting for a load when the breaker
//! opens. One that has a value at hand, stale or a default, waits no longer than it takes to see a
//! stall. The others wait for their own deadline, which the load of another caller does not change.

use std::future::Future;
use std::sync::Arc;

use crate::cache::answers::{Answers, Count, Kept};
use crate::cache::entry::{Entry, Loaded};
use crate::cache::origin::Origin;
use crate::cache::policy::Freshness;
use crate::cache::question::Question;
use crate::cache::single_flight::Lost;
use crate::gate::Gate;
use crate::gate::admission::turned_away;
use crate::gate::joined::Joined;
use crate::outcome::error::Refused;
use crate::outcome::served::{Served, Source, StaleReason, Unanswered};

#[cfg(test)]
mod tests;

/// The values that a caller can serve besides an answer of the database and of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Others {
    None,
    /// Something that may fail, such as another query.
    Uncertain,
    /// A value at hand.
    Value,
}

/// A read that the database did not answer and that had no fresh answer.
#[derive(Debug)]
pub(crate) struct Failed<T, E> {
    pub(crate) error: Arc<E>,
    /// The reason why there is no answer. `None`: the error must be returned, for instance because
    /// it is the database's answer, and no fallback may replace it.
    pub(crate) unanswered: Option<Unanswered>,
    /// The stale answer, if there is one within `stale_if_error`.
    pub(crate) stale: Option<Served<T>>,
}

impl Answers {
    /// Answers `question`, to which the cache has no fresh answer, by what is `kept` or by the future
    /// that `load` creates. `others` says what the caller has besides the cache.
    ///
    /// Cancellation: a load that has started continues.
    pub(crate) async fn read<O, T, L>(
        self: &Arc<Self>,
        origin: &Arc<O>,
        question: &Question,
        kept: Option<Kept<T>>,
        others: Others,
        load: impl FnOnce() -> Result<L, O::Error>,
    ) -> Result<Served<T>, Failed<T, O::Error>>
    where
        O: Origin,
        T: Clone + Send + Sync + 'static,
        L: Future<Output = Result<Loaded<T>, O::Error>> + Send + 'static,
    {
        let gate = origin.gate();
        if let Some((value, age, Freshness::Revalidate)) = kept {
            if gate.breaker().rejection().is_none()
                && let Ok(load) = load()
            {
                self.revalidate(origin, question, load);
            }
            let reason = StaleReason::Revalidating;
            let source = Source::Stale { age, reason };
            self.fell_back(gate, Some(&question.policy), source);
            return Ok(Served::new(value, source));
        }
        self.count(Count::Misses);
        // A statement whose answer is kept was checked before that was loaded.
        if kept.is_some()
            && let Some(refused) = refused(gate).await
        {
            return Err(failed(origin, Arc::new(refused.into()), kept));
        }
        let load = match load() {
            Ok(load) => load,
            Err(error) => return Err(failed(origin, Arc::new(error), kept)),
        };
        let others = match kept {
            Some(_) => Others::Value,
            None => others,
        };
        // Boxed, so that a read that is refused does not carry it.
        let error = match Box::pin(self.ask(origin, question, others, load)).await {
            Ok(entry) => match entry.value() {
                Some(value) => return Ok(Served::new(value, Source::Live)),
                None => Arc::new(O::lost()),
            },
            Err(error) => error,
        };
        // Searched again, since the stored answer may have changed during the wait.
        Err(failed(origin, error, self.kept(gate, question)))
    }

    /// Loads a newer answer in the background. No caller waits for it, so the next caller checks whether
    /// it still runs.
    fn revalidate<O, T, L>(self: &Arc<Self>, origin: &Arc<O>, question: &Question, load: L)
    where
        O: Origin,
        T: Send + Sync + 'static,
        L: Future<Output = Result<Loaded<T>, O::Error>> + Send + 'static,
    {
        let mut load = Some(load);
        let joined = self.join(origin, question, &mut load);
        if joined.stop_if_still() {
            self.join(origin, question, &mut load);
        }
    }

    /// Joins the load of `question`, or starts it, and waits for the answer.
    async fn ask<O, T, L>(
        self: &Arc<Self>,
        origin: &Arc<O>,
        question: &Question,
        others: Others,
        load: L,
    ) -> Result<Arc<Entry>, Arc<O::Error>>
    where
        O: Origin,
        T: Send + Sync + 'static,
        L: Future<Output = Result<Loaded<T>, O::Error>> + Send + 'static,
    {
        let gate = origin.gate();
        // Spawns no task while the breaker is open.
        if let Some(refused) = refused(gate).await {
            return Err(Arc::new(refused.into()));
        }
        let patience = question.patience(gate.limits());
        let limit = match others {
            Others::Value if gate.enforces() => patience.min(gate.breaker().stall_patience()),
            _ => patience,
        };
        // The caller may have no handle of the pool any more.
        let _attends = origin.attend();
        let waiting = Joined::new(gate);
        let mut load = Some(load);
        let answer = async {
            loop {
                let outcome = self.join(origin, question, &mut load).outcome();
                let has_joined = load.is_some();
                waiting.set_counts(has_joined && question.limit.is_none());
                let outcome = match others {
                    Others::None => outcome.await,
                    _ => gate.unless_opened(outcome).await?,
                };
                // The runtime of another caller took the load with it.
                if !(has_joined && matches!(outcome, Err(Lost))) {
                    return Ok::<_, Refused>(outcome);
                }
            }
        };
        let own = question.limit.map(|_| limit);
        match waiting.wait(own, limit, answer).await {
            Ok(Ok(Ok(Ok(entry)))) => Ok(entry),
            Ok(Ok(Ok(Err(error)))) => Err(error.downcast().unwrap_or_else(|_| Arc::new(O::lost()))),
            Ok(Ok(Err(Lost))) => Err(Arc::new(O::lost())),
            Ok(Err(refused)) => Err(Arc::new(O::Error::from(refused))),
            Err(missed) => Err(Arc::new(missed.into())),
        }
    }
}

/// A read that failed with this error, and what is `kept` in its place.
fn failed<O: Origin, T>(
    origin: &Arc<O>,
    error: Arc<O::Error>,
    kept: Option<Kept<T>>,
) -> Failed<T, O::Error> {
    let unanswered = origin.unanswered(&error);
    let stale = unanswered.zip(kept).map(|(why, (value, age, _))| {
        let reason = StaleReason::Unanswered(why);
        Served::new(value, Source::Stale { age, reason })
    });
    Failed {
        error,
        unanswered,
        stale,
    }
}

/// The refusal of a load while the breaker is open.
async fn refused(gate: &Gate) -> Option<Refused> {
    gate.ask_if_overdue().await;
    let refused = gate.refusal()?;
    Some(turned_away(refused).await)
}

/// Reads from `origin`, through its cache if there is a `question`. `kept` is what the cache has, which is
/// not fresh, and `others` says what the caller has besides the cache.
pub(crate) async fn ask<O, T, L>(
    origin: &Arc<O>,
    question: Option<&Question>,
    kept: Option<Kept<T>>,
    others: Others,
    load: impl FnOnce() -> Result<L, O::Error>,
) -> Result<Served<T>, Failed<T, O::Error>>
where
    O: Origin,
    T: Clone + Send + Sync + 'static,
    L: Future<Output = Result<Loaded<T>, O::Error>> + Send + 'static,
{
    if let Some(question) = question {
        return (origin.cache())
            .read(origin, question, kept, others, load)
            .await;
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
