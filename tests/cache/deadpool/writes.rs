//! Writes, and what they invalidate.

use fusepool::deadpool::postgres::{Client, Configured};
use futures_util::SinkExt;

use super::*;

const RAISE: &str = "UPDATE dish SET name = name || '!' WHERE id = 1";

async fn raise(write: Configured<'_>) {
    write.execute(RAISE, &[]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_invalidates_when_it_takes_effect() {
    let kitchen = Kitchen::open().await;
    let is_fresh = async || {
        let (_, source) = kitchen.ask(1).await.unwrap();
        matches!(source, Source::Fresh { .. })
    };
    let mut client = kitchen.pool.get().await.unwrap();
    is_fresh().await;

    raise(client.invalidates(&["orders"])).await;
    assert!(is_fresh().await, "another tag");
    raise(client.invalidates(&["dishes"])).await;
    assert!(!is_fresh().await, "a write alone");
    client
        .invalidates(&["dishes"])
        .batch_execute(RAISE)
        .await
        .unwrap();
    assert!(!is_fresh().await, "a write by its text");

    let transaction = client.transaction().await.unwrap();
    raise(transaction.invalidates(&["dishes"])).await;
    assert!(is_fresh().await, "it is not committed yet");
    transaction.commit().await.unwrap();
    assert!(!is_fresh().await, "it is committed");

    let mut transaction = client.transaction().await.unwrap();
    let savepoint = transaction.transaction().await.unwrap();
    raise(savepoint.invalidates(&["dishes"])).await;
    savepoint.rollback().await.unwrap();
    transaction.commit().await.unwrap();
    assert!(is_fresh().await, "the savepoint was rolled back");
    let mut transaction = client.transaction().await.unwrap();
    let savepoint = transaction.transaction().await.unwrap();
    raise(savepoint.invalidates(&["dishes"])).await;
    savepoint.commit().await.unwrap();
    assert!(is_fresh().await, "the transaction goes on");
    transaction.commit().await.unwrap();
    assert!(!is_fresh().await, "the transaction is committed");

    client.batch_execute("BEGIN").await.unwrap();
    raise(client.invalidates(&["dishes"])).await;
    assert!(is_fresh().await, "it is not committed yet");
    client.batch_execute("COMMIT").await.unwrap();
    assert!(!is_fresh().await, "it is committed by hand");
    client.batch_execute("BEGIN").await.unwrap();
    raise(client.invalidates(&["dishes"])).await;
    client.batch_execute("ROLLBACK").await.unwrap();
    assert!(is_fresh().await, "it is rolled back by hand");

    // It is unknown whether the write took effect: the answer is loaded again.
    let patience = Duration::from_millis(50);
    let unknown = client.invalidates(&["dishes"]).with_timeout(patience);
    let slow = "UPDATE dish SET name = name || pg_sleep(9)::text WHERE id = 1";
    unknown.execute(slow, &[]).await.unwrap_err();
    assert!(!is_fresh().await, "it may have taken effect");
}

/// What a stream or a `COPY` writes takes effect at its end, which is not seen. A read in between kept
/// the old answer fresh.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_whose_end_is_not_seen_is_in_doubt() {
    let kitchen = Kitchen::open().await;
    let is_fresh = async || {
        let (_, source) = kitchen.ask(1).await.unwrap();
        matches!(source, Source::Fresh { .. })
    };
    let client = kitchen.pool.get().await.unwrap();
    is_fresh().await;
    let tagged = client.invalidates(&["dishes"]);
    let raise = "UPDATE dish SET name = 'new' WHERE id = 1 RETURNING id";
    let rows = tagged.query_raw(raise, [0_i32; 0]).await.unwrap();
    is_fresh().await;
    let rows: Vec<_> = rows.try_collect().await.unwrap();
    assert_eq!(rows.len(), 1);
    drop(client);
    assert!(!is_fresh().await, "the lease has ended");
    eventually("the connection is known to be done", is_fresh).await;

    // The transaction begins with the write, and is committed by another text.
    let client = kitchen.pool.get().await.unwrap();
    let tagged = client.invalidates(&["dishes"]);
    tagged
        .batch_execute("BEGIN; UPDATE dish SET name = 'newer' WHERE id = 1")
        .await
        .unwrap();
    assert!(is_fresh().await, "it is not committed yet");
    client.batch_execute("COMMIT").await.unwrap();
    assert!(!is_fresh().await, "it is committed");
}

/// Regression test: the session of a client that had been taken out of the pool was ended, because its
/// connection counted as closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_was_taken_goes_on() {
    let server = Postgres::start().await;
    let pool = direct(&server);
    let client = pool.get().await.unwrap();
    let create = "CREATE TABLE upload (id int)";
    client.batch_execute(create).await.unwrap();
    let write = client.invalidates(&["dishes"]);
    let upload = write.copy_in::<_, &[u8]>("COPY upload FROM STDIN");
    std::pin::pin!(upload.await.unwrap()).close().await.unwrap();
    let taken = Client::take(client);
    let nap = taken.query_one("SELECT 1 FROM pg_sleep(1)", &[]);
    nap.await.expect("nobody ends it");
}
