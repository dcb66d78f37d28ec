//! Situations in which a database is well and looks ill, or is ill and looks well, on pools with
//! default settings.

use std::time::{Duration, Instant};

use fusepool::breaker::State;
use futures_util::future::join_all;
use tokio::time::timeout;

use crate::dialect::Dialect;
use crate::load::Load;
use crate::situations::by_default;
use crate::support::eventually;
use crate::support::proxy::Fault;
use crate::system::System;
use crate::world::World;

on_all! {
    a_burst_of_small_statements
    a_pool_that_long_statements_hold
    pings_that_succeed_and_statements_that_fail
    a_probe_query_that_fails_like_the_statements
    back_as_soon_as_the_database_is
}

/// Regression test: of 200 statements at once, 119 were refused, because the queue was bounded by 8
/// callers for each connection. The pool answers them all in a moment.
async fn a_burst_of_small_statements<S: System>() {
    let world = World::<S>::start_with(|options| by_default(options).max_connections(10)).await;
    world.run("SELECT 1").await.unwrap();
    let start = Instant::now();
    let burst = (0..200).map(|_| S::ask(&world.pool));
    let answers = join_all(burst).await;
    println!("{}: 200 at once took {:?}", S::NAME, start.elapsed());
    let failed: Vec<_> = answers.into_iter().filter_map(Result::err).collect();
    assert!(
        failed.is_empty(),
        "{} of 200: {:?}",
        failed.len(),
        failed[0]
    );
    assert_eq!(world.gate().snapshot().breaker.totals.trips, 0);
}

/// Regression test: all callers that waited for connections timed out together, and opened the
/// breaker of a healthy database.
async fn a_pool_that_long_statements_hold<S: System>() {
    let world = World::<S>::start_with(|options| {
        by_default(options)
            .max_connections(2)
            .acquire_timeout(Duration::from_millis(1_000))
    })
    .await;
    let reports = Load::of::<S>(&world.pool, 2, |pool| {
        S::run(pool, Duration::from_secs(30), S::Server::LONG_NAP)
    });
    eventually("the reports run", async || {
        S::connections(&world.pool).0 == 2
    })
    .await;
    let callers = (0..10).map(|_| S::ask(&world.pool));
    let answers = timeout(Duration::from_secs(10), join_all(callers)).await;
    let late = answers
        .unwrap()
        .iter()
        .filter(|answer| answer.is_err())
        .count();
    assert!(late >= 5, "{late} of 10 waited in vain");
    reports.answers(2).await;
    let tally = reports.stop().await;
    assert_eq!(
        (tally.unknown, tally.not_sent, tally.refused),
        (0, 0, 0),
        "{tally}"
    );
    let seen = world.gate().snapshot().breaker;
    assert_eq!(seen.totals.trips, 0, "{:?}", world.events.all());
}

/// Regression test: each ping closed the breaker, the next statements opened it, and the open duration
/// started over: 56 trips in 30 s.
async fn pings_that_succeed_and_statements_that_fail<S: System>() {
    let world = World::<S>::start_with(by_default).await;
    world.admin(S::Server::FAILURE).await;
    let start = Instant::now();
    let mut sent = 0;
    while start.elapsed() < Duration::from_secs(8) {
        let calls =
            (0..10).map(|_| S::run(&world.pool, Duration::from_secs(5), "SELECT failure()"));
        let calls = join_all(calls).await;
        let errors = calls.into_iter().filter_map(Result::err);
        sent += errors
            .filter(|error| fusepool::refusal(error).is_none())
            .count();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let seen = world.gate().snapshot().breaker;
    println!(
        "{}: {} trips in 8 s, {sent} statements sent",
        S::NAME,
        seen.totals.trips
    );
    // 0, 0.25, 0.75, 1.75, 3.75 and 7.75 s after the first one, with jitter.
    assert!(
        (4..=8).contains(&seen.totals.trips),
        "{} trips",
        seen.totals.trips
    );
    assert!(sent <= 60, "{sent} statements sent");
}

/// Without a `probe_query`, each ping of this server succeeds, and the breaker has to try statements of
/// callers at growing intervals: it saw up to five seconds late that they succeed again.
async fn a_probe_query_that_fails_like_the_statements<S: System>() {
    const FAILING: &str = "SELECT failure()";
    let world = World::<S>::start_with(|options| by_default(options).probe_query(FAILING)).await;
    world.admin(S::Server::FAILURE).await;
    let load = Load::of::<S>(&world.pool, 8, |pool| {
        S::run(pool, Duration::from_secs(5), FAILING)
    });
    eventually("it opens", async || world.state() != State::Closed).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let seen = world.gate().snapshot().breaker;
    assert_eq!(
        (seen.totals.trips, seen.state),
        (1, State::Open),
        "{:?}",
        world.events.all()
    );
    world.admin(S::Server::NO_FAILURE).await;
    let healed = Instant::now();
    load.answers(1).await;
    let back = healed.elapsed();
    println!("{}: back {back:?} after its statements", S::NAME);
    assert!(back < Duration::from_millis(700), "{back:?}");
    load.stop().await;
}

/// Regression test: each failed ping doubled the time until the next one, so that callers were refused
/// for up to five seconds after the database had recovered.
async fn back_as_soon_as_the_database_is<S: System>() {
    for (fault, outage) in [(Fault::Refuse, 6), (Fault::Stall, 6)] {
        let world = World::<S>::start_with(by_default).await;
        let load = Load::of::<S>(&world.pool, 8, |pool| S::ask(pool));
        load.answers(8).await;
        world.set(Fault::Cut);
        world.set(fault);
        eventually("it opens", async || world.state() != State::Closed).await;
        tokio::time::sleep(Duration::from_secs(outage)).await;
        world.set(Fault::None);
        let healed = Instant::now();
        load.answers(1).await;
        let back = healed.elapsed();
        println!("{}: back {back:?} after {fault:?} for {outage} s", S::NAME);
        assert!(
            back < Duration::from_millis(700),
            "{back:?} after {fault:?}"
        );
        load.stop().await;
    }
}
