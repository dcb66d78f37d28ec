//! Loads: one query of the database, on behalf of all callers that wait for the answer.
//!
//! A load is a task of its own, on the runtime of the caller that started it; see `task.rs`. It
//! outlives that caller, even if nobody waits for it any more: the next caller will want its answer,
//! and its deadlines bound it. It ends with the pool. It passes the gate like every call, so that an
//! empty cache sends no more queries than the gate admits.
//!
//! A second, shared tier would wrap the load: look the key up there first, and store the answer
//! there afterwards.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::cache::answers::{Answers, Count};
use crate::cache::entry::{Entry, Loaded};
use crate::cache::invalidation::Name;
use crate::cache::key::Key;
use crate::cache::origin::Origin;
use crate::cache::policy::{CachePolicy, Freshness};
use crate::cache::question::Question;
use crate::cache::single_flight::{Failure, Leader, Waiter};
use crate::telemetry::event::Event;

impl Answers {
    /// Joins the load of the question's key, or starts one: then it takes `load`.
    pub(super) fn join<O, T, L>(
        self: &Arc<Self>,
        origin: &Arc<O>,
        question: &Question,
        load: &mut Option<L>,
    ) -> Waiter
    where
        O: Origin,
        T: Send + Sync + 'static,
        L: Future<Output = Result<Loaded<T>, O::Error>> + Send + 'static,
    {
        let names = question.names();
        let (waiter, leader) = self.single_flight.join(
            question.key,
            &names,
            &self.generations,
            !question.policy.is_database_first(),
            question.patience(origin.gate().limits()),
        );
        // A caller that has started a load joins no other one. If it did, the other would be dropped.
        if let Some(leader) = leader
            && let Some(load) = load.take()
        {
            let made = Load {
                answers: Arc::clone(self),
                origin: Arc::clone(origin),
                policy: question.policy,
                key: question.key,
                names,
            };
            origin.spawn(leader.task(|leader| Box::pin(made.lead(leader, load))));
        }
        waiter
    }
}

/// A load in progress.
struct Load<O: Origin> {
    answers: Arc<Answers>,
    origin: Arc<O>,
    policy: CachePolicy,
    key: Key,
    names: Box<[Name]>,
}

impl<O: Origin> Load<O> {
    /// Runs the load, stores its answer, and passes it to the waiters. It starts when the previous
    /// load of the key has ended, and is refused if the breaker opens before.
    ///
    /// Cancellation: the waiters learn that the load was lost.
    async fn lead<T: Send + Sync + 'static>(
        self,
        leader: Leader,
        load: impl Future<Output = Result<Loaded<T>, O::Error>> + Send,
    ) {
        let gate = self.origin.gate();
        if let Some(previous) = leader.previous()
            && let Err(refused) = gate.unless_opened(previous.outcome()).await
        {
            return leader.finish(Err(Arc::new(O::Error::from(refused))));
        }
        let generation = leader.start(&self.names, &self.answers.generations);
        // Another load may have ended after the caller searched the store and before it joined.
        let found = self.answers.find::<T>(gate, &self.policy, &self.key);
        if let Some((entry, _, Freshness::Fresh)) = found {
            return leader.finish(Ok(entry));
        }
        let asked_at = gate.now();
        let loaded = unless_panicked(load).await;
        let took = Duration::from_nanos(gate.now().saturating_sub(asked_at));
        let outcome = match loaded {
            Some(Ok(loaded)) => {
                self.answers.count(Count::Loads);
                let entry = Entry::new(loaded, asked_at, self.names.clone(), generation);
                let entry = Arc::new(entry);
                self.answers.keep(gate, &self.policy, self.key, &entry);
                Ok(entry)
            }
            failed => {
                self.answers.count(Count::FailedLoads);
                let error = failed.and_then(Result::err).unwrap_or_else(O::lost);
                Err(Arc::new(error) as Failure)
            }
        };
        gate.tell(&Event::Load {
            policy: self.policy.name(),
            took,
            bytes: outcome.as_ref().ok().map(|entry| entry.bytes()),
        });
        leader.finish(outcome);
    }
}

/// The output of `load`; `None` if it panicked, for instance in the code that maps its rows. The panic
/// hook has reported the panic. It does not reach the callers: they are served their fallbacks.
async fn unless_panicked<T>(load: impl Future<Output = T>) -> Option<T> {
    let mut load = pin!(load);
    poll_fn(|context| {
        // After a panic, the load is only dropped.
        match catch_unwind(AssertUnwindSafe(|| load.as_mut().poll(context))) {
            Ok(polled) => polled.map(Some),
            Err(_) => Poll::Ready(None),
        }
    })
    .await
}
