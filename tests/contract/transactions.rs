//! Transactions while the breaker is open, and transactions that are abandoned.

use std::time::Duration;

use fusepool::deadpool::postgres::{Client, delivery};
use fusepool::{Delivery, Refused, refusal};
use futures_util::TryStreamExt;
use tokio::time::timeout;
use tokio_postgres::Error;

use crate::support::deadpool::direct;
use crate::support::postgres::Postgres;

const INSERT: &str = "INSERT INTO t VALUES (1)";

fn assert_refused<T>(result: Result<T, Error>) {
    let error = result.err().expect("a refusal");
    let rejected = refusal(&error).expect("a rejection");
    assert!(matches!(rejected, Refused::Circuit { .. }), "{rejected:?}");
    assert_eq!(delivery(&error), Delivery::NotSent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_frees_something_passes() {
    let server = Postgres::start().await;
    let pool = direct(&server);
    let mut client = pool.get().await.unwrap();
    client
        .batch_execute("CREATE TABLE t (id int)")
        .await
        .unwrap();
    let by_hand = pool.get().await.unwrap();
    by_hand.batch_execute("BEGIN").await.unwrap();
    by_hand.batch_execute(INSERT).await.unwrap();
    let mut plain = pool.get().await.unwrap();
    let mut transaction = client.transaction().await.unwrap();

    let forced = pool.gate().breaker().force_open();
    assert!(refusal(&pool.get().await.unwrap_err()).is_some());
    assert_refused(plain.execute(INSERT, &[]).await);
    assert_refused(plain.query_typed("SELECT 1", &[]).await);
    assert_refused(plain.prepare_cached("SELECT 1").await);
    assert_refused(plain.query_raw("SELECT 1", [0_i32; 0]).await);
    assert_refused(plain.copy_out("COPY t TO STDOUT").await);
    assert_refused(plain.simple_query("SELECT 1").await);
    assert_refused(plain.simple_query_raw("SELECT 1").await);
    assert_refused(plain.check_connection().await);
    assert_refused(plain.transaction().await);
    assert_refused(plain.build_transaction().read_only(true).start().await);

    transaction.execute(INSERT, &[]).await.unwrap();
    let savepoint = transaction.savepoint("here").await.unwrap();
    savepoint.execute(INSERT, &[]).await.unwrap();
    savepoint.commit().await.unwrap();
    transaction.commit().await.unwrap();
    let refused = pool.gate().snapshot().breaker.totals.rejected;
    by_hand.batch_execute(INSERT).await.unwrap();
    by_hand.execute(INSERT, &[]).await.unwrap();
    by_hand.batch_execute("/* done */ COMMIT").await.unwrap();
    assert_eq!(pool.gate().snapshot().breaker.totals.rejected, refused);
    assert_refused(by_hand.batch_execute(INSERT).await);

    drop(forced);
    assert_eq!(rows(&plain).await, 5);
    assert_eq!(pool.gate().snapshot().breaker.totals.failures, 0);
}

async fn rows(client: &Client) -> i64 {
    client
        .query_one_scalar("SELECT count(*) FROM t", &[])
        .await
        .unwrap()
}

/// A connection on which a transaction may be open is never leased to another caller.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_is_cut_short_leaves_nothing_behind() {
    let server = Postgres::start().await;
    let pool = direct(&server);
    let client = pool.get().await.unwrap();
    client
        .batch_execute("CREATE TABLE t (id int)")
        .await
        .unwrap();
    for _ in 0..300 {
        let mut client = pool.get().await.unwrap();
        let work = async {
            let mut transaction = client.transaction().await?;
            transaction.execute(INSERT, &[]).await?;
            let savepoint = transaction.transaction().await?;
            savepoint.execute(INSERT, &[]).await?;
            savepoint.commit().await?;
            transaction.rollback().await
        };
        let patience = Duration::from_micros(fastrand::u64(0..3000));
        let _: Result<Result<(), Error>, _> = timeout(patience, work).await;
        drop(client);
        let client = pool.get().await.unwrap();
        client.batch_execute(INSERT).await.unwrap();
    }
    assert_eq!(rows(&client).await, 300);
}

/// Regression test: `query_portal_raw` counted as a success, although it does not wait for an answer.
/// `simple_query_raw` was the driver's own method, and was not refused by an open breaker.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_wait_for_the_server_is_no_answer() {
    let server = Postgres::start().await;
    let pool = direct(&server);
    let mut client = pool.get().await.unwrap();
    let transaction = client.transaction().await.unwrap();
    let portal = transaction.bind("SELECT 1", &[]).await.unwrap();
    let answered = || pool.gate().snapshot().breaker.totals.successes;
    let before = answered();
    let rows = transaction.query_portal_raw(&portal, 0).await.unwrap();
    assert_eq!(rows.try_collect::<Vec<_>>().await.unwrap().len(), 1);
    let sent = transaction.simple_query_raw("SELECT 1").await.unwrap();
    // The columns, the row, and the end.
    assert_eq!(sent.try_collect::<Vec<_>>().await.unwrap().len(), 3);
    assert_eq!(answered(), before);
}

/// Errors that the client detects, or that the database answers with, are no failures.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_that_are_none_of_the_breakers_business() {
    let server = Postgres::start().await;
    let pool = direct(&server);
    let client = pool.get().await.unwrap();
    for _ in 0..20 {
        let wrong_type = client.query("SELECT 1 + $1", &[&"one"]).await.unwrap_err();
        assert_eq!(delivery(&wrong_type), Delivery::NotSent, "{wrong_type:?}");
        let too_few = client.query("SELECT $1", &[]).await.unwrap_err();
        assert_eq!(delivery(&too_few), Delivery::NotSent, "{too_few:?}");
        let zero = client
            .with_timeout(Duration::ZERO)
            .query("SELECT 1", &[])
            .await;
        assert!(zero.is_err());
        let two_rows = client.query_one("VALUES (1), (2)", &[]).await.unwrap_err();
        assert_eq!(delivery(&two_rows), Delivery::Answered, "{two_rows:?}");
        let two_columns = client.query_one_scalar::<i32, _>("SELECT 1, 2", &[]).await;
        assert_eq!(delivery(&two_columns.unwrap_err()), Delivery::Answered);
        let type_of_column = client.query_one_scalar::<String, _>("SELECT 1", &[]).await;
        assert_eq!(delivery(&type_of_column.unwrap_err()), Delivery::Answered);
        let syntax = client.query("SELEKT", &[]).await.unwrap_err();
        assert_eq!(delivery(&syntax), Delivery::Answered, "{syntax:?}");
    }
    drop(client);
    let snapshot = pool.snapshot();
    assert_eq!(snapshot.gate.breaker.totals.failures, 0, "{snapshot:?}");
    assert_eq!(snapshot.gate.totals.closed_connections, 0, "{snapshot:?}");
    assert_eq!(snapshot.size, 1);
}
