//! One load a key at a time.
//!
//! Whoever finds a load of the same key under way waits for what it brings. There is one exception:
//! a load that asked the database before the key was invalidated may bring what was true before the
//! write. Whoever comes after that waits for the next load, which starts when the first one has
//! ended; so at most one is under way and one is waiting. If that one gives up before it starts, the
//! first one has its place back.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::entry::Entry;
use super::invalidation::{Generation, Generations, Name};
use super::key::Key;

/// The error of a load, of the one type that the loads of a pool have: as with the value of an
/// [`Entry`], the cache need not know it.
pub(crate) type Failure = Arc<dyn Any + Send + Sync>;

/// What a load brought: an answer, or the error that every waiter gets.
pub(crate) type Outcome = Result<Arc<Entry>, Failure>;

pub(crate) struct SingleFlight {
    latest: Mutex<HashMap<Key, Flight>>,
}

struct Flight {
    outcome: watch::Receiver<Arrival>,
    /// As of when the database was asked; `None` if it has not been.
    started: Option<Generation>,
}

/// `None` while the load is under way.
type Arrival = Option<Result<Outcome, Lost>>;

/// Who waits for a load.
pub(crate) struct Waiter {
    outcome: watch::Receiver<Arrival>,
}

/// The duty to make a load. Dropped without [`land`](Self::land), all who wait are told that it was lost.
pub(crate) struct Leader {
    single_flight: Arc<SingleFlight>,
    key: Key,
    outcome: watch::Sender<Arrival>,
    /// The load that has to end before this one may start.
    previous: Option<Flight>,
}

/// A load ended without bringing anything: its task was stopped, or it panicked.
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

    /// Boards the load of `key` that is under way, or else the next one; with the duty to make it, if
    /// nobody has that yet. One who does not join what has started gets an answer that was asked for
    /// from now on.
    pub(crate) fn join(
        self: &Arc<Self>,
        key: Key,
        names: &[Name],
        generations: &Generations,
        joins_started: bool,
    ) -> (Waiter, Option<Leader>) {
        let mut latest = self.latest();
        let flight = latest.get(&key);
        if let Some(flight) = flight {
            let now = generations.of(names);
            let is_valid = |started| now.is_valid_since(started) && !now.is_doubted_since(started);
            if (flight.started).is_none_or(|started| joins_started && is_valid(started)) {
                return (flight.waiter(), None);
            }
        }
        let (sender, outcome) = watch::channel(None);
        let flight = Flight {
            outcome,
            started: None,
        };
        let waiter = flight.waiter();
        let previous = latest.insert(key, flight);
        let leader = Leader {
            single_flight: Arc::clone(self),
            key,
            outcome: sender,
            previous,
        };
        (waiter, Some(leader))
    }

    /// How many loads are under way or waiting.
    pub(crate) fn len(&self) -> usize {
        self.latest().len()
    }
}

impl Flight {
    fn waiter(&self) -> Waiter {
        Waiter {
            outcome: self.outcome.clone(),
        }
    }

    fn is_under_way(&self) -> bool {
        self.outcome.borrow().is_none()
    }
}

impl Waiter {
    /// Waits until the load has ended.
    ///
    /// Cancellation: the load goes on.
    pub(crate) async fn outcome(mut self) -> Result<Outcome, Lost> {
        let arrived = self.outcome.wait_for(Option::is_some).await;
        arrived
            .ok()
            .and_then(|arrival| arrival.clone())
            .unwrap_or(Err(Lost))
    }
}

impl Leader {
    /// Whom to wait for before [`depart`](Self::depart).
    pub(crate) fn previous(&self) -> Option<Waiter> {
        self.previous.as_ref().map(Flight::waiter)
    }

    /// The database will be asked now: what is invalidated from here on makes the answer outdated.
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

    /// Tells all who wait what the load brought.
    pub(crate) fn finish(mut self, outcome: Outcome) {
        self.arrive(Ok(outcome));
    }

    /// In one step, under the lock: whoever comes once the load has ended must neither take its answer
    /// for a new one, nor wait for one that was lost.
    fn arrive(&mut self, arrival: Result<Outcome, Lost>) {
        let mut latest = self.single_flight.latest();
        let is_first = self.outcome.send_if_modified(|arrived| {
            let is_first = arrived.is_none();
            arrived.get_or_insert(arrival);
            is_first
        });
        let flight = latest.get(&self.key);
        if !is_first || !flight.is_some_and(|flight| self.leads(flight)) {
            return;
        }
        match self.previous.take() {
            // It gave up waiting: the next one has to wait, too.
            Some(previous) if previous.is_under_way() => latest.insert(self.key, previous),
            _ => latest.remove(&self.key),
        };
    }

    fn leads(&self, flight: &Flight) -> bool {
        flight.outcome.same_channel(&self.outcome.subscribe())
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        self.arrive(Err(Lost));
    }
}

impl fmt::Debug for SingleFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SingleFlight")
            .field("under_way", &self.len())
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
            self.single_flight
                .join(self.key, &self.names, &self.generations, true)
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

    fn brought(waiter: Waiter) -> Option<u32> {
        waiter.outcome().now_or_never()?.unwrap().unwrap().value()
    }

    #[test]
    fn whoever_comes_while_a_load_is_under_way_gets_what_it_brings() {
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
            assert_eq!(brought(waiter), Some(7));
        }
        assert_eq!(rig.single_flight.len(), 0);
        assert!(rig.join().1.is_some(), "the next one starts anew");
    }

    #[test]
    fn whoever_comes_after_an_invalidation_waits_for_the_next_load() {
        let rig = Rig::new();
        let (before, first) = rig.join();
        let first = first.unwrap();
        rig.start(&first);
        rig.generations.invalidate(rig.names[0]);

        let (after, second) = rig.join();
        let second = second.unwrap();
        let (another, none) = rig.join();
        assert!(none.is_none(), "one that has not started serves everybody");
        let previous = second.previous().expect("it waits for the first one");
        assert!(previous.outcome().now_or_never().is_none());

        first.finish(Ok(rig.entry(1)));
        assert_eq!(brought(before), Some(1));
        rig.start(&second);
        second.finish(Ok(rig.entry(2)));
        assert_eq!(brought(after), Some(2));
        assert_eq!(brought(another), Some(2));
        assert_eq!(rig.single_flight.len(), 0);
    }

    /// Found by a policy that always asks first, and was served what an earlier caller was told.
    #[tokio::test]
    async fn whoever_learns_of_the_landing_boards_the_next_load() {
        for _ in 0..1_000 {
            let rig = Rig::new();
            let (waiter, leader) = rig.join();
            let (leader, entry) = (leader.unwrap(), rig.entry(1));
            let landing = std::thread::spawn(move || leader.finish(Ok(entry)));
            waiter.outcome().await.unwrap().unwrap();
            assert!(rig.join().1.is_some());
            landing.join().unwrap();
        }
    }

    /// A load that hung was forgotten when the one behind it gave up, and a third ran beside it.
    #[test]
    fn whoever_gives_up_waiting_leaves_the_load_under_way_in_its_place() {
        let rig = Rig::new();
        let (before, first) = rig.join();
        let first = first.unwrap();
        rig.start(&first);
        rig.generations.invalidate(rig.names[0]);
        let (_, second) = rig.join();
        second.unwrap().finish(Err(Arc::new("refused")));

        let (_, third) = rig.join();
        let third = third.unwrap();
        let previous = third.previous().expect("it waits for the first one");
        first.finish(Ok(rig.entry(1)));
        assert_eq!(brought(before), Some(1));
        assert_eq!(brought(previous), Some(1));
        drop(third);
        assert_eq!(rig.single_flight.len(), 0);
    }

    #[test]
    fn all_learn_the_same_cause() {
        let rig = Rig::new();
        let (first, leader) = rig.join();
        let (second, _) = rig.join();
        leader.unwrap().finish(Err(Arc::new("no")));
        let cause = |waiter: Waiter| {
            let outcome = waiter.outcome().now_or_never().unwrap().unwrap();
            outcome.err().unwrap()
        };
        assert!(Arc::ptr_eq(&cause(first), &cause(second)));
    }

    #[test]
    fn a_load_that_is_lost_is_told_and_makes_room() {
        let rig = Rig::new();
        let (waiter, leader) = rig.join();
        drop(leader);
        assert!(waiter.outcome().now_or_never().unwrap().is_err());
        assert_eq!(rig.single_flight.len(), 0);
    }
}
