//! Tests of the prober, on the paused time of the runtime and with scripted backends.

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

/// The behaviour of a backend towards the prober.
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
struct Healthy {
    connecting: Duration,
    answering: Duration,
    late_at_first: Duration,
    pings: Arc<AtomicU32>,
}

impl Script for Healthy {
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

/// A breaker that does not enforce rejects no calls, the prober's included. The prober must still
/// wait, and not probe in a busy loop.
#[tokio::test(start_paused = true)]
async fn it_waits_for_the_open_duration_in_observe_mode_too() {
    let gate = open(Breaker::builder().mode(Mode::Observe));
    let backend = Healthy::default();
    let pings = Arc::clone(&backend.pings);
    recover_by(&gate, backend).await;
    assert_eq!(gate.breaker().state(), State::Closed);
    // One turns the breaker half-open, the next one finds a connection, and two of three probes decide.
    assert_eq!(pings.load(Ordering::Relaxed), 1 + 1 + 2);
    let snapshot = gate.snapshot().breaker;
    assert_eq!((snapshot.totals.rejected, snapshot.totals.ignored), (0, 0));
}

/// Regression: the prober had less time to connect than callers have, and the breaker never closed.
#[tokio::test(start_paused = true)]
async fn a_probe_has_the_acquire_timeout_to_connect_and_the_probe_timeout_for_its_answer() {
    let gate = open(Breaker::builder().slow_call_threshold(Duration::from_secs(10)));
    let backend = Healthy {
        connecting: Duration::from_millis(1_900),
        answering: Duration::from_millis(990),
        ..Healthy::default()
    };
    let recovered = timeout(Duration::from_secs(60), recover_by(&gate, backend));
    recovered.await.unwrap();
    assert_eq!(gate.snapshot().breaker.totals.trips, 1);
}

/// A backend that returns errors for the first three attempts.
struct Denying {
    class: Class,
    attempts: Arc<AtomicU32>,
    /// It returns the errors to pings, and not to connection attempts.
    to_pings: bool,
    /// The pool has an idle connection, on which pings succeed.
    may_borrow: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("access denied")]
struct Denied;

impl Denying {
    fn attempt(&self) -> Result<(), Denied> {
        match self.attempts.fetch_add(1, Ordering::Relaxed) {
            0..3 => Err(Denied),
            _ => Ok(()),
        }
    }
}

impl Script for Denying {
    /// Whether the connection is borrowed.
    type Connection = bool;
    type Error = Denied;

    async fn connect(&self) -> Result<bool, Denied> {
        match self.to_pings {
            true => Ok(false),
            false => self.attempt().map(|()| false),
        }
    }

    fn borrow(&self) -> Option<bool> {
        self.may_borrow.then_some(true)
    }

    async fn ping(&self, is_borrowed: &mut bool) -> Result<(), Denied> {
        match self.to_pings && !*is_borrowed {
            true => self.attempt(),
            false => Ok(()),
        }
    }

    fn classify(&self, _: &Denied) -> Class {
        self.class
    }
}

/// Regression: an account with a changed password, or without a free slot, ended the probing for
/// good with its first error.
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
            let backend = Denying {
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
async fn an_idle_connection_of_the_pool_is_borrowed_if_a_new_one_is_denied() {
    let classes = [
        Class::Ignored,
        Class::Success,
        Class::Starved,
        Class::Slow,
        Class::Failure,
    ];
    for class in classes {
        for to_pings in [false, true] {
            if to_pings && matches!(class, Class::Failure | Class::Success) {
                continue; // a clear failure, or an answer
            }
            let gate = open(Breaker::builder());
            let attempts = Arc::new(AtomicU32::new(0));
            let backend = Denying {
                class,
                attempts: Arc::clone(&attempts),
                to_pings,
                may_borrow: true,
            };
            recover_by(&gate, backend).await;
            // Once while open, and once for the probes.
            assert_eq!(attempts.load(Ordering::Relaxed), 2, "{class:?} {to_pings}");
            assert_eq!(gate.snapshot().breaker.totals.trips, 1);
        }
    }
}

/// Each ping is below the slow-call threshold. The time to connect is above it, and so are the three
/// pings together.
#[tokio::test(start_paused = true)]
async fn only_its_own_ping_makes_a_probe_slow() {
    let gate = open(Breaker::builder().slow_call_threshold(Duration::from_millis(100)));
    let backend = Healthy {
        connecting: Duration::from_millis(300),
        answering: Duration::from_millis(60),
        ..Healthy::default()
    };
    let recovered = timeout(Duration::from_secs(60), recover_by(&gate, backend));
    recovered.await.unwrap();
    let snapshot = gate.snapshot().breaker;
    assert_eq!((snapshot.totals.trips, snapshot.totals.slow), (1, 0));
}

/// The first answer of the server is late, for instance because of a cold cache. It answers a ping
/// that is no probe. Regression: all three probes were slow, since they waited for the same answer.
#[tokio::test(start_paused = true)]
async fn a_slow_first_answer_makes_no_probe_slow() {
    let gate = open(Breaker::builder().slow_call_threshold(Duration::from_millis(100)));
    let cold = Healthy {
        answering: Duration::from_millis(10),
        late_at_first: Duration::from_millis(140),
        ..Healthy::default()
    };
    let probing = recover_by(&gate, cold);
    // Other calls request a free slot meanwhile, which expires probes that exceed their timeout.
    let calling = async {
        while gate.breaker().state() != State::Closed {
            let _ = gate.breaker().try_acquire().map(Permit::withdraw);
            sleep(Duration::from_millis(7)).await;
        }
    };
    let _ = tokio::join!(probing, calling);
    let snapshot = gate.snapshot().breaker;
    assert_eq!((snapshot.totals.trips, snapshot.totals.slow), (1, 0));
}

/// Without other calls, the prober makes all probes of a batch, which may be as large as the pool.
#[tokio::test(start_paused = true)]
async fn a_large_batch_has_time_for_each_of_its_pings() {
    let breaker = Breaker::builder()
        .half_open_probes(100)
        .slow_call_rate(None);
    let gate = open(breaker);
    let backend = Healthy {
        answering: Duration::from_millis(20),
        ..Healthy::default()
    };
    let recovered = timeout(Duration::from_secs(60), recover_by(&gate, backend));
    recovered.await.unwrap();
    assert_eq!(gate.snapshot().breaker.totals.trips, 1);
}

/// An embedded database with a lock answers that it is busy. Regression: such an answer left the
/// breaker half-open without a prober.
#[tokio::test(start_paused = true)]
async fn a_database_that_answers_that_it_is_busy_is_asked_again() {
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
    let limit = Duration::from_secs(60);
    assert!(timeout(limit, probing).await.is_err(), "it never gives up");
    let snapshot = gate.snapshot();
    assert_eq!(gate.breaker().state(), State::Open);
    assert_eq!(
        snapshot.breaker.totals.trips, 1,
        "failed pings are no trips"
    );
    assert!(
        snapshot.totals.probes > 100,
        "{} pings",
        snapshot.totals.probes
    );
}

/// A backend that hangs until a moment, and answers then what it was asked before.
struct Stalled {
    until: Instant,
    connections: Arc<AtomicU32>,
}

impl Script for Stalled {
    type Connection = ();
    type Error = Infallible;

    async fn connect(&self) -> Result<(), Infallible> {
        self.connections.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn borrow(&self) -> Option<()> {
        None
    }

    async fn ping(&self, (): &mut ()) -> Result<(), Infallible> {
        tokio::time::sleep_until(self.until).await;
        Ok(())
    }

    fn classify(&self, error: &Infallible) -> Class {
        match *error {}
    }
}

/// Regression: each failed ping doubled the time until the next one, and a service was refused for
/// seconds after its database had recovered.
#[tokio::test(start_paused = true)]
async fn a_stall_is_over_as_soon_as_the_backend_answers() {
    for outage in [1, 3, 10, 30, 60].map(Duration::from_secs) {
        let gate = open(Breaker::builder());
        let until = Instant::now() + outage;
        let connections = Arc::new(AtomicU32::new(0));
        let backend = Stalled {
            until,
            connections: Arc::clone(&connections),
        };
        let half_open = async {
            while gate.breaker().state() == State::Open {
                sleep(Duration::from_millis(1)).await;
            }
            Instant::now() - until
        };
        let (late, ()) = tokio::join!(half_open, recover_by(&gate, backend));
        assert!(
            late < Duration::from_millis(300),
            "{outage:?}: {late:?} late"
        );
        let asked = connections.load(Ordering::Relaxed);
        let allowed = 5 + outage.as_secs() / 2; // doubling up to `acquire_timeout`
        assert!(
            u64::from(asked) <= allowed,
            "{outage:?}: {asked} connections"
        );
        assert_eq!(gate.snapshot().breaker.totals.trips, 1);
    }
}

/// An operator trips the breaker for an hour and resets it, and it trips again. Regression: the
/// prober slept for the rest of the hour, and callers had to be the probes.
#[tokio::test(start_paused = true)]
async fn it_follows_the_open_duration_that_an_operator_changes() {
    let gate = open(
        Breaker::builder()
            .open_duration(Duration::from_secs(3_600))
            .max_open_duration(Duration::from_secs(3_600)),
    );
    let began = Instant::now();
    let operator = async {
        sleep(Duration::from_secs(1)).await;
        gate.breaker().reset();
        sleep(Duration::from_secs(1)).await;
        gate.breaker().trip_for(Duration::from_secs(2));
    };
    let recovered = timeout(
        Duration::from_secs(60),
        recover_by(&gate, Healthy::default()),
    );
    let (recovered, ()) = tokio::join!(recovered, operator);
    recovered.unwrap();
    assert_eq!(began.elapsed().as_secs(), 4);
    assert_eq!(gate.snapshot().breaker.totals.trips, 2);
}
