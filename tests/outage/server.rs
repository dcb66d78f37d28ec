//! Faults of the server: killed, restarted, frozen, full, locked.

use std::time::{Duration, Instant};

use fusepool::ManualClock;
use fusepool::breaker::{Reason, State};
use futures_util::future::join_all;

use crate::dialect::{self, Connection, Dialect};
use crate::events::Events;
use crate::load::Load;
use crate::support::eventually;
use crate::system::System;
use crate::world::{ACQUIRE_TIMEOUT, AT_ONCE, CONNECTIONS, Outage, World, options, quick};

on_all! {
    not_listening
    never_listening
    killed_and_restarted
    frozen
    no_slot_is_free
    too_few_slots_are_saturation
    all_slots_are_the_pools_own
    locked_table
}

async fn not_listening<S: System>() {
    let mut server = S::Server::start(&[]).await;
    server.kill();
    let events = Events::default();
    let url = server.url();
    let pool = S::build(&options(&events), &url);
    let start = Instant::now();
    assert!(S::lease(&pool).await.is_err());
    assert!(
        start.elapsed() < ACQUIRE_TIMEOUT + AT_ONCE,
        "{:?}",
        start.elapsed()
    );

    let mut world = World::<S>::on(server, |server, _| server.url(), |options| options).await;
    let broken = Instant::now();
    let load = Load::start::<S>(&world.pool, 8);
    let (opened, transition) = world.events.opened(broken).await;
    assert_eq!(transition.reason, Reason::ConsecutiveFailures);
    assert!(opened < 2 * ACQUIRE_TIMEOUT, "{opened:?}");
    load.rejections(20).await;
    world.assert_rejects().await;
    let tally = load.stop().await;
    assert_eq!((tally.answered, tally.unknown, tally.refused), (0, 0, 0));
    assert!(tally.not_sent > 0);

    let healed = Instant::now();
    world.server.restart().await;
    let (closed, _) = world.events.closed(healed).await;
    assert!(closed < Duration::from_secs(10), "{closed:?}");
    println!(
        "{}: not listening: opened {opened:?}, closed {closed:?}",
        S::NAME
    );
    world.fill().await;
    eventually("only the pool is connected", async || {
        world.server.connection_count().await == i64::from(CONNECTIONS)
    })
    .await;
}

/// Callers at time zero of the clock get the same errors as later callers.
async fn never_listening<S: System>() {
    let mut server = S::Server::start(&[]).await;
    server.kill();
    let world = World::<S>::on(
        server,
        |server, _| server.url(),
        |options| options.breaker(quick().clock(ManualClock::new())),
    )
    .await;
    let results = join_all((0..5).map(|_| S::ask(&world.pool))).await;
    assert!(results.iter().all(Result::is_err));
    assert_eq!(world.state(), State::Open, "{:?}", world.gate().snapshot());
}

async fn killed_and_restarted<S: System>() {
    let outage = Outage {
        name: "kill -9",
        strike: |world: &mut World<S>| world.server.kill(),
        heal: |world| world.server.launch(),
        reason: Reason::ConsecutiveFailures,
        opens_within: Duration::from_secs(1),
        // The server must start and recover first.
        closes_within: Duration::from_secs(10),
    };
    World::<S>::start().await.suffer(outage).await;
}

async fn frozen<S: System>() {
    let outage = Outage {
        name: "SIGSTOP",
        strike: |world: &mut World<S>| world.server.pause(),
        heal: |world| world.server.resume(),
        reason: Reason::ConsecutiveFailures,
        opens_within: Duration::from_secs(1),
        closes_within: Duration::from_secs(3),
    };
    World::<S>::start().await.suffer(outage).await;
}

/// Checking a password is slow in a debug build.
const SMALL_SERVER_TIMEOUT: Duration = Duration::from_millis(1500);
const SMALL_SERVER_QUERY_TIMEOUT: Duration = Duration::from_secs(2);
/// Longer than a lock is held.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// A server with few slots, and a pool of a user that cannot use reserved slots.
async fn small_server<S: System>(connections: u32, query_timeout: Duration) -> World<S> {
    let server = S::Server::start(&[("max_connections", "10")]).await;
    let url = |server: &S::Server, port| server.url_as("app", "secret", S::Server::DATABASE, port);
    World::on(server, url, |options| {
        options
            .max_connections(connections)
            .acquire_timeout(SMALL_SERVER_TIMEOUT)
            .query_timeout(query_timeout)
            .breaker(
                quick()
                    .slow_call_threshold(Duration::from_millis(800))
                    // A caller that waits for a slot is starved. This test is about that rule alone.
                    .stall_after(None)
                    .probe_timeout(Duration::from_millis(800)),
            )
    })
    .await
}

/// Occupies connections of the server, like other clients.
async fn take<S: System>(world: &World<S>, slots: usize) -> Vec<Connection<S::Server>> {
    let url = (world.server).url_as(
        "app",
        "secret",
        S::Server::DATABASE,
        world.server.addr().port(),
    );
    let mut taken = Vec::new();
    for _ in 0..slots {
        taken.push(dialect::connect::<S::Server>(&url).await);
    }
    taken
}

async fn no_slot_is_free<S: System>() {
    let world = small_server::<S>(CONNECTIONS, SMALL_SERVER_QUERY_TIMEOUT).await;
    let taken = take(&world, S::Server::SLOTS_OF_TEN).await;

    let broken = Instant::now();
    let load = Load::start::<S>(&world.pool, 8);
    let (opened, transition) = world.events.opened(broken).await;
    assert_eq!(transition.reason, Reason::ConsecutiveFailures);
    assert!(opened < 2 * SMALL_SERVER_TIMEOUT, "{opened:?}");
    load.rejections(20).await;
    world.assert_rejects().await;
    eventually("probes fail", async || {
        world.events.failed_pings(broken) >= 2
    })
    .await;

    let healed = Instant::now();
    for connection in taken {
        dialect::close::<S::Server>(connection).await;
    }
    let (closed, _) = world.events.closed(healed).await;
    assert!(closed < Duration::from_secs(4), "{closed:?}");
    load.answers(50).await;
    let tally = load.stop().await;
    println!(
        "{}: no slot is free: opened {opened:?}, closed {closed:?}, {tally}",
        S::NAME
    );
    // A server without a free slot was reached, but the statement was not sent.
    assert_eq!((tally.unknown, tally.refused), (0, 0));
    world.assert_unharmed().await;
}

/// A pool that has half of its connections and cannot open more is a pool that is too small.
async fn too_few_slots_are_saturation<S: System>() {
    let world = small_server::<S>(CONNECTIONS, SMALL_SERVER_QUERY_TIMEOUT).await;
    let warm = join_all([S::lease(&world.pool), S::lease(&world.pool)]).await;
    assert!(warm.iter().all(Result::is_ok));
    drop(warm);
    world.rest().await;
    let taken = take(&world, S::Server::SLOTS_OF_TEN - 2).await;
    let load = Load::start::<S>(&world.pool, 8);
    load.answers(500).await;
    let tally = load.stop().await;
    println!("{}: too few slots: {tally}", S::NAME);
    let snapshot = world.gate().snapshot();
    assert_eq!(
        snapshot.breaker.totals.trips,
        0,
        "{:?} {snapshot:?}",
        world.events.all()
    );
    for connection in taken {
        dialect::close::<S::Server>(connection).await;
    }
    world.assert_unharmed().await;
}

/// The pool recovers even if the background probe cannot open a connection.
async fn all_slots_are_the_pools_own<S: System>() {
    let connections = u32::try_from(S::Server::SLOTS_OF_TEN).unwrap();
    let world = small_server::<S>(connections, LOCK_TIMEOUT).await;
    world.run("CREATE TABLE t (id int)").await.unwrap();
    world.fill().await;
    world.gate().breaker().reset();
    let lock = world.session(&S::Server::LOCK).await;
    let broken = Instant::now();
    let load = of_locked_table(&world, 2 * S::Server::SLOTS_OF_TEN);
    let (opened, _) = world.events.opened(broken).await;
    eventually("the server is asked", async || {
        world.gate().snapshot().totals.probes >= 2
    })
    .await;
    dialect::close::<S::Server>(lock).await;
    let tally = load.stop().await;

    let healed = Instant::now();
    let (closed, _) = world.events.closed(healed).await;
    assert!(closed < Duration::from_secs(4), "{closed:?}");
    println!(
        "{}: all slots are ours: opened {opened:?}, closed {closed:?}, {tally}",
        S::NAME
    );
    assert_eq!(world.size(), S::Server::SLOTS_OF_TEN);
    world.assert_unharmed().await;
}

/// Callers that wait for the lock on `t`.
fn of_locked_table<S: System>(world: &World<S>, callers: usize) -> Load {
    Load::of::<S>(&world.pool, callers, |pool| {
        S::run(pool, LOCK_TIMEOUT, "SELECT count(*) FROM t")
    })
}

/// Calls that hang are counted while they hang.
async fn locked_table<S: System>() {
    let world = World::<S>::start_with(|options| {
        options
            .max_connections(12)
            .query_timeout(LOCK_TIMEOUT)
            .breaker(quick().consecutive_failures(None))
    })
    .await;
    world.run("CREATE TABLE t (id int)").await.unwrap();
    world.fill().await;
    world.gate().breaker().reset();
    let lock = world.session(&S::Server::LOCK).await;

    let broken = Instant::now();
    let load = of_locked_table(&world, 16);
    let (opened, transition) = world.events.opened(broken).await;
    assert_eq!(transition.reason, Reason::SlowRate, "{transition:?}");
    // No call has ended. The breaker notices when the first caller checks for a stall.
    assert!(opened < Duration::from_secs(1), "{opened:?}");

    // The lock does not affect the background probes, but the first callers decide.
    world.events.reached(broken, State::HalfOpen).await;
    dialect::close::<S::Server>(lock).await;
    let (closed, _) = world.events.closed(broken).await;
    load.answers(50).await;
    let tally = load.stop().await;
    println!(
        "{}: locked table: opened {opened:?}, closed {closed:?}, {tally}",
        S::NAME
    );
    assert_eq!(tally.unknown, 0, "{tally}");
    world.assert_unharmed().await;
    assert_eq!(world.state(), State::Closed);
}
