//! Faults of the network between pool and server: refused, stalled, forgotten, closed, reset and slow
//! connections.

use std::time::{Duration, Instant};

use fusepool::Delivery;
use fusepool::breaker::{Reason, State};
use futures_util::future::join_all;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::dialect::Dialect;
use crate::load::Load;
use crate::situations::by_default;
use crate::support::eventually;
use crate::support::proxy::Fault;
use crate::system::System;
use crate::world::{ACQUIRE_TIMEOUT, CONNECTIONS, OPEN_DELAY, Outage, QUERY_TIMEOUT, World, quick};

on_all! {
    refused
    stalled
    packets_are_dropped
    cut
    reset
    slow
    forgotten
    forgotten_in_the_middle_of_statements
    long_statements_of_a_full_pool_go_on
    forgotten_while_idle
    stalled_pool_that_was_wrapped
    dropped_while_open
}

/// A fault that every call notices.
fn outage<S: System>(name: &'static str, strike: fn(&mut World<S>)) -> Outage<S> {
    Outage {
        name,
        strike,
        heal: |world| world.set(Fault::None),
        reason: Reason::ConsecutiveFailures,
        opens_within: Duration::from_secs(1),
        closes_within: Duration::from_secs(3),
    }
}

/// A closed port. Established connections would go on, so they are cut first.
async fn refused<S: System>() {
    let outage = outage("refused", |world| {
        world.set(Fault::Cut);
        world.set(Fault::Refuse);
    });
    World::<S>::start().await.suffer(outage).await;
}

async fn stalled<S: System>() {
    let outage = outage("stall", |world| world.set(Fault::Stall));
    World::<S>::start().await.suffer(outage).await;
}

/// The kernel repeats a lost request for a connection after 1, 3 and 7 seconds, and the background task
/// asks a silent server ever less often. It is back soon all the same.
async fn packets_are_dropped<S: System>() {
    let world = World::<S>::start_with(by_default).await;
    let load = Load::start::<S>(&world.pool, 2 * CONNECTIONS as usize);
    load.answers(50).await;
    let broken = Instant::now();
    world.set(Fault::Blackhole);
    let (opened, _) = world.events.opened(broken).await;
    tokio::time::sleep(Duration::from_millis(3_200)).await;
    let healed = Instant::now();
    world.set(Fault::None);
    let (closed, _) = world.events.closed(healed).await;
    load.answers(50).await;
    println!(
        "{}: dropped: opened after {opened:?}, closed after {closed:?}",
        S::NAME
    );
    assert!(closed < Duration::from_millis(1_500), "{closed:?}");
    load.stop().await;
    world.assert_unharmed().await;
}

async fn cut<S: System>() {
    let outage = outage("cut", |world| world.set(Fault::Cut));
    World::<S>::start().await.suffer(outage).await;
}

async fn reset<S: System>() {
    let outage = outage("reset", |world| world.set(Fault::Reset));
    World::<S>::start().await.suffer(outage).await;
}

/// Every call succeeds, but takes too long.
async fn slow<S: System>() {
    let mut world = World::<S>::start_with(|options| {
        options.acquire_timeout(Duration::from_secs(2)).breaker(
            quick()
                .slow_call_threshold(Duration::from_millis(100))
                // The test of a connection has half of this, which must be longer than the delay.
                .probe_timeout(Duration::from_millis(400)),
        )
    })
    .await;
    let outage = Outage {
        reason: Reason::SlowRate,
        opens_within: Duration::from_secs(4),
        ..outage("delay", |world| {
            world.set(Fault::Delay(Duration::from_millis(60)));
        })
    };
    world.suffer(outage).await;
}

/// Established connections are silently dead; new ones work.
async fn forgotten<S: System>() {
    let world = World::<S>::start().await;
    let load = Load::start::<S>(&world.pool, 8);
    load.answers(50).await;
    world.set(Fault::Zombie);
    // The database answers on new connections, so the breaker need not open: each dead connection
    // costs one statement.
    load.answers(50).await;
    let tally = load.stop().await;
    println!("{}: zombies: {tally}", S::NAME);
    assert!(tally.slowest < QUERY_TIMEOUT + ACQUIRE_TIMEOUT + Duration::from_millis(500));
    assert!(tally.unknown <= CONNECTIONS as usize, "{tally}");
    world.assert_unharmed().await;
}

/// Every connection of the pool is occupied by a statement whose answer will never come, and no short
/// deadline is set that would free one.
async fn forgotten_in_the_middle_of_statements<S: System>() {
    let world =
        World::<S>::start_with(|options| options.query_timeout(Duration::from_secs(300))).await;
    world.fill().await;
    // Statements were once given up by comparison with the longest one so far.
    let mut lease = S::lease(&world.pool).await.unwrap();
    S::run_on(&mut lease, S::Server::NAP).await.unwrap();
    drop(lease);
    world.gate().breaker().reset();
    let leases = join_all((0..CONNECTIONS).map(|_| S::lease(&world.pool))).await;
    let broken = Instant::now();
    world.set(Fault::Zombie);
    let mut lost = JoinSet::new();
    for lease in leases {
        let mut lease = lease.unwrap();
        lost.spawn(async move { S::run_on(&mut lease, S::Server::SLEEP).await });
    }
    let load = Load::start::<S>(&world.pool, 8);
    let (opened, _) = world.events.opened(broken).await;
    let (closed, _) = world.events.closed(broken).await;
    println!("{}: opened {opened:?}, closed {closed:?}", S::NAME);
    assert!(
        closed - opened < OPEN_DELAY + Duration::from_millis(500),
        "opened after {opened:?}, closed after {closed:?}"
    );
    load.answers(50).await;
    assert_eq!(load.stop().await.unknown, 0);
    while let Some(statement) = lost.join_next().await {
        let error = statement.unwrap().unwrap_err();
        assert_eq!(S::delivery(&error), Delivery::Unknown, "{error:?}");
    }
    world.assert_unharmed().await;
}

/// Long statements occupy all connections when the breaker has opened and finds that the server is
/// well. They were once taken for lost, and ended.
async fn long_statements_of_a_full_pool_go_on<S: System>() {
    let world =
        World::<S>::start_with(|options| options.query_timeout(Duration::from_secs(300))).await;
    world.fill().await;
    let leases = join_all((0..CONNECTIONS).map(|_| S::lease(&world.pool))).await;
    let mut long = JoinSet::new();
    for lease in leases {
        let mut lease = lease.unwrap();
        long.spawn(async move { S::run_on(&mut lease, S::Server::NAP).await });
    }
    let begun = Instant::now();
    let load = Load::start::<S>(&world.pool, 8);
    eventually("callers wait in vain", async || {
        world.gate().snapshot().totals.deadlines > 0
    })
    .await;
    world.gate().breaker().trip_for(OPEN_DELAY);
    world.events.opened(begun).await;
    while let Some(statement) = long.join_next().await {
        statement.unwrap().unwrap();
    }
    load.stop().await;
    assert_eq!(world.gate().snapshot().totals.lost_answers, 0);
    world.assert_unharmed().await;
}

/// A dead connection that was idle for long is noticed and replaced before use.
async fn forgotten_while_idle<S: System>() {
    let timeout = Duration::from_secs(1);
    let world = World::<S>::start_with(|options| {
        options
            .acquire_timeout(timeout)
            .alive_bypass(Duration::from_millis(50))
    })
    .await;
    world.fill().await;
    // sqlx uses only the real clock for the idle time of a connection.
    tokio::time::sleep(Duration::from_millis(60)).await;
    world.set(Fault::Zombie);
    for _ in 0..CONNECTIONS {
        let start = Instant::now();
        world.run("SELECT 1").await.unwrap();
        assert!(start.elapsed() < timeout, "{:?}", start.elapsed());
    }
    assert_eq!(world.gate().snapshot().breaker.totals.failures, 0);
    world.assert_unharmed().await;
}

/// A pool that the library builds, with the library's own tests of connections.
async fn stalled_pool_that_was_wrapped<S: System>() {
    let mut world = World::<S>::start().await;
    let url = world.server.url_via(world.proxy.addr().port());
    world.pool = S::wrap(CONNECTIONS, ACQUIRE_TIMEOUT, &url);
    let load = Load::start::<S>(&world.pool, 8);
    load.answers(50).await;

    let broken = Instant::now();
    world.set(Fault::Stall);
    let breaker = world.gate().breaker().clone();
    eventually("the breaker is open", async || {
        breaker.state() == State::Open
    })
    .await;
    let opened = broken.elapsed();
    // A call is slow after a second, and deadpool's own timeout is added to ours.
    assert!(opened < Duration::from_secs(3), "{opened:?}");
    load.rejections(20).await;

    let healed = Instant::now();
    world.set(Fault::None);
    eventually("the breaker is closed", async || {
        breaker.state() == State::Closed
    })
    .await;
    let closed = healed.elapsed();
    assert!(closed < Duration::from_secs(10), "{closed:?}");
    load.answers(50).await;
    let tally = load.stop().await;
    println!(
        "{}: wrapped pool: opened {opened:?}, closed {closed:?}, {tally}",
        S::NAME
    );
    world.assert_unharmed().await;
}

/// The background task ends with the pool.
async fn dropped_while_open<S: System>() {
    let world = World::<S>::start().await;
    world.set(Fault::Refuse);
    let World {
        server: _server,
        proxy: _proxy,
        pool,
        events,
        ..
    } = world;
    let tasks = || Handle::current().metrics().num_alive_tasks();
    // The tasks of the proxy, and those that the library runs for a pool.
    let with_pool = tasks();
    let broken = Instant::now();
    let load = Load::start::<S>(&pool, 8);
    events.opened(broken).await;
    load.stop().await;
    eventually("probes fail", async || events.failed_pings(broken) >= 1).await;
    assert!(tasks() > with_pool, "there is no background task");
    drop(pool);
    eventually("the background task ends", async || {
        tasks() <= with_pool - S::TASKS
    })
    .await;
}
