//! Pipelined statements, through shared references to one connection. Only PostgreSQL has them.

use diesel::prelude::*;
use diesel::result::Error;
use diesel::sql_types::Integer;
use diesel_async::{AsyncConnection, RunQueryDsl, SimpleAsyncConnection};
use fusepool::deadpool::diesel::{AsyncDieselConnectionManager, AsyncPgConnection, Pool, delivery};
use fusepool::{Delivery, refusal};
use futures_util::future::{join, join3};

use crate::support::postgres::Postgres;

const ONE: &str = "SELECT 1";

async fn start() -> (Postgres, Pool<AsyncPgConnection>) {
    let server = Postgres::start().await;
    let manager = AsyncDieselConnectionManager::<AsyncPgConnection>::new(server.url());
    let pool = Pool::<AsyncPgConnection>::builder(manager).build().unwrap();
    (server, pool)
}

/// Each kind of statement, concurrently on one connection.
async fn pipeline(conn: &AsyncPgConnection) -> [QueryResult<()>; 3] {
    let (mut a, mut b, mut c) = (conn, conn, conn);
    let one = diesel::dsl::sql::<Integer>(ONE);
    let loaded = one.get_result::<i32>(&mut a);
    let executed = diesel::sql_query(ONE).execute(&mut b);
    let batch = c.batch_execute(ONE);
    let (loaded, executed, batch) = join3(loaded, executed, batch).await;
    [loaded.map(drop), executed.map(drop), batch]
}

fn assert_refused(results: [QueryResult<()>; 3]) {
    for result in results {
        let error = result.unwrap_err();
        assert!(refusal(&error).is_some(), "{error:?}");
        assert_eq!(delivery(&error), Delivery::NotSent);
    }
}

fn assert_answered(results: [QueryResult<()>; 3]) {
    for result in results {
        result.unwrap();
    }
}

/// Regression test: they were never refused, so an application that pipelines all its statements was
/// guarded only where it leased its connections.
#[tokio::test]
async fn they_are_refused_while_the_breaker_is_open() {
    let (_server, pool) = start().await;
    let conn = pool.get().await.unwrap();
    assert_answered(pipeline(&conn).await);
    let open = pool.gate().breaker().force_open();
    assert_refused(pipeline(&conn).await);
    assert_eq!(pool.snapshot().gate.breaker.totals.rejected, 3);
    drop(open);
    assert_answered(pipeline(&conn).await);
    drop(conn);
    assert_eq!(pool.snapshot().gate.totals.closed_connections, 0);
}

#[tokio::test]
async fn in_a_transaction_they_are_not_refused() {
    let (_server, pool) = start().await;
    let mut conn = pool.get().await.unwrap();
    conn.transaction(async |conn| {
        let _open = pool.gate().breaker().force_open();
        assert_answered(pipeline(conn).await);
        conn.transaction(async |conn| {
            assert_answered(pipeline(conn).await);
            QueryResult::Ok(())
        })
        .await?;
        assert_answered(pipeline(conn).await); // the savepoint has ended, the transaction has not
        QueryResult::Ok(())
    })
    .await
    .unwrap();
    let mut serializable = conn.build_transaction().serializable();
    let rolled_back = serializable.run(async |conn| {
        let _open = pool.gate().breaker().force_open();
        assert_answered(pipeline(conn).await);
        Err::<(), _>(Error::RollbackTransaction)
    });
    rolled_back.await.unwrap_err();
    let _open = pool.gate().breaker().force_open();
    assert_refused(pipeline(&conn).await);
}

/// A transaction by hand, through shared references too.
#[tokio::test]
async fn the_end_of_a_transaction_passes() {
    let (_server, pool) = start().await;
    let conn = pool.get().await.unwrap();
    for end in ["COMMIT", "ROLLBACK"] {
        (&*conn).batch_execute("BEGIN").await.unwrap();
        let _open = pool.gate().breaker().force_open();
        assert_answered(pipeline(&conn).await);
        (&*conn).batch_execute(end).await.unwrap();
        assert_refused(pipeline(&conn).await);
    }
}

/// A refused call consumes cooperative budget. Otherwise a retry loop would keep its runtime from running
/// the prober.
#[tokio::test]
async fn a_retry_loop_lets_other_tasks_run() {
    let (_server, pool) = start().await;
    let conn = pool.get().await.unwrap();
    let breaker = pool.gate().breaker();
    let open = breaker.force_open();
    let retry = async { while pipeline(&conn).await.iter().any(Result::is_err) {} };
    // Polled only when the loop yields.
    let release = async { drop(open) };
    join(retry, release).await;
}
