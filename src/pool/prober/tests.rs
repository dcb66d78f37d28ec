//! A prober on the runtime's own time, and a backend that takes as long as it is told.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::breaker::builder::Builder;
use crate::breaker::clock::Clock;
use crate::breaker::settings::Ramp;
use crate::breaker::state::Mode;
use crate::breaker::verdict::Verdict;
use crate::pool::settings::Settings;
use crate::pool::shared::Shared;
use crate::pool::snapshot::PoolStatus;

#[derive(Debug)]
struct RuntimeClock(Instant);

impl Clock for RuntimeClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A backend, and what it does to its prober.
trait Script: Send + Sync + 'static {
    type Connection: Send + 'static;
    type Error: Error + Send + 'static;

    fn connect(&self) -> impl Future<Output = Result<Self::Connection, Self::Error>> + Send;
    fn borrow(&self) -> Option<Self::Connection>;
    fn ping(
        &self,
        connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;
    fn classify(&self, error: &Self::Error) -> Class;
}

struct Pool<S>(S);

impl<S: Script> Adapter for Pool<S> {
    type Connection = S::Connection;
    type Lease = Box<S::Connection>;
    type Error = S::Error;
    type StatementError = S::Error;

    fn status(&self) -> PoolStatus {
        PoolStatus {
            size: 1,
            idle: 0,
            max_connections: 1,
        }
    }

    fn is_closed(&self) -> bool {
        false
    }

    async fn lease(&self) -> Result<Self::Lease, S::Error> {
        self.0.connect().await.map(Box::new)
    }

    async fn lease_idle(&self) -> Option<Self::Lease> {
        self.0.borrow().map(Box::new)
    }

    fn discard(&self, lease: Self::Lease) {
        drop(lease);
    }

    async fn connect(&self) -> Result<S::Connection, S::Error> {
        self.0.connect().await
    }

    async fn ping(&self, connection: &mut S::Connection) -> Result<(), S::Error> {
        self.0.ping(connection).await
    }

    fn classify(&self, error: &S::Error) -> Class {
        self.0.classify(error)
    }

    fn classify_statement(&self, error: &S::Error) -> Class {
        self.0.classify(error)
    }

    fn explain<'e>(&self, error: &'e S::Error) -> &'e (dyn Error + 'static) {
        error
    }
}

async fn recover_by<S: Script>(gate: &Arc<Gate>, backend: S) {
    let shared = Shared::new(Pool(backend), Arc::clone(gate), &Settings::default());
    recover(Arc::clone(gate), Target::of(&shared)).await;
}

#[derive(Default)]
struct Well {
    connecting: Duration,
    answering: Duration,
    late_at_first: Duration,
    pings: Arc<AtomicU32>,
}

impl Script for Well {
    type Connection = ();
    type Error = Infallible;

    async fn connect(&self) -> Result<(), Infallible> {
        sleep(self.connecting).await;
        Ok(())
    }

    fn borrow(&self) -> Option<()> {
        None
    }

    async fn ping(&self, (): &mut ()) -> Result<(), Infallible> {
        if self.pings.fetch_add(1, Ordering::Relaxed) == 0 {
            sleep(self.late_at_first).await;
        }
        sleep(self.answering).await;
        Ok(())
    }

    fn classify(&self, error: &Infallible) -> Class {
        match *error {}
    }
}

/// A gate whose breaker has just opened.
fn open(breaker: Builder) -> Arc<Gate> {
    let breaker = breaker
        .clock(RuntimeClock(Instant::now()))
        .consecutive_failures(1)
        .ramp(Ramp::Off);
    let gate = Gate::builder(breaker).build().unwrap();
    gate.breaker().observe().settle(Verdict::Failure);
    assert_eq!(gate.breaker().state(), State::Open);
    Arc::new(gate)
}

/// Where nothing is enforced, the breaker refuses nobody, so it does not refuse the prober either:
/// that is no reason to probe at once, over and over, and never let go of the thread.
#[tokio::test(start_paused = true)]
async fn it_waits_out_the_delay_in_observe_mode_too() {
    let gate = open(Breaker::builder().mode(Mode::Observe));
    let backend = Well::default();
    let pings = Arc::clone(&backend.pings);
    recover_by(&gate, backend).await;
    assert_eq!(gate.breaker().state(), State::Closed);
    assert_eq!(pings.load(Ordering::Relaxed), 3);
    let snapshot = gate.snapshot().breaker;
    assert_eq!((snapshot.rejected, snapshot.ignored), (0, 0));
}

/// It was given less time than users have, and so the breaker never closed.
#[tokio::test(start_paused = true)]
async fn a_probe_has_as_long_to_connect_as_users_have_and_its_whole_timeout_to_be_answered() {
    let gate = open(Breaker::builder().slow_call_threshold(Duration::from_secs(10)));
    let backend = Well {
        connecting: Duration::from_millis(1_900),
        answering: Duration::from_millis(990),
        ..Well::default()
    };
    let recovered = timeout(Duration::from_secs(60), recover_by(&gate, backend));
    recovered.await.unwrap();
    assert_eq!(gate.snapshot().breaker.trips, 1);
}

/// A backend that turns us away for a while.
struct Hostile {
    class: Class,
    attempts: Arc<AtomicU32>,
    /// It says so once a connection is there.
    to_pings: bool,
    /// The pool has an idle connection, on which it says nothing of the kind.
    may_borrow: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("not you")]
struct NotYou;

impl Hostile {
    fn attempt(&self) -> Result<(), NotYou> {
        match self.attempts.fetch_add(1, Ordering::Relaxed) {
            0..3 => Err(NotYou),
            _ => Ok(()),
        }
    }
}

impl Script for Hostile {
    /// Whether it is borrowed.
    type Connection = bool;
    type Error = NotYou;

    async fn connect(&self) -> Result<bool, NotYou> {
        match self.to_pings {
            true => Ok(false),
            false => self.attempt().map(|()| false),
        }
    }

    fn borrow(&self) -> Option<bool> {
        self.may_borrow.then_some(true)
    }

    async fn ping(&self, is_borrowed: &mut bool) -> Result<(), NotYou> {
        match self.to_pings && !*is_borrowed {
            true => self.attempt(),
            false => Ok(()),
        }
    }

    fn classify(&self, _: &NotYou) -> Class {
        self.class
    }
}

/// An account whose password changes, or that has no slot left: the first such answer was the end of
/// probing, for ever.
#[tokio::test(start_paused = true)]
async fn no_error_ends_it_before_the_breaker_is_closed() {
    for class in [
        Class::Ignored,
        Class::Success,
        Class::Starved,
        Class::Failure,
    ] {
        for to_pings in [false, true] {
            let gate = open(Breaker::builder());
            let backend = Hostile {
                class,
                attempts: Arc::default(),
                to_pings,
                may_borrow: false,
            };
            recover_by(&gate, backend).await;
            assert_eq!(gate.breaker().state(), State::Closed, "{class:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn where_no_connection_can_be_had_one_of_the_pools_is_borrowed() {
    let classes = [
        Class::Ignored,
        Class::Success,
        Class::Starved,
        Class::Slow,
        Class::Failure,
    ];
    for class in classes {
        for to_pings in [false, true] {
            if to_pings && class == Class::Failure {
                continue; // which is clear
            }
            let gate = open(Breaker::builder());
            let attempts = Arc::new(AtomicU32::new(0));
            let backend = Hostile {
                class,
                attempts: Arc::clone(&attempts),
                to_pings,
                may_borrow: true,
            };
            recover_by(&gate, backend).await;
            assert_eq!(attempts.load(Ordering::Relaxed), 1, "{class:?} {to_pings}");
            assert_eq!(gate.snapshot().breaker.trips, 1);
        }
    }
}

/// Each ping is well below the bound; connecting, and the three pings together, are not.
#[tokio::test(start_paused = true)]
async fn only_a_ping_makes_a_probe_slow() {
    let gate = open(Breaker::builder().slow_call_threshold(Duration::from_millis(100)));
    let backend = Well {
        connecting: Duration::from_millis(300),
        answering: Duration::from_millis(60),
        ..Well::default()
    };
    let recovered = timeout(Duration::from_secs(60), recover_by(&gate, backend));
    recovered.await.unwrap();
    let snapshot = gate.snapshot().breaker;
    assert_eq!((snapshot.trips, snapshot.slow), (1, 0));
}

/// A server whose first answer is late, as of a cold cache: one of three places is slow, and no more.
/// All three were, since they had been taken together.
#[tokio::test(start_paused = true)]
async fn a_slow_ping_is_not_for_the_other_places_to_answer_for() {
    let gate = open(Breaker::builder().slow_call_threshold(Duration::from_millis(100)));
    let cold = Well {
        answering: Duration::from_millis(10),
        late_at_first: Duration::from_millis(140),
        ..Well::default()
    };
    let probing = recover_by(&gate, cold);
    // Others look for a free place meanwhile, and at whose time is up.
    let calling = async {
        while gate.breaker().state() != State::Closed {
            let _ = gate.breaker().try_acquire().map(Permit::withdraw);
            sleep(Duration::from_millis(7)).await;
        }
    };
    let _ = tokio::join!(probing, calling);
    let snapshot = gate.snapshot().breaker;
    assert_eq!((snapshot.trips, snapshot.slow), (1, 1));
}

/// A quiet service is probed by the prober alone, in batches as large as its pool.
#[tokio::test(start_paused = true)]
async fn a_large_batch_has_time_for_each_of_its_pings() {
    let breaker = Breaker::builder()
        .half_open_probes(100)
        .slow_call_rate(None);
    let gate = open(breaker);
    let backend = Well {
        answering: Duration::from_millis(20),
        ..Well::default()
    };
    let recovered = timeout(Duration::from_secs(60), recover_by(&gate, backend));
    recovered.await.unwrap();
    assert_eq!(gate.snapshot().breaker.trips, 1);
}

/// A lock on an embedded database: asked, it answers that it is busy. Once that left the other places
/// of the batch undecided, and the breaker half-open, with nobody to probe.
#[tokio::test(start_paused = true)]
async fn a_late_answer_decides_with_the_other_places_of_its_batch() {
    #[derive(Debug, thiserror::Error)]
    #[error("busy")]
    struct Busy;
    struct Locked;
    impl Script for Locked {
        type Connection = ();
        type Error = Busy;

        async fn connect(&self) -> Result<(), Busy> {
            Ok(())
        }

        fn borrow(&self) -> Option<()> {
            None
        }

        async fn ping(&self, (): &mut ()) -> Result<(), Busy> {
            sleep(Duration::from_millis(300)).await;
            Err(Busy)
        }

        fn classify(&self, _: &Busy) -> Class {
            Class::Slow
        }
    }

    let gate = open(Breaker::builder());
    let probing = recover_by(&gate, Locked);
    let bound = Duration::from_secs(60);
    assert!(timeout(bound, probing).await.is_err(), "it never gives up");
    assert!(gate.snapshot().breaker.trips > 5);
}
