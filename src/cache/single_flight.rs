//! Single flight: one load at a time for each key.
//!
//! A caller that finds a load of the same key in progress waits for its outcome. There are three
//! exceptions. If the key was invalidated after the query of the load was sent, the load may return
//! rows from before a write. With `database_first`, a caller never joins a load whose query was
//! already sent. And a load has the deadline of the caller that started it, so a caller with more time
//! does not join it. In all these cases the caller joins the next load, which starts when the first one
//! has ended. So each key has at most one load in progress. If a waiting load ends before it starts,
//! the one before it is the latest load of the key again.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::entry::Entry;
use super::invalidation::{Generation, Generations, Name};
use super::key::Key;
use super::task::{LoadTask, Task};

/// The error of a load. All loads of a pool have the same error type, which is erased here, like the
/// type of the value of an [`Entry`].
pub(crate) type Failure = Arc<dyn Any + Send + Sync>;

/// The outcome of a load: an answer, or the error that every waiter receives.
pub(crate) type Outcome = Result<Arc<Entry>, Failure>;

/// The latest load of each key.
pub(crate) struct SingleFlight {
    latest: Mutex<HashMap<Key, Flight>>,
}

/// A load in progress, or one that waits to start.
struct Flight {
    outcome: watch::Receiver<Completion>,
    task: Arc<LoadTask>,
    /// The time that the caller that started it has.
    patience: Duration,
    /// The generation of the key when the query was sent; `None` before.
    started: Option<Generation>,
}

/// `None` until the load has ended.
type Completion = Option<Result<Outcome, Lost>>;

/// Waits for a load.
pub(crate) struct Waiter {
    outcome: watch::Receiver<Completion>,
    task: Arc<LoadTask>,
}

/// Makes a load. If it is dropped without `finish`, the waiters learn that the load was lost.
pub(crate) struct Leader {
    single_flight: Arc<SingleFlight>,
    key: Key,
    outcome: watch::Sender<Completion>,
    task: Arc<LoadTask>,
    /// The load that must end before this one may start.
    previous: Option<Flight>,
}

/// A load ended without an outcome, because it was stopped: its runtime or its pool ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lost;

impl SingleFlight {
    pub(crate) fn new() -> Self {
        Self {
            latest: Mutex::default(),
        }
    }

    fn latest(&self) -> MutexGuard<'_, HashMap<Key, Flight>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins the latest load of `key`, or the next one if the latest has started and its answer may
    /// be outdated, or if it has less time than `patience`. Returns a leader if the caller must make
    /// that load. Without `joins_started`, the caller never joins a load that has started, so that
    /// its query is sent after this call.
    pub(crate) fn join(
        self: &Arc<Self>,
        key: Key,
        names: &[Name],
        generations: &Generations,
        joins_started: bool,
        patience: Duration,
    ) -> (Waiter, Option<Leader>) {
        let mut latest = self.latest();
        if let Some(flight) = latest.get(&key) {
            let now = generations.of(names);
            let is_valid = |started| now.is_valid_since(started) && !now.is_doubted_since(started);
            let is_new = (flight.started).is_none_or(|started| joins_started && is_valid(started));
            if is_new && flight.patience >= patience {
                return (flight.waiter(), None);
            }
        }
        let (sender, outcome) = watch::channel(None);
        let task = Arc::new(LoadTask::here());
        let flight = Flight {
            outcome,
            task: Arc::clone(&task),
            patience,
            started: None,
        };
        let waiter = flight.waiter();
        let previous = latest.insert(key, flight);
        let leader = Leader {
            single_flight: Arc::clone(self),
            key,
            outcome: sender,
            task,
            previous,
        };
        (waiter, Some(leader))
    }

    /// The number of keys with a load in progress or waiting to start.
    pub(crate) fn len(&self) -> usize {
        self.latest().len()
    }
}

impl Flight {
    fn waiter(&self) -> Waiter {
        Waiter {
            outcome: self.outcome.clone(),
            task: Arc::clone(&self.task),
        }
    }

    fn is_in_progress(&self) -> bool {
        self.outcome.borrow().is_none()
    }
}

impl Waiter {
    /// Waits until the load has ended. A load whose runtime stands still is stopped, if this waiter
    /// belongs to another one.
    ///
    /// Cancellation: the load continues.
    pub(crate) async fn outcome(self) -> Result<Outcome, Lost> {
        let Self { mut outcome, task } = self;
        let completed = task.unless_still(outcome.wait_for(Option::is_some)).await;
        completed
            .and_then(Result::ok)
            .and_then(|completion| completion.clone())
            .unwrap_or(Err(Lost))
    }

    /// Stops the load if its runtime stands still. Returns whether it did. Does not wait, so the
    /// first call only asks the runtime.
    pub(crate) fn stop_if_still(&self) -> bool {
        self.task.stop_if_still()
    }
}

impl Leader {
    /// The load to wait for before [`start`](Self::start).
    pub(crate) fn previous(&self) -> Option<Waiter> {
        self.previous.as_ref().map(Flight::waiter)
    }

    /// The task that makes the load. `load` holds this leader.
    pub(crate) fn task(self, load: impl FnOnce(Self) -> Task) -> Task {
        let task = Arc::clone(&self.task);
        task.run(load(self))
    }

    /// Marks the load as started, immediately before its query is sent. An invalidation after this
    /// call makes the answer outdated.
    pub(crate) fn start(&self, names: &[Name], generations: &Generations) -> Generation {
        let mut latest = self.single_flight.latest();
        let now = generations.of(names);
        if let Some(flight) = latest.get_mut(&self.key)
            && self.leads(flight)
        {
            flight.started = Some(now);
        }
        now
    }

    /// Passes the outcome of the load to the waiters.
    pub(crate) fn finish(mut self, outcome: Outcome) {
        self.complete(Ok(outcome));
    }

    /// Completes the load and removes it, in one step under the lock: a caller that arrives after
    /// the end of the load must neither receive its answer as a new one nor wait for a lost load.
    fn complete(&mut self, completion: Result<Outcome, Lost>) {
        let mut latest = self.single_flight.latest();
        let is_first = self.outcome.send_if_modified(|completed| {
            let is_first = completed.is_none();
            completed.get_or_insert(completion);
            is_first
        });
        let flight = latest.get(&self.key);
        if !is_first || !flight.is_some_and(|flight| self.leads(flight)) {
            return;
        }
        match self.previous.take() {
            // This load ended before it started, so the next one must wait for the previous one.
            Some(previous) if previous.is_in_progress() => latest.insert(self.key, previous),
            _ => latest.remove(&self.key),
        };
    }

    /// Whether `flight` is the load of this leader.
    fn leads(&self, flight: &Flight) -> bool {
        flight.outcome.same_channel(&self.outcome.subscribe())
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        self.complete(Err(Lost));
    }
}

impl fmt::Debug for SingleFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SingleFlight")
            .field("loading", &self.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::super::entry::Loaded;
    use super::super::key::KeyHasher;
    use super::*;

    struct Rig {
        single_flight: Arc<SingleFlight>,
        generations: Generations,
        key: Key,
        names: [Name; 1],
    }

    impl Rig {
        fn new() -> Self {
            Self {
                single_flight: Arc::new(SingleFlight::new()),
                generations: Generations::new(16),
                key: KeyHasher::new().finish(),
                names: [Name::tag("dishes")],
            }
        }

        fn join(&self) -> (Waiter, Option<Leader>) {
            self.join_for(Duration::from_secs(1))
        }

        fn join_for(&self, patience: Duration) -> (Waiter, Option<Leader>) {
            self.single_flight
                .join(self.key, &self.names, &self.generations, true, patience)
        }

        fn start(&self, leader: &Leader) {
            leader.start(&self.names, &self.generations);
        }

        fn entry(&self, value: u32) -> Arc<Entry> {
            let loaded = Loaded { value, bytes: 0 };
            let generation = self.generations.of(&self.names);
            Arc::new(Entry::new(loaded, 0, Box::new(self.names), generation))
        }
    }

    fn value_of(waiter: Waiter) -> Option<u32> {
        waiter.outcome().now_or_never()?.unwrap().unwrap().value()
    }

    #[test]
    fn callers_during_a_load_receive_its_outcome() {
        let rig = Rig::new();
        let (first, leader) = rig.join();
        let leader = leader.unwrap();
        let (early, none) = rig.join();
        assert!(none.is_none());
        rig.start(&leader);
        let (late, none) = rig.join();
        assert!(none.is_none());
        assert!(late.outcome.borrow().is_none());
        leader.finish(Ok(rig.entry(7)));
        for waiter in [first, early, late] {
            assert_eq!(value_of(waiter), Some(7));
        }
        assert_eq!(rig.single_flight.len(), 0);
        assert!(rig.join().1.is_some(), "the next caller starts a new load");
    }

    #[test]
    fn callers_after_an_invalidation_wait_for_the_next_load() {
        let rig = Rig::new();
        let (before, first) = rig.join();
        let first = first.unwrap();
        rig.start(&first);
        rig.generations.invalidate(rig.names[0]);

        let (after, second) = rig.join();
        let second = second.unwrap();
        let (another, none) = rig.join();
        assert!(none.is_none(), "a load that has not started serves all");
        let previous = second.previous().expect("it waits for the first load");
        assert!(previous.outcome().now_or_never().is_none());

        first.finish(Ok(rig.entry(1)));
        assert_eq!(value_of(before), Some(1));
        rig.start(&second);
        second.finish(Ok(rig.entry(2)));
        assert_eq!(value_of(after), Some(2));
        assert_eq!(value_of(another), Some(2));
        assert_eq!(rig.single_flight.len(), 0);
    }

    /// Regression: with a `database_first` policy, a caller whose read had just ended read again and
    /// was served the outcome of the same load.
    #[tokio::test]
    async fn a_caller_after_the_end_of_a_load_joins_the_next_one() {
        for _ in 0..1_000 {
            let rig = Rig::new();
            let (waiter, leader) = rig.join();
            let (leader, entry) = (leader.unwrap(), rig.entry(1));
            let finishing = std::thread::spawn(move || leader.finish(Ok(entry)));
            waiter.outcome().await.unwrap().unwrap();
            assert!(rig.join().1.is_some());
            finishing.join().unwrap();
        }
    }

    /// Regression: a load that hung was forgotten when the next load was refused, and a third one
    /// ran at the same time.
    #[test]
    fn a_load_that_ends_before_it_starts_restores_the_load_in_progress() {
        let rig = Rig::new();
        let (before, first) = rig.join();
        let first = first.unwrap();
        rig.start(&first);
        rig.generations.invalidate(rig.names[0]);
        let (_, second) = rig.join();
        second.unwrap().finish(Err(Arc::new("refused")));

        let (_, third) = rig.join();
        let third = third.unwrap();
        let previous = third.previous().expect("it waits for the first load");
        first.finish(Ok(rig.entry(1)));
        assert_eq!(value_of(before), Some(1));
        assert_eq!(value_of(previous), Some(1));
        drop(third);
        assert_eq!(rig.single_flight.len(), 0);
    }

    /// Regression: a caller received the deadline of another one, whose was shorter.
    #[test]
    fn a_caller_with_more_time_waits_for_the_next_load() {
        let rig = Rig::new();
        let (hasty, first) = rig.join();
        let first = first.unwrap();
        rig.start(&first);
        let (patient, second) = rig.join_for(Duration::from_secs(30));
        let second = second.unwrap();
        assert!(second.previous().is_some(), "one load at a time");
        assert!(rig.join().1.is_none(), "a longer deadline does for all");
        first.finish(Err(Arc::new("deadline")));
        assert!(hasty.outcome().now_or_never().unwrap().unwrap().is_err());
        rig.start(&second);
        second.finish(Ok(rig.entry(2)));
        assert_eq!(value_of(patient), Some(2));
        assert_eq!(rig.single_flight.len(), 0);
    }

    #[test]
    fn all_waiters_receive_the_same_error() {
        let rig = Rig::new();
        let (first, leader) = rig.join();
        let (second, _) = rig.join();
        leader.unwrap().finish(Err(Arc::new("no")));
        let error_of = |waiter: Waiter| {
            let outcome = waiter.outcome().now_or_never().unwrap().unwrap();
            outcome.err().unwrap()
        };
        assert!(Arc::ptr_eq(&error_of(first), &error_of(second)));
    }

    #[test]
    fn a_lost_load_is_reported_and_removed() {
        let rig = Rig::new();
        let (waiter, leader) = rig.join();
        drop(leader);
        assert!(waiter.outcome().now_or_never().unwrap().is_err());
        assert_eq!(rig.single_flight.len(), 0);
    }
}
