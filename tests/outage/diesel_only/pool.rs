// Statements of diesel-async under faults. Included by ../diesel_only.rs, once for each server.

use crate::support::eventually;
use crate::support::proxy::{Fault, Proxy};
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_types::BigInt;
use diesel_async::{AsyncConnection, RunQueryDsl, SimpleAsyncConnection};
use fusepool::breaker::{Breaker, LONGEST, State, Window};
use fusepool::deadpool::diesel::{AsyncDieselConnectionManager, Pool, PoolBuilder, delivery};
use fusepool::{ConfigError, Delivery, deadline_exceeded, refusal};
use futures_util::{FutureExt, StreamExt};
use std::error::Error as _;
use std::time::{Duration, Instant};
use tokio::time::timeout;

const CONNECTIONS: usize = 4;
const QUERY_TIMEOUT: Duration = Duration::from_secs(1);

/// A pool with short deadlines, whose breaker opens and closes quickly.
fn builder(url: &str) -> PoolBuilder<Conn> {
    let breaker = Breaker::builder()
        .window(Window::calls(20))
        .slow_call_threshold(Duration::from_millis(150))
        .open_duration(Duration::from_millis(100))
        .max_open_duration(Duration::from_millis(300))
        .probe_timeout(Duration::from_millis(200));
    Pool::<Conn>::builder(AsyncDieselConnectionManager::<Conn>::new(url))
        .max_size(CONNECTIONS)
        .acquire_timeout(Duration::from_millis(300))
        .query_timeout(QUERY_TIMEOUT)
        .breaker(breaker)
}

async fn ask(pool: &Pool<Conn>) -> Result<(), Box<dyn std::error::Error>> {
    let mut conn = pool.get().await?;
    Ok(conn.batch_execute("SELECT 1").await?)
}

/// The number of connections that run an abandoned statement, as another client sees it.
async fn sleeping(url: &str) -> i64 {
    let mut conn = Raw::establish(url).await.unwrap();
    let count = diesel::dsl::sql::<BigInt>(SLEEPING);
    count.get_result(&mut conn).await.unwrap()
}

/// The server stops, too, long before the sleep would end by itself.
async fn is_stopped(pool: &Pool<Conn>, url: &str) {
    let given_up = Instant::now();
    eventually("nobody sleeps", async || {
        pool.status().size == 0 && sleeping(url).await == 0
    })
    .await;
    let took = given_up.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
}

/// The result of the only statement that the pool has run.
fn came(pool: &Pool<Conn>) -> Came {
    let seen = pool.snapshot().gate.breaker;
    match (seen.totals.successes, seen.totals.slow, seen.totals.ignored, seen.totals.failures) {
        (1, 0, 0, 0) => Came::Answered,
        (1, 1, 0, 0) => Came::Slow,
        (0, 0, 1, 0) => Came::Neutral,
        (0, 0, 0, 1) => Came::Fault,
        _ => panic!("{seen:?}"),
    }
}

#[tokio::test]
async fn a_held_connection_is_refused_statements_but_not_in_a_transaction() {
    let server = Server::start().await;
    let pool = builder(&server.url()).build().unwrap();
    let mut conn = pool.get().await.unwrap();

    let open = pool.gate().breaker().force_open();
    let count = diesel::dsl::sql::<BigInt>("SELECT count(*) FROM (SELECT 1) AS one");
    let loaded = count.clone().get_result::<i64>(&mut conn).await.map(drop);
    let executed = diesel::sql_query("SELECT 1")
        .execute(&mut conn)
        .await
        .map(drop);
    let batch = conn.batch_execute("SELECT 1").await;
    let begun = conn.transaction(async |_| QueryResult::Ok(())).await;
    for refused in [loaded, executed, batch, begun] {
        let error = refused.unwrap_err();
        assert!(refusal(&error).is_some(), "{error:?}");
        assert_eq!(delivery(&error), Delivery::NotSent);
        assert!(matches!(error, Error::QueryBuilderError(_)));
    }
    drop(open);

    conn.transaction(async |conn| {
        let _open = pool.gate().breaker().force_open();
        assert_eq!(count.get_result::<i64>(conn).await?, 1);
        conn.transaction(async |conn| conn.batch_execute("SELECT 1").await)
            .await
    })
    .await
    .unwrap();
    assert_eq!(pool.snapshot().gate.totals.closed_connections, 0);
}

/// Regression test: the `COMMIT` of a transaction was refused like any statement, and the connection
/// returned to the pool inside the transaction, so that the next caller wrote into it.
#[tokio::test]
async fn a_transaction_by_hand_is_one_too() {
    let server = Server::start().await;
    let pool = builder(&server.url()).build().unwrap();
    let mut conn = pool.get().await.unwrap();
    conn.batch_execute("BEGIN").await.unwrap();

    let open = pool.gate().breaker().force_open();
    let select = diesel::sql_query("SELECT 1");
    select.execute(&mut conn).await.unwrap();
    conn.batch_execute("COMMIT").await.unwrap();
    assert_eq!(pool.snapshot().gate.breaker.totals.rejected, 0);
    let refused = conn.batch_execute("SELECT 1").await.unwrap_err();
    assert!(refusal(&refused).is_some(), "{refused:?}");
    drop(open);

    conn.transaction(async |_| QueryResult::Ok(())).await.unwrap();
    let _open = pool.gate().breaker().force_open();
    conn.batch_execute("SELECT 1").await.unwrap_err();
}

/// Regression test: a refused `BEGIN` that yields to the runtime can be dropped there, and diesel then
/// regards the connection as broken.
#[tokio::test]
async fn a_refused_transaction_leaves_its_connection_whole() {
    let server = Server::start().await;
    let pool = builder(&server.url()).build().unwrap();
    let mut conn = pool.get().await.unwrap();
    let open = pool.gate().breaker().force_open();
    let refused = async {
        for _ in 0..1000 {
            let begun = conn.transaction(async |_| QueryResult::Ok(())).await;
            assert!(refusal(&begun.unwrap_err()).is_some());
        }
    };
    assert!(refused.now_or_never().is_some());
    drop(open);
    conn.transaction(async |_| QueryResult::Ok(())).await.unwrap();
    drop(conn);
    assert_eq!(pool.snapshot().gate.totals.closed_connections, 0);
    assert_eq!(pool.status().size, 1);
}

#[tokio::test]
async fn a_statement_that_misses_its_deadline_ends_its_connection() {
    let server = Server::start().await;
    let pool = builder(&server.url()).build().unwrap();
    let mut conn = pool.get().await.unwrap();
    let missed = diesel::sql_query(SLEEP)
        .execute(&mut conn)
        .await
        .unwrap_err();
    assert_eq!(deadline_exceeded(&missed).unwrap().limit(), QUERY_TIMEOUT);
    assert_eq!(delivery(&missed), Delivery::Unknown);
    assert!(matches!(missed, Error::DeserializationError(_)));

    let next = conn.batch_execute("SELECT 1").await;
    assert_eq!(format!("{next:?}"), "Err(BrokenTransactionManager)");
    drop(conn);
    assert_eq!(pool.snapshot().gate.totals.closed_connections, 1);
    is_stopped(&pool, &server.url()).await;
    ask(&pool).await.unwrap();
}

#[tokio::test]
async fn a_statement_may_have_a_deadline_of_its_own() {
    let server = Server::start().await;
    let pool = builder(&server.url())
        .query_timeout(Duration::from_millis(200))
        .build()
        .unwrap();
    let nap = async |conn: &mut Conn| diesel::sql_query(NAP).execute(conn).await;
    let long = Duration::from_secs(10);
    let mut conn = pool.get().await.unwrap();
    nap(&mut conn.with_timeout(long)).await.unwrap();
    conn.with_timeout(long).batch_execute(NAP).await.unwrap();
    conn.with_timeout(long)
        .transaction(async |conn| nap(conn).await)
        .await
        .unwrap();

    for wrong in [Duration::ZERO, LONGEST + Duration::from_nanos(1)] {
        let mut conn = conn.with_timeout(wrong);
        let loaded = diesel::dsl::sql::<BigInt>(MANY).load::<i64>(&mut conn);
        let loaded = loaded.await.map(drop);
        let executed = nap(&mut conn).await.map(drop);
        let batch = conn.batch_execute(NAP).await;
        let begun = conn.transaction(async |_| QueryResult::Ok(())).await;
        for refused in [loaded, executed, batch, begun] {
            let error = refused.unwrap_err();
            let config = error.source().and_then(|held| held.downcast_ref());
            assert_eq!(config.map(ConfigError::field), Some("with_timeout"), "{error:?}");
            assert_eq!(delivery(&error), Delivery::NotSent);
        }
    }

    // The inner deadline applies, and the pool's when both are gone.
    let short = Duration::from_millis(20);
    let missed = nap(&mut conn.with_timeout(long).with_timeout(short)).await.unwrap_err();
    assert_eq!(deadline_exceeded(&missed).unwrap().limit(), short);
    let mut conn = pool.get().await.unwrap();
    drop(conn.with_timeout(long));
    let missed = nap(&mut conn).await.unwrap_err();
    let limit = deadline_exceeded(&missed).unwrap().limit();
    assert_eq!(limit, Duration::from_millis(200));
}

/// There is no second deadline for the rollback.
#[tokio::test]
async fn a_transaction_ends_with_the_deadline_that_broke_it() {
    let server = Server::start().await;
    let pool = builder(&server.url()).build().unwrap();
    let mut conn = pool.get().await.unwrap();
    let start = Instant::now();
    let missed = conn
        .transaction(async |conn| {
            conn.transaction(async |conn| conn.batch_execute(SLEEP).await)
                .await
        })
        .await
        .unwrap_err();
    assert!(deadline_exceeded(&missed).is_some(), "{missed:?}");
    assert!(start.elapsed() < 2 * QUERY_TIMEOUT, "{:?}", start.elapsed());
    drop(conn);
    assert_eq!(pool.snapshot().gate.totals.closed_connections, 1);
}

#[tokio::test]
async fn a_statement_that_is_dropped_ends_its_connection() {
    let server = Server::start().await;
    let pool = builder(&server.url()).build().unwrap();
    // Executed, loaded, in a batch, and in a transaction.
    for way in 0..4 {
        let mut conn = pool.get().await.unwrap();
        let statement = async {
            match way {
                0 => diesel::sql_query(SLEEP).execute(&mut conn).await.map(drop),
                1 => {
                    let sleep = diesel::dsl::sql::<BigInt>(SLEEP);
                    sleep.load::<i64>(&mut conn).await.map(drop)
                }
                2 => conn.batch_execute(SLEEP).await,
                _ => {
                    conn.transaction(async |conn| conn.batch_execute(SLEEP).await)
                        .await
                }
            }
        };
        let started = async {
            while sleeping(&server.url()).await == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            ended = statement => panic!("{ended:?}"),
            () = started => {}
        }
        drop(conn);
        assert_eq!(pool.snapshot().gate.totals.closed_connections, way + 1);
        is_stopped(&pool, &server.url()).await;
    }
    let seen = pool.snapshot().gate.breaker;
    assert_eq!((seen.state, seen.totals.failures), (State::Closed, 0));
    ask(&pool).await.unwrap();
}

/// Rows stop arriving: a waiting reader gets an error, and a reader that left is noticed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_stop_coming_end_their_connection() {
    let server = Server::start().await;
    let proxy = Proxy::start(server.addr()).await.unwrap();
    let url = server.url_via(proxy.addr().port()) + THROUGH_THE_PROXY;
    let pool = builder(&url).build().unwrap();
    for leaves in [false, true] {
        proxy.set(Fault::None);
        let mut conn = pool.get().await.unwrap();
        let many = diesel::dsl::sql::<BigInt>(MANY);
        let mut rows = many.load_stream::<i64>(&mut conn).await.unwrap();
        assert_eq!(rows.next().await.unwrap().unwrap(), 1);
        proxy.set(Fault::Stall);
        let stopped = async {
            loop {
                match rows.next().await {
                    Some(Ok(_)) => {}
                    end => break end,
                }
            }
        };
        if leaves {
            let some = timeout(QUERY_TIMEOUT / 2, stopped).await;
            assert!(some.is_err(), "{some:?}");
        } else {
            let missed = stopped.await.expect("an error is no end").unwrap_err();
            assert!(deadline_exceeded(&missed).is_some(), "{missed:?}");
            assert!(rows.next().await.is_none());
        }
        drop(rows);
        drop(conn);
    }
    let seen = pool.snapshot().gate;
    assert_eq!((seen.totals.closed_connections, seen.totals.deadlines), (2, 1));
    assert_eq!((seen.breaker.totals.successes, seen.breaker.totals.failures), (2, 1));
}

#[tokio::test]
async fn violations_are_answers() {
    let server = Server::start().await;
    let pool = builder(&server.url()).build().unwrap();
    let mut conn = pool.get().await.unwrap();
    conn.batch_execute("CREATE TABLE single (id integer PRIMARY KEY)")
        .await
        .unwrap();
    let insert = || diesel::sql_query("INSERT INTO single VALUES (1)");
    insert().execute(&mut conn).await.unwrap();
    for _ in 0..30 {
        let twice = insert().execute(&mut conn).await;
        assert!(matches!(
            twice,
            Err(Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _))
        ));
    }
    drop(conn);
    let seen = pool.snapshot().gate;
    assert_eq!((seen.breaker.totals.failures, seen.breaker.totals.successes), (0, 32));
    assert_eq!(
        (seen.breaker.state, seen.totals.closed_connections),
        (State::Closed, 0)
    );
}

#[tokio::test]
async fn what_the_server_answers_is_told_by_its_message() {
    let server = Server::start().await;
    for (sql, expected) in ANSWERS {
        let pool = builder(&server.url()).build().unwrap();
        let mut conn = pool.get().await.unwrap();
        let error = conn.batch_execute(sql).await.unwrap_err();
        assert_eq!(came(&pool), expected, "{sql}: {error:?}");
    }
}

#[tokio::test]
async fn a_pool_that_exists_is_guarded() {
    use diesel_async::pooled_connection;
    let server = Server::start().await;
    let manager = pooled_connection::AsyncDieselConnectionManager::<Raw>::new(server.url());
    let raw = pooled_connection::deadpool::Pool::builder(manager)
        .build()
        .unwrap();
    let pool: Pool<Conn> = raw.into();
    ask(&pool).await.unwrap();
    assert_eq!(came(&pool), Came::Answered);
    let _open = pool.gate().breaker().force_open();
    assert!(refusal(&pool.get().await.unwrap_err()).is_some());
}
