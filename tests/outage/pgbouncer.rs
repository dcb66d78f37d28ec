//! Pools whose connections lead to PgBouncer.

use std::time::{Duration, Instant};

use fusepool::Delivery;
use fusepool::breaker::Breaker;
use futures_util::future::join_all;

use crate::load::Load;
use crate::options::Options;
use crate::support::pgbouncer::PgBouncer;
use crate::support::postgres::Postgres;
use crate::system::System;
use crate::world::World;

on!(
    postgres = crate::sqlx::Sqlx<crate::support::postgres::Postgres>,
    deadpool = crate::deadpool::Deadpool,
    diesel = crate::diesel::Diesel<diesel_async::AsyncPgConnection> => {
        callers_that_wait_for_a_server
        clients_that_are_one_too_many
        server_that_is_down
    }
);

const SECOND: Duration = Duration::from_secs(1);
const NAP: &str = "SELECT pg_sleep(0.4)";

/// Slow calls do not count, so that only the errors of PgBouncer can open the breaker.
fn patient(options: Options) -> Options {
    Options {
        acquire_timeout: 2 * SECOND,
        query_timeout: 30 * SECOND,
        ..options.max_connections(6).breaker(
            Breaker::builder()
                .slow_call_threshold(20 * SECOND)
                .stall_after(None),
        )
    }
}

async fn world<S: System<Server = Postgres>>(settings: &[(&str, &str)]) -> (World<S>, PgBouncer) {
    let server = Postgres::start().await;
    let bouncer = PgBouncer::start(&server, settings).await;
    let url = bouncer.url();
    (World::on(server, |_, _| url, patient).await, bouncer)
}

/// Regression test: `query_wait_timeout` has the code of a broken connection. Five callers in a row
/// who had waited too long opened the breaker, while the healthy server answered others.
async fn callers_that_wait_for_a_server<S: System<Server = Postgres>>() {
    let settings = [("default_pool_size", "1"), ("query_wait_timeout", "1")];
    let (world, _bouncer) = world::<S>(&settings).await;
    let mut failed = Vec::new();
    for _ in 0..4 {
        let calls = (0..6).map(|_| S::run(&world.pool, 20 * SECOND, NAP));
        failed.extend(join_all(calls).await.into_iter().filter_map(Result::err));
    }
    assert!(!failed.is_empty(), "PgBouncer had a server for all");
    assert!(failed.len() < 24, "{failed:?}");
    for error in failed {
        assert!(fusepool::refusal(&error).is_none(), "{error:?}");
        // diesel-async may see the end of the connection first.
        match S::said(&error) {
            Some(_) => assert_eq!(S::delivery(&error), Delivery::NotSent, "{error:?}"),
            None => assert_ne!(S::delivery(&error), Delivery::Answered, "{error:?}"),
        }
    }
    let breaker = world.gate().snapshot().breaker;
    assert_eq!(breaker.totals.trips, 0, "{breaker:?}");
}

/// Regression test: a new connection that PgBouncer turns away counted as a failure of the server,
/// although the connections that the pool had were answered.
async fn clients_that_are_one_too_many<S: System<Server = Postgres>>() {
    let (world, _bouncer) = world::<S>(&[("max_client_conn", "2")]).await;
    let load = Load::of::<S>(&world.pool, 6, |pool| {
        S::run(pool, SECOND, "SELECT pg_sleep(0.01)")
    });
    load.answers(200).await;
    let tally = load.stop().await;
    println!("{}: one client too many: {tally}", S::NAME);
    let breaker = world.gate().snapshot().breaker;
    assert_eq!(
        breaker.totals.trips,
        0,
        "{breaker:?} {:?}",
        world.events.all()
    );
    assert!(tally.rejected.is_empty() && tally.unknown == 0, "{tally}");
}

/// PgBouncer answers for a server that is gone. Whether a statement took effect is then unknown.
async fn server_that_is_down<S: System<Server = Postgres>>() {
    let (mut world, _bouncer) = world::<S>(&[("server_login_retry", "1")]).await;
    world.fill().await;
    let sleep = S::run(&world.pool, 20 * SECOND, "SELECT pg_sleep(60)");
    let sleep = async { sleep.await.unwrap_err() };
    let kill = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let broken = Instant::now();
        world.server.kill();
        broken
    };
    let (error, broken) = tokio::join!(sleep, kill);
    assert_eq!(S::delivery(&error), Delivery::Unknown, "{error:?}");
    let load = Load::of::<S>(&world.pool, 6, |pool| S::run(pool, SECOND, "SELECT 1"));
    world.events.opened(broken).await;
    load.rejections(20).await;
    let healed = Instant::now();
    world.server.restart().await;
    world.events.closed(healed).await;
    load.answers(20).await;
    drop(load.stop().await);
}
