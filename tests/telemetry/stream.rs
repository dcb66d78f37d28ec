//! The stream of changes of a breaker. Nothing here reaches `tracing`, for which other tests listen.

use std::time::Duration;

use fusepool::breaker::{Mode, Reason, State};
use fusepool::telemetry::{Change, Events};
use fusepool::{Breaker, Gate};

fn gate() -> Gate {
    let gate = Gate::builder(Breaker::builder());
    gate.tracing(false).build().unwrap()
}

/// Waits for a change that is there already.
async fn next(events: &mut Events) -> Option<Change> {
    let next = tokio::time::timeout(Duration::from_secs(60), events.next());
    next.await.expect("a change")
}

#[tokio::test]
async fn it_has_the_changes_of_the_state_and_the_mode_in_their_order() {
    let gate = gate();
    gate.breaker().set_mode(Mode::Disabled); // before anybody listens
    let (mut one, mut other) = (gate.events(), gate.events());
    gate.breaker().set_mode(Mode::Enforce);
    gate.breaker().trip_for(Duration::from_secs(9));
    gate.breaker().reset();
    drop(gate.breaker().force_open());
    drop(gate);
    for events in [&mut one, &mut other] {
        let mode = |mode, forced_open| Some(Change::Mode { mode, forced_open });
        assert_eq!(next(events).await, mode(Mode::Enforce, false));
        let Some(Change::Transition(opened)) = next(events).await else {
            panic!("no transition");
        };
        assert_eq!((opened.from, opened.to), (State::Closed, State::Open));
        assert_eq!(opened.retry_after, Some(Duration::from_secs(9)));
        let Some(Change::Transition(closed)) = next(events).await else {
            panic!("no transition");
        };
        assert_eq!((closed.to, closed.reason), (State::Closed, Reason::Reset));
        assert_eq!(next(events).await, mode(Mode::Enforce, true));
        assert_eq!(next(events).await, mode(Mode::Enforce, false));
        assert_eq!(next(events).await, None, "the gate is gone");
        assert_eq!(events.lost(), 0);
    }
}

#[tokio::test]
async fn a_late_receiver_learns_how_many_it_has_lost() {
    let gate = gate();
    let mut events = gate.events();
    for _ in 0..50 {
        gate.breaker().trip_for(Duration::from_secs(9));
        gate.breaker().reset();
    }
    drop(gate);
    let mut received = 0;
    while next(&mut events).await.is_some() {
        received += 1;
    }
    assert_eq!((received, events.lost()), (64, 36));
}

/// The handle of a pool is in every family's own type.
#[cfg(all(
    feature = "sqlx-postgres",
    feature = "deadpool-postgres",
    feature = "diesel-postgres"
))]
#[tokio::test]
async fn every_pool_has_it() {
    use diesel_async::pooled_connection::AsyncDieselConnectionManager;
    use fusepool::deadpool::{diesel, postgres};
    use fusepool::sqlx::PgPoolOptions;

    let url = "postgres://nobody@127.0.0.1:1/nowhere";
    let sqlx = PgPoolOptions::new()
        .tracing(false)
        .connect_lazy(url)
        .unwrap();
    let manager = postgres::Manager::new(url.parse().unwrap(), tokio_postgres::NoTls);
    let deadpool = postgres::Pool::builder(manager)
        .tracing(false)
        .build()
        .unwrap();
    let manager = AsyncDieselConnectionManager::<diesel_async::AsyncPgConnection>::new(url);
    let diesel: diesel::Pool<diesel::AsyncPgConnection> = diesel::Pool::builder(manager)
        .tracing(false)
        .build()
        .unwrap();
    for (gate, mut events) in [
        (sqlx.gate(), sqlx.events()),
        (deadpool.gate(), deadpool.events()),
        (diesel.gate(), diesel.events()),
    ] {
        let _held = gate.breaker().force_open();
        let held = Change::Mode {
            mode: Mode::Enforce,
            forced_open: true,
        };
        assert_eq!(next(&mut events).await, Some(held));
    }
}
