//! Situations of production, on pools with default settings.

use std::time::{Duration, Instant};

use fusepool::breaker::{Breaker, Mode, Reason, State};
use fusepool::{Delivery, Verdict};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::dialect::Dialect;
use crate::events::Events;
use crate::load::{self, Load};
use crate::options::Options;
use crate::support::eventually;
use crate::support::proxy::Fault;
use crate::system::System;
use crate::world::{AT_ONCE, CONNECTIONS, World, options};

on_all! {
    callers_with_timeouts_of_their_own_and_a_database_that_hangs
    callers_with_timeouts_of_their_own_and_a_network_that_drops_packets
    callers_with_timeouts_of_their_own_and_a_closed_port
    callers_with_timeouts_of_their_own_and_a_server_that_stands_still
    connections_that_are_held_while_others_wait
    long_statements_while_half_open
    statements_that_take_longer_than_a_probe_may
    statements_that_are_always_slow
    observed
    slow_to_connect_to
    one_connection_is_all_there_is
    newcomers_are_turned_away
    statement_on_a_lease_after_one_that_was_given_up
}

/// The settings of a service that sets none.
pub fn by_default(options: Options) -> Options {
    Options {
        acquire_timeout: fusepool::DEFAULT_ACQUIRE_TIMEOUT,
        query_timeout: fusepool::DEFAULT_QUERY_TIMEOUT,
        ..options.breaker(Breaker::builder())
    }
}

/// The backend reports enough failures in a row to open the breaker.
fn trip<S: System>(world: &World<S>) {
    for _ in 0..5 {
        let call = world.gate().breaker().observe();
        call.settle(Verdict::Failure);
    }
    assert_eq!(world.state(), State::Open);
}

/// A caller starts every 40 ms.
fn callers<S: System>(pool: S::Pool, patience: Option<Duration>) -> JoinSet<()> {
    load::arrivals::<S>(pool, Duration::from_millis(40), patience)
}

/// Callers that leave early, by the timeout of a web framework or because a client hangs up, do not
/// hide an outage.
async fn callers_with_timeouts_of_their_own<S: System>(strike: fn(&World<S>)) {
    let world = World::<S>::start().await;
    let url = world.server.url_via(world.proxy.addr().port());
    let patience = [50, 300, 500, 900, 1_100, 1_500, 1_900, 2_500].map(Duration::from_millis);
    let patience = patience.map(Some).into_iter().chain([None]);
    let mut services = Vec::new();
    for (patience, is_warm) in patience.flat_map(|patience| [(patience, true), (patience, false)]) {
        let events = Events::default();
        let pool = S::build(&by_default(options(&events)), &url);
        let load = is_warm.then(|| callers::<S>(pool.clone(), patience));
        if is_warm {
            eventually("a warm pool", async || {
                S::gate(&pool).snapshot().breaker.totals.successes >= 5
            })
            .await;
        }
        services.push((patience, is_warm, pool, events, load));
    }
    let before = world.proxy.accepted();
    strike(&world);
    let broken = Instant::now();
    for (patience, _, pool, _, load) in &mut services {
        load.get_or_insert_with(|| callers::<S>(pool.clone(), *patience));
    }
    let pools = services.len() as u64;
    for (patience, is_warm, pool, events, _load) in services {
        let (opened, transition) = events.opened(broken).await;
        let reason = transition.reason.as_str();
        let name = S::NAME;
        println!("{name}: patience {patience:?}, warm {is_warm}: {reason} after {opened:?}");
        assert!(
            opened < Duration::from_millis(1_500),
            "patience {patience:?}, warm {is_warm}: {reason} after {opened:?}"
        );
        eventually("callers are refused", async || {
            S::gate(&pool).snapshot().breaker.totals.rejected > 0
        })
        .await;
    }
    // Connections that are refused are no work for the server, and are tried again at once.
    let connections = (world.proxy.accepted() - before) / pools;
    println!("{}: {connections} new connections for each pool", S::NAME);
    assert!(connections <= u64::from(2 * CONNECTIONS), "{connections}");
}

async fn callers_with_timeouts_of_their_own_and_a_database_that_hangs<S: System>() {
    callers_with_timeouts_of_their_own::<S>(|world| world.set(Fault::Stall)).await;
}

async fn callers_with_timeouts_of_their_own_and_a_network_that_drops_packets<S: System>() {
    callers_with_timeouts_of_their_own::<S>(|world| world.set(Fault::Blackhole)).await;
}

async fn callers_with_timeouts_of_their_own_and_a_closed_port<S: System>() {
    callers_with_timeouts_of_their_own::<S>(|world| {
        world.set(Fault::Cut);
        world.set(Fault::Refuse);
    })
    .await;
}

async fn callers_with_timeouts_of_their_own_and_a_server_that_stands_still<S: System>() {
    callers_with_timeouts_of_their_own::<S>(|world| world.server.pause()).await;
}

/// Each holder of a connection calls another service before it goes on. The callers in the queue wait
/// for the holders: the database is healthy, and answers them all.
async fn connections_that_are_held_while_others_wait<S: System>() {
    let world = World::<S>::start_with(|options| by_default(options).max_connections(2)).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        held.push(S::lease(&world.pool).await.unwrap());
    }
    let mut calls = JoinSet::new();
    for _ in 0..8 {
        let pool = world.pool.clone();
        calls.spawn(async move { S::ask(&pool).await });
    }
    // Longer than `stall_after`, and shorter than the callers wait.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    drop(held);
    while let Some(call) = calls.join_next().await {
        call.unwrap().unwrap();
    }
    assert_eq!(world.gate().snapshot().breaker.totals.trips, 0);
}

/// Regression test: healthy calls were admitted as probes and ended after 0.9 s, whatever deadline they
/// had.
async fn long_statements_while_half_open<S: System>() {
    let world = World::<S>::start_with(by_default).await;
    world.fill().await;
    trip(&world);
    eventually("the breaker is half-open", async || {
        world.state() == State::HalfOpen
    })
    .await;
    let start = Instant::now();
    let mut calls = JoinSet::new();
    for own in [true, false] {
        let pool = world.pool.clone();
        calls.spawn(async move {
            loop {
                let result = match own {
                    true => S::run(&pool, Duration::from_secs(60), S::Server::NAP).await,
                    false => nap::<S>(&pool).await,
                };
                match result {
                    // The background probes occupy all probe slots for a moment.
                    Err(error) if fusepool::refusal(&error).is_some() => {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                    result => break result,
                }
            }
        });
    }
    while let Some(call) = calls.join_next().await {
        call.unwrap().unwrap();
    }
    assert!(start.elapsed() >= Duration::from_millis(1_300));
    world.assert_unharmed().await;
}

/// On a lease, with the pool's deadline.
async fn nap<S: System>(pool: &S::Pool) -> Result<(), S::Error> {
    let mut lease = S::lease(pool).await?;
    S::run_on(&mut lease, S::Server::NAP).await
}

/// Four workers of a reporting service, which run only long queries.
fn reports<S: System>(world: &World<S>) -> Load {
    Load::of::<S>(&world.pool, 4, |pool| {
        S::run(pool, Duration::from_secs(30), S::Server::NAP)
    })
}

/// Regression test: calls that are not slow by this service's threshold, but longer than
/// `probe_timeout`, kept the breaker from closing.
async fn statements_that_take_longer_than_a_probe_may<S: System>() {
    let world = World::<S>::start_with(|options| {
        let options = by_default(options);
        options.breaker(Breaker::builder().slow_call_threshold(Duration::from_secs(10)))
    })
    .await;
    let load = reports(&world);
    load.answers(4).await;
    trip(&world);
    let tripped = Instant::now();
    let (closed, _) = world.events.closed(tripped).await;
    assert!(closed < Duration::from_secs(6), "{closed:?}");
    load.answers(8).await;
    let tally = load.stop().await;
    println!("{}: closed after {closed:?}, {tally}", S::NAME);
    assert_eq!((tally.unknown, tally.not_sent, tally.refused), (0, 0, 0));
    assert_eq!(world.gate().snapshot().breaker.totals.trips, 1);
}

/// Regression test: a service whose statements always take longer than a second, as its users are
/// used to, opened its breaker, and was refused most of the time.
async fn statements_that_are_always_slow<S: System>() {
    let world = World::<S>::start_with(by_default).await;
    let load = reports(&world);
    for _ in 0..5 {
        load.answers(4).await;
    }
    let tally = load.stop().await;
    println!("{}: always slow: {tally}", S::NAME);
    assert_eq!(tally.rejected.len(), 0, "{tally}");
    assert_eq!((tally.unknown, tally.not_sent, tally.refused), (0, 0, 0));
    assert_eq!(world.gate().snapshot().breaker.totals.trips, 0);
}

/// A breaker that is tried on real traffic does not affect it, whatever its state would be.
async fn observed<S: System>() {
    let world = World::<S>::start_with(|options| Options {
        acquire_timeout: Duration::from_secs(30),
        query_timeout: Duration::from_millis(1_200),
        ..by_default(options)
            .max_connections(2)
            .max_queue(1)
            .breaker(Breaker::builder().mode(Mode::Observe))
    })
    .await;
    let load = Load::of::<S>(&world.pool, 6, |pool| Box::pin(nap::<S>(pool)));
    let tripped = Instant::now();
    trip(&world);
    // By the events: a fast database leaves it half-open for a moment only.
    let half_open = world.events.reached(tripped, State::HalfOpen).await;
    load.answers(3).await;
    world.events.reached(half_open, State::Closed).await;
    load.answers(3).await;
    let tally = load.stop().await;
    println!("{}: observed: {tally}", S::NAME);
    assert_eq!((tally.saturated, tally.rejected.len()), (0, 0), "{tally}");
    assert_eq!((tally.unknown, tally.not_sent, tally.refused), (0, 0, 0));
    let seen = world.gate().snapshot().breaker;
    let tripped_by = seen.tripped_by.expect("what would have opened it");
    assert_eq!(tripped_by.reason, Reason::ConsecutiveFailures);
    assert!(tripped_by.ago <= tripped.elapsed() + Duration::from_millis(100));
    assert_eq!((seen.totals.rejected, seen.totals.trips), (0, 1));
}

/// Opening a connection is slow, through TLS, a proxy or a long distance, but the database is healthy.
async fn slow_to_connect_to<S: System>() {
    let world = World::<S>::start_with(|options| {
        by_default(options).acquire_timeout(Duration::from_secs(10))
    })
    .await;
    world.fill().await;
    world.set(Fault::Cut);
    world.set(Fault::Delay(Duration::from_millis(250)));
    trip(&world);
    let tripped = Instant::now();
    let (closed, _) = world.events.closed(tripped).await;
    println!("{}: slow to connect to: closed after {closed:?}", S::NAME);
    assert!(closed < Duration::from_secs(20), "{closed:?}");
}

/// The pool holds the only connection that its account may open.
async fn one_connection_is_all_there_is<S: System>() {
    let server = S::Server::start(&[]).await;
    let url = |server: &S::Server, port| server.url_as("app", "secret", S::Server::DATABASE, port);
    let world = World::<S>::on(server, url, |options| {
        by_default(options).max_connections(1)
    })
    .await;
    world.admin(&[S::Server::ONE_CONNECTION]).await;
    world.run("SELECT 1").await.unwrap();
    world.rest().await;
    trip(&world);
    let tripped = Instant::now();
    let (closed, _) = world.events.closed(tripped).await;
    println!("{}: one connection: closed after {closed:?}", S::NAME);
    assert!(closed < Duration::from_secs(6), "{closed:?}");
    world.run("SELECT 1").await.unwrap();
}

/// Regression test: a pooler at its client limit, or a proxy that accepts no more, while the pool's own
/// connections work. Because the prober could open no other, the breaker stayed open for ever.
async fn newcomers_are_turned_away<S: System>() {
    let world = World::<S>::start_with(by_default).await;
    world.run("SELECT 1").await.unwrap();
    world.rest().await;
    world.proxy.set(Fault::Refuse);
    trip(&world);
    let tripped = Instant::now();
    let (closed, _) = world.events.closed(tripped).await;
    println!("{}: newcomers: closed after {closed:?}", S::NAME);
    assert!(closed < Duration::from_secs(6), "{closed:?}");
    world.run("SELECT 1").await.unwrap();
}

/// Its answer would be taken for the answer to the next statement.
async fn statement_on_a_lease_after_one_that_was_given_up<S: System>() {
    let world = World::<S>::start_with(|options| by_default(options).max_connections(2)).await;
    let mut lease = S::lease(&world.pool).await.unwrap();
    let given_up = timeout(
        Duration::from_millis(50),
        S::run_on(&mut lease, S::Server::NAP),
    );
    assert!(given_up.await.is_err());
    for sql in ["SELECT 1", "ROLLBACK"] {
        let start = Instant::now();
        let error = S::run_on(&mut lease, sql).await.unwrap_err();
        assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
        assert_eq!(S::delivery(&error), Delivery::NotSent, "{error:?}");
    }
    drop(lease);
    eventually("it is closed", async || {
        world.gate().snapshot().totals.closed_connections == 1
    })
    .await;
    world.assert_unharmed().await;
}
