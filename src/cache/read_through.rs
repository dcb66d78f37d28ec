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
//! A load is a task of its own: it outlives the caller that started it, and ends with the pool. It
//! passes the gate like every call, so an empty cache sends no herd that the gate would not have let
//! through. Whoever has something else to serve does not wait for a load when the breaker opens.
//!
//! A second, shared tier would go around `load`: ask there first, and tell it what came.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::breaker::counters::Counters;
use crate::breaker::verdict::Class;
use crate::cache::entry::{Entry, Loaded};
use crate::cache::invalidation::{Generations, Name};
use crate::cache::key::Key;
use crate::cache::policy::{CachePolicy, Freshness};
use crate::cache::single_flight::{Leader, Lost, Outcome, SingleFlight, Waiter};
use crate::cache::snapshot::CacheSnapshot;
use crate::cache::store::Store;
use crate::gate::Gate;
use crate::gate::admission::turned_away;
use crate::outcome::error::{Awaited, DeadlineExceeded, Refused};
use crate::outcome::served::{Served, Source, StaleReason, Unanswered};
use crate::telemetry::event::{Event, NotKept};

#[cfg(test)]
mod tests;

/// The store's size for which there is one generation counter.
const BYTES_A_COUNTER: u64 = 1024;
const FEWEST_COUNTERS: u64 = 1 << 12;
const MOST_COUNTERS: u64 = 1 << 20;

/// A task, of whatever kind.
pub(crate) type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What is read through: a pool, as the cache in front of it sees it.
pub(crate) trait Origin: Send + Sync + 'static {
    type Error: Send + Sync + 'static;

    fn gate(&self) -> &Gate;

    fn cache(&self) -> &Arc<ReadThrough<Self::Error>>;

    /// The error that tells of a refusal.
    fn refused(rejected: Refused) -> Self::Error;

    /// The error that tells of a deadline.
    fn missed(deadline: DeadlineExceeded) -> Self::Error;

    /// Why `error` is no answer; `None` if the database answered, if only with an error.
    fn unanswered(&self, error: &Self::Error) -> Option<Unanswered>;

    /// The error of those who waited for a load that was stopped or panicked.
    fn lost(&self) -> Self::Error;

    /// Runs a task that ends with the pool.
    fn spawn(&self, task: Task);
}

/// Why an error of this class is no answer.
pub(crate) fn unanswered_by_class(gate: &Gate, class: Class) -> Option<Unanswered> {
    match class {
        Class::Failure | Class::FailureAndClose => Some(Unanswered::Failure),
        Class::Starved if gate.acquired_within(gate.limits().acquire_timeout) => {
            Some(Unanswered::Saturated)
        }
        Class::Starved => Some(Unanswered::Failure),
        // The backend's own deadline, or a lock that did not come free.
        Class::Slow => Some(Unanswered::Deadline),
        Class::Success | Class::Ignored => None,
    }
}

/// What is asked, as far as the cache is concerned.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) policy: CachePolicy,
    pub(crate) key: Key,
    /// The key without what is made of the answer: all that are made of it are invalidated together.
    pub(crate) base: Key,
    /// Tags besides those of the policy.
    pub(crate) tags: Vec<Name>,
    /// How long to wait for a load, which others may have given more time.
    pub(crate) patience: Duration,
}

/// No answer, and nothing fresh.
#[derive(Debug)]
pub(crate) struct Failed<T, E> {
    pub(crate) error: Arc<E>,
    /// `None`: this is what the database answered, and nothing else may be served instead.
    pub(crate) unanswered: Option<Unanswered>,
    /// What there is instead.
    pub(crate) stale: Option<Served<T>>,
}

pub(crate) struct ReadThrough<E> {
    store: Store,
    max_bytes: u64,
    generations: Generations,
    single_flight: Arc<SingleFlight<E>>,
    counters: Counters<COUNTS>,
}

#[derive(Clone, Copy)]
pub(crate) enum Count {
    Hits,
    Revalidating,
    Misses,
    Stale,
    Defaults,
    Alternatives,
    OtherPools,
    Loads,
    FailedLoads,
    TooLarge,
    Outdated,
    Invalidations,
}

const COUNTS: usize = Count::Invalidations as usize + 1;

impl Question {
    /// All that an answer depends on.
    fn names(&self) -> Box<[Name]> {
        let policy = [
            Name::ALL,
            Name::policy(self.policy.name()),
            Name::key(self.base),
        ];
        let tags = self.policy.tags().iter().map(|tag| Name::tag(tag));
        policy
            .into_iter()
            .chain(tags)
            .chain(self.tags.iter().copied())
            .collect()
    }
}

impl<E: Send + Sync + 'static> ReadThrough<E> {
    pub(crate) fn new(max_bytes: u64) -> Self {
        let counters = (max_bytes / BYTES_A_COUNTER).clamp(FEWEST_COUNTERS, MOST_COUNTERS);
        Self {
            store: Store::new(max_bytes),
            max_bytes,
            generations: Generations::new(counters as usize),
            single_flight: Arc::new(SingleFlight::new()),
            counters: Counters::new(),
        }
    }

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
        load: impl FnOnce() -> Result<L, E>,
    ) -> Result<Served<T>, Failed<T, E>>
    where
        O: Origin<Error = E>,
        T: Clone + Send + Sync + 'static,
        L: Future<Output = Result<Loaded<T>, E>> + Send + 'static,
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
                None => Err(self.failed(origin, question, Arc::new(origin.lost()))),
            },
            Err(error) => Err(self.failed(origin, question, error)),
        }
    }

    /// The answer that is kept, if it may be served at all.
    pub(crate) fn kept<T: Clone + 'static>(
        &self,
        gate: &Gate,
        question: &Question,
    ) -> Option<(T, Duration, Freshness)> {
        let (entry, age, freshness) = self.find::<T>(gate, &question.policy, &question.key)?;
        Some((entry.value()?, age, freshness))
    }

    fn find<T: 'static>(
        &self,
        gate: &Gate,
        policy: &CachePolicy,
        key: &Key,
    ) -> Option<(Arc<Entry>, Duration, Freshness)> {
        let entry = self.store.get(key).filter(|entry| entry.is::<T>())?;
        let generation = self.generations.of(&entry.names);
        if !generation.is_valid_since(entry.generation) {
            return None;
        }
        let age = entry.age(gate.now());
        let is_doubted = generation.is_doubted_since(entry.generation);
        match policy.freshness(age, entry.chance, is_doubted) {
            Freshness::Expired => None,
            freshness => Some((entry, age, freshness)),
        }
    }

    /// Waits for an answer to `question`, as one of all who ask it.
    async fn ask<O, T, L>(
        self: &Arc<Self>,
        origin: &Arc<O>,
        question: &Question,
        may_leave: bool,
        load: L,
    ) -> Outcome<E>
    where
        O: Origin<Error = E>,
        T: Send + Sync + 'static,
        L: Future<Output = Result<Loaded<T>, E>> + Send + 'static,
    {
        let gate = origin.gate();
        // Spares an open breaker the task.
        if let Some(rejected) = gate.refusal() {
            return Err(Arc::new(O::refused(turned_away(rejected).await)));
        }
        let landed = self.join(origin, question, load).outcome();
        let patience = question.patience;
        let landed = timeout(patience, async {
            match may_leave {
                true => gate.unless_opened(landed).await,
                false => Ok(landed.await),
            }
        });
        match landed.await {
            Ok(Ok(Ok(outcome))) => outcome,
            Ok(Ok(Err(Lost))) => Err(Arc::new(origin.lost())),
            Ok(Err(rejected)) => Err(Arc::new(O::refused(rejected))),
            Err(_) => Err(Arc::new(O::missed(gate.missed(patience, Awaited::Answer)))),
        }
    }

    /// Joins the load of this question's key, or starts one.
    fn join<O, T, L>(self: &Arc<Self>, origin: &Arc<O>, question: &Question, load: L) -> Waiter<E>
    where
        O: Origin<Error = E>,
        T: Send + Sync + 'static,
        L: Future<Output = Result<Loaded<T>, E>> + Send + 'static,
    {
        let names = question.names();
        let (waiter, leader) = self.single_flight.join(
            question.key,
            &names,
            &self.generations,
            !question.policy.always_asks(),
        );
        if let Some(leader) = leader {
            let flight = Flight {
                cache: Arc::clone(self),
                origin: Arc::clone(origin),
                policy: question.policy,
                key: question.key,
                names,
            };
            origin.spawn(Box::pin(flight.lead(leader, load)));
        }
        waiter
    }

    fn failed<O, T>(&self, origin: &Arc<O>, question: &Question, error: Arc<E>) -> Failed<T, E>
    where
        O: Origin<Error = E>,
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

    /// Counts and reports a fallback that was served.
    pub(crate) fn fell_back(&self, gate: &Gate, policy: Option<&CachePolicy>, source: Source) {
        self.count(match source {
            Source::Stale {
                reason: StaleReason::Revalidating,
                ..
            } => Count::Revalidating,
            Source::Default { .. } => Count::Defaults,
            Source::Alternative { .. } => Count::Alternatives,
            Source::OtherPool { .. } => Count::OtherPools,
            _ => Count::Stale,
        });
        gate.tell(&Event::Fallback {
            policy: policy.map(CachePolicy::name),
            source,
        });
    }

    /// From here on, nobody is served an answer that depends on `name` and was asked for earlier.
    pub(crate) fn invalidate(&self, gate: &Gate, name: Name) {
        self.generations.invalidate(name);
        if name == Name::ALL {
            self.store.clear();
        }
        self.count(Count::Invalidations);
        gate.tell(&Event::Invalidated);
    }

    /// From here on, answers that depend on `name` and were asked for earlier are served only if
    /// the database cannot give a newer one.
    pub(crate) fn doubt(&self, name: Name) {
        self.generations.doubt(name);
    }

    pub(crate) fn snapshot(&self) -> CacheSnapshot {
        let count = |what: Count| self.counters.get(what as usize);
        CacheSnapshot {
            entries: self.store.len(),
            bytes: self.store.bytes(),
            max_bytes: self.max_bytes,
            loading: self.single_flight.len(),
            hits: count(Count::Hits),
            revalidating: count(Count::Revalidating),
            misses: count(Count::Misses),
            stale: count(Count::Stale),
            defaults: count(Count::Defaults),
            alternatives: count(Count::Alternatives),
            other_pools: count(Count::OtherPools),
            loads: count(Count::Loads),
            failed_loads: count(Count::FailedLoads),
            evictions: self.store.evictions(),
            too_large: count(Count::TooLarge),
            outdated: count(Count::Outdated),
            invalidations: count(Count::Invalidations),
        }
    }

    fn count(&self, what: Count) {
        self.counters.add(what as usize, 1);
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

/// A load under way.
struct Flight<O: Origin> {
    cache: Arc<ReadThrough<O::Error>>,
    origin: Arc<O>,
    policy: CachePolicy,
    key: Key,
    names: Box<[Name]>,
}

impl<O: Origin> Flight<O> {
    /// Cancellation: those who wait are told that the load was lost.
    async fn lead<T: Send + Sync + 'static>(
        self,
        leader: Leader<O::Error>,
        load: impl Future<Output = Result<Loaded<T>, O::Error>> + Send,
    ) {
        let gate = self.origin.gate();
        if let Some(previous) = leader.previous()
            && let Err(rejected) = gate.unless_opened(previous.outcome()).await
        {
            return leader.finish(Err(Arc::new(O::refused(rejected))));
        }
        let generation = leader.start(&self.names, &self.cache.generations);
        // Another may have landed between a caller's look at what is kept and its boarding.
        let found = self.cache.find::<T>(gate, &self.policy, &self.key);
        if let Some((entry, _, Freshness::Fresh)) = found {
            return leader.finish(Ok(entry));
        }
        let asked_at = gate.now();
        let loaded = load.await;
        let took = Duration::from_nanos(gate.now().saturating_sub(asked_at));
        let outcome = match loaded {
            Ok(loaded) => {
                self.cache.count(Count::Loads);
                let entry = Entry::new(loaded, asked_at, self.names.clone(), generation);
                let entry = Arc::new(entry);
                self.keep(&entry);
                Ok(entry)
            }
            Err(error) => {
                self.cache.count(Count::FailedLoads);
                Err(Arc::new(error))
            }
        };
        gate.tell(&Event::Load {
            policy: self.policy.name(),
            took,
            bytes: outcome.as_ref().ok().map(|entry| entry.bytes()),
        });
        leader.finish(outcome);
    }

    fn keep(&self, entry: &Arc<Entry>) {
        let Self { cache, policy, .. } = self;
        let now = cache.generations.of(&self.names);
        let (count, reason) = if !now.is_valid_since(entry.generation) {
            (Count::Outdated, NotKept::Outdated)
        } else if !policy.keeps(entry.bytes()) || !cache.store.insert(self.key, entry) {
            (Count::TooLarge, NotKept::TooLarge)
        } else {
            return;
        };
        cache.count(count);
        let policy = policy.name();
        self.origin.gate().tell(&Event::NotKept { policy, reason });
    }
}

impl<E> fmt::Debug for ReadThrough<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadThrough")
            .field("store", &self.store)
            .field("single_flight", &self.single_flight)
            .finish_non_exhaustive()
    }
}
