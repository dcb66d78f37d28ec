//! deadpool pools while their server cannot be reached: tests that do not apply to other pools.

use std::time::{Duration, Instant};

use fusepool::Breaker;
use fusepool::breaker::{DEFAULT_JITTER, DEFAULT_OPEN_DURATION, DEFAULT_PROBE_TIMEOUT, State};
use fusepool::deadpool::postgres::{Client, Pool};
use futures_util::future::join_all;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_postgres::NoTls;

use crate::support::deadpool::{CONNECTIONS, builder};
use crate::support::postgres::Postgres;
use crate::support::proxy::{Fault, Proxy};
use crate::support::{PATIENCE, eventually};

async fn ask(pool: &Pool) -> bool {
    match pool.get().await {
        Ok(client) => client.query_one("SELECT 1", &[]).await.is_ok(),
        Err(_) => false,
    }
}

async fn fill(pool: &Pool) {
    let clients = join_all((0..CONNECTIONS).map(|_| pool.get())).await;
    assert!(clients.iter().all(Result::is_ok));
}

/// Regression test: the test of idle connections did not have `recycle_timeout`, so connections over a
/// slow network were replaced.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_has_the_time_to_answer_that_its_user_gives_it() {
    let server = Postgres::start().await;
    let proxy = Proxy::start(server.addr()).await.unwrap();
    let pool = builder(&server, proxy.addr().port())
        .acquire_timeout(PATIENCE)
        .recycle_timeout(Some(PATIENCE))
        .alive_bypass(Duration::ZERO)
        .build()
        .unwrap();
    let id = Client::id(&pool.get().await.unwrap());
    proxy.set(Fault::Delay(DEFAULT_PROBE_TIMEOUT));
    assert_eq!(Client::id(&pool.get().await.unwrap()), id);
}

/// Existing connections are silent for ever and new ones work, as after a firewall dropped them, or a
/// server's address moved. No timeouts are set.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_silent_for_ever_are_found_out() {
    let server = Postgres::start().await;
    let proxy = Proxy::start(server.addr()).await.unwrap();
    let port = proxy.addr().port();

    let config = server.url_via(port).parse().unwrap();
    let manager = deadpool_postgres::Manager::from_config(
        config,
        NoTls,
        deadpool_postgres::ManagerConfig {
            recycling_method: deadpool_postgres::RecyclingMethod::Verified,
        },
    );
    let naked = deadpool_postgres::Pool::builder(manager)
        .max_size(CONNECTIONS)
        .build()
        .unwrap();
    let guarded = builder(&server, port).build().unwrap();
    fill(&guarded).await;
    let clients = join_all((0..CONNECTIONS).map(|_| naked.get())).await;
    assert!(clients.iter().all(Result::is_ok));
    drop(clients);

    // deadpool uses only the real clock for the time of a lease.
    tokio::time::sleep(fusepool::deadpool::postgres::DEFAULT_ALIVE_BYPASS).await;
    proxy.set(Fault::Zombie);
    let broken = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..2 * CONNECTIONS {
        let pool = guarded.clone();
        callers.spawn(async move {
            let answered = async { while !ask(&pool).await {} };
            timeout(PATIENCE, answered).await.expect("an answer");
        });
    }
    while let Some(caller) = callers.join_next().await {
        caller.unwrap();
    }
    let recovered = broken.elapsed();
    println!("silent connections: recovered after {recovered:?}");
    assert!(
        recovered < DEFAULT_OPEN_DURATION + Duration::from_millis(500),
        "{recovered:?}"
    );

    let stuck = async {
        let callers = (0..2 * CONNECTIONS).map(|_| async {
            let client = naked.get().await.unwrap();
            client.query_one("SELECT 1", &[]).await
        });
        join_all(callers).await
    };
    assert!(
        timeout(Duration::from_secs(5), stuck).await.is_err(),
        "deadpool recovers by itself, and this crate may do less"
    );
}

/// The same in the middle of statements, which hold all connections of the pool. No timeouts are set
/// either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_whose_answers_never_come_make_room() {
    let server = Postgres::start().await;
    let proxy = Proxy::start(server.addr()).await.unwrap();
    let pool = builder(&server, proxy.addr().port()).build().unwrap();
    let clients = join_all((0..CONNECTIONS).map(|_| pool.get())).await;
    proxy.set(Fault::Zombie);
    let mut lost = JoinSet::new();
    for client in clients {
        let client = client.unwrap();
        lost.spawn(async move { client.batch_execute("SELECT pg_sleep(60)").await.is_err() });
    }
    let mut callers = JoinSet::new();
    for _ in 0..2 * CONNECTIONS {
        let pool = pool.clone();
        callers.spawn(async move {
            let answered = async {
                while !ask(&pool).await {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            timeout(PATIENCE, answered).await.expect("an answer");
        });
    }
    eventually("the breaker is open", async || {
        pool.gate().breaker().state() == State::Open
    })
    .await;
    let opened = Instant::now();
    while let Some(caller) = callers.join_next().await {
        caller.unwrap();
    }
    let recovered = opened.elapsed();
    println!("silent in the middle of statements: recovered after {recovered:?}");
    // A probe waits for a third of its timeout before the pool looks for lost answers.
    let open_duration = DEFAULT_OPEN_DURATION.mul_f64(1.0 + DEFAULT_JITTER);
    let longest = open_duration + DEFAULT_PROBE_TIMEOUT / 3;
    assert!(
        recovered < longest + Duration::from_millis(500),
        "{recovered:?}"
    );
    while let Some(is_lost) = lost.join_next().await {
        assert!(is_lost.unwrap());
    }
}

/// The pool is resized and purged while the server cannot be reached. Afterwards it provides as many
/// connections as its size.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resize_and_retain_during_an_outage_lose_nothing() {
    let server = Postgres::start().await;
    let proxy = Proxy::start(server.addr()).await.unwrap();
    let breaker = Breaker::builder()
        .slow_call_threshold(Duration::from_millis(150))
        .open_duration(Duration::from_millis(100))
        .max_open_duration(Duration::from_millis(200))
        .probe_timeout(Duration::from_millis(200));
    let pool = builder(&server, proxy.addr().port())
        .acquire_timeout(Duration::from_millis(300))
        .query_timeout(Duration::from_millis(500))
        .breaker(breaker)
        .build()
        .unwrap();
    for fault in [Fault::Stall, Fault::Reset, Fault::Zombie] {
        eventually("the pool is well", async || ask(&pool).await).await;
        proxy.set(fault);
        let mut callers = JoinSet::new();
        for _ in 0..3 * CONNECTIONS {
            let pool = pool.clone();
            callers.spawn(async move {
                for _ in 0..20 {
                    ask(&pool).await;
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            });
        }
        for size in [1, 3 * CONNECTIONS, 0, 2, CONNECTIONS] {
            pool.resize(size);
            pool.retain(|_, metrics| metrics.recycle_count % 2 == 0);
            tokio::task::yield_now().await;
        }
        while let Some(caller) = callers.join_next().await {
            caller.unwrap();
        }
        proxy.set(Fault::None);
        eventually("the breaker is closed", async || {
            ask(&pool).await;
            pool.gate().breaker().state() == State::Closed
        })
        .await;
        let mut clients = Vec::new();
        eventually("every place in the pool can be had", async || {
            match pool.get().await {
                Ok(client) if client.check_connection().await.is_ok() => clients.push(client),
                _ => {}
            }
            clients.len() == CONNECTIONS
        })
        .await;
        // deadpool may have spare slots: it removes none when it shrinks a pool that has fewer objects
        // than the new size. Surplus objects are dropped when they are returned.
        let status = pool.status();
        assert_eq!(
            (status.max_size, status.waiting),
            (CONNECTIONS, 0),
            "{fault:?}"
        );
        drop(clients);
        let status = pool.status();
        assert_eq!(
            (status.size, status.available),
            (CONNECTIONS, CONNECTIONS),
            "{fault:?}"
        );
        assert_eq!(pool.snapshot().gate.waiting, 0);
    }
}

/// Whenever nothing changes, both report the same status.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_and_snapshot_agree_under_load() {
    let server = Postgres::start().await;
    let proxy = Proxy::start(server.addr()).await.unwrap();
    let pool = builder(&server, proxy.addr().port())
        .acquire_timeout(Duration::from_secs(30))
        .breaker(Breaker::builder().slow_call_rate(None))
        .build()
        .unwrap();
    fill(&pool).await;
    for waiting in [0, 1, 2 * CONNECTIONS] {
        proxy.set(Fault::Stall);
        let mut callers = JoinSet::new();
        for _ in 0..CONNECTIONS + waiting {
            let pool = pool.clone();
            callers.spawn(async move {
                let client = pool.get().await.unwrap();
                client.query_one("SELECT 1", &[]).await.unwrap();
            });
        }
        eventually("as many wait as find no connection", async || {
            pool.snapshot().gate.waiting as usize == waiting
                && pool.status().waiting == waiting
                && pool.status().available == 0
        })
        .await;
        let (status, snapshot) = (pool.status(), pool.snapshot());
        assert_eq!(snapshot.size as usize, status.size);
        assert_eq!(snapshot.max_connections as usize, status.max_size);
        assert_eq!(snapshot.idle as usize, status.available);
        assert_eq!(snapshot.gate.waiting as usize, status.waiting);
        proxy.set(Fault::None);
        while let Some(caller) = callers.join_next().await {
            caller.unwrap();
        }
        let snapshot = pool.snapshot();
        assert_eq!(snapshot.idle as usize, CONNECTIONS);
        assert_eq!((pool.status().waiting, snapshot.gate.waiting), (0, 0));
    }
}
