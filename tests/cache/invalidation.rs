//! Which answers a write invalidates, and when.

use std::time::Duration;

use fusepool::Source;
use fusepool::cache::CachePolicy;
use fusepool::sqlx::Configured;
use sqlx::MySql;

use crate::kitchen::{Kind, Kitchen, MENU, Networked, SqliteFile};
use crate::support::eventually;

on_all! {
    by_key_tag_policy_or_all
    by_a_write_that_succeeds
    in_doubt_by_a_write_that_fails
    by_a_transaction_when_it_is_committed
    by_a_transaction_whose_savepoint_was_dropped
    by_a_lease_whose_transaction_was_dropped
    not_by_what_is_rolled_back
    in_doubt_by_a_write_of_unknown_outcome
}

const OTHER: CachePolicy = CachePolicy::named("other").fresh_for(Duration::from_secs(60));

/// The answer that is served without asking the database.
async fn cached<K: Kind>(kitchen: &Kitchen<K>, id: i32, policy: &CachePolicy) -> bool {
    let read = K::name(id, policy).fetch_optional_served(&kitchen.pool);
    !matches!(read.await.unwrap().source, Source::Live)
}

async fn by_key_tag_policy_or_all<K: Kind>() {
    let kitchen = Kitchen::<K>::open().await;
    let cache = kitchen.pool.cache();
    let outdated = async || {
        let mut outdated = Vec::new();
        for (name, id, policy) in [("1", 1, &MENU), ("2", 2, &MENU), ("other", 1, &OTHER)] {
            if !cached(&kitchen, id, policy).await {
                outdated.push(name);
            }
        }
        outdated
    };
    assert_eq!(outdated().await, ["1", "2", "other"]);
    assert_eq!(outdated().await, [""; 0]);
    K::name(1, &MENU).invalidate(&kitchen.pool).unwrap();
    assert_eq!(outdated().await, ["1"]);
    cache.invalidate_tag("dishes");
    assert_eq!(outdated().await, ["1", "2"]);
    cache.invalidate_tag("orders");
    assert_eq!(outdated().await, [""; 0]);
    cache.invalidate_policy(&OTHER);
    assert_eq!(outdated().await, ["other"]);
    cache.invalidate_all();
    assert_eq!(cache.snapshot().entries, 0);
    assert_eq!(outdated().await, ["1", "2", "other"]);
    assert_eq!(cache.snapshot().totals.invalidations, 5);

    // A tag of the query's own, and every way to fetch it.
    let read = || K::name(1, &OTHER).tag("dish:1");
    let tagged = async || read().fetch_all_served(&kitchen.pool).await.unwrap().source;
    assert_eq!(tagged().await, Source::Live);
    assert_ne!(tagged().await, Source::Live);
    cache.invalidate_tag("dish:1");
    assert_eq!(tagged().await, Source::Live);
    K::name(1, &OTHER).invalidate(&kitchen.pool).unwrap();
    assert_eq!(tagged().await, Source::Live);
    assert!(!cached(&kitchen, 1, &OTHER).await);
}

async fn by_a_write_that_succeeds<K: Kind>() {
    let kitchen = Kitchen::<K>::open().await;
    for name in ["a", "b"] {
        kitchen.ask().await.unwrap();
        kitchen.rename(name).await;
        let served = kitchen.ask().await.unwrap();
        assert_eq!((served.value.as_str(), served.source), (name, Source::Live));
    }
    // On a lease outside a transaction, at once.
    let mut lease = kitchen.pool.acquire().await.unwrap();
    K::rename("c", (&mut *lease).into()).await.unwrap();
    assert_eq!(*kitchen.ask().await.unwrap().value, "c");
}

/// A failed write may have had an effect, like a procedure that commits and then fails. A write that
/// was not sent has none.
async fn in_doubt_by_a_write_that_fails<K: Kind>() {
    let kitchen = Kitchen::<K>::open().await;
    kitchen.ask().await.unwrap();
    let open = kitchen.pool.gate().breaker().force_open();
    K::rename("a", Configured::from(&kitchen.pool))
        .await
        .unwrap_err();
    drop(open);
    assert!(matches!(
        kitchen.ask().await.unwrap().source,
        Source::Fresh { .. }
    ));
    kitchen.kind.run("ALTER TABLE dish RENAME TO gone").await;
    K::rename("a", Configured::from(&kitchen.pool))
        .await
        .unwrap_err();
    let open = kitchen.pool.gate().breaker().force_open();
    assert_eq!(kitchen.ask().await.unwrap().source.as_str(), "stale");
    drop(open);
    kitchen.kind.run("ALTER TABLE gone RENAME TO dish").await;
    assert_eq!(kitchen.ask().await.unwrap().source, Source::Live);
    assert_eq!(kitchen.pool.cache().snapshot().totals.invalidations, 0);
}

async fn by_a_transaction_when_it_is_committed<K: Kind>() {
    let kitchen = Kitchen::<K>::open_with(|options| options.max_connections(1)).await;
    kitchen.ask().await.unwrap();
    let mut transaction = kitchen.pool.begin().await.unwrap();
    K::rename("a", (&mut *transaction).into()).await.unwrap();
    let mut savepoint = transaction.begin().await.unwrap();
    K::rename("b", (&mut *savepoint).into()).await.unwrap();
    savepoint.commit().await.unwrap();
    let served = kitchen.ask().await.unwrap();
    assert_eq!(*served.value, "old", "nobody else sees it yet");
    assert_eq!(kitchen.pool.cache().snapshot().totals.invalidations, 0);
    transaction.commit().await.unwrap();
    let served = kitchen.ask().await.unwrap();
    assert_eq!((served.value.as_str(), served.source), ("b", Source::Live));
}

/// Regression test: SQLite's driver rolls back in the background, so its count of savepoints decreases
/// later than ours. A write after the rollback was attributed to the savepoint and never published.
async fn by_a_transaction_whose_savepoint_was_dropped<K: Kind>() {
    let kitchen = Kitchen::<K>::open_with(|options| options.max_connections(1)).await;
    for number in 0..20 {
        kitchen.ask().await.unwrap();
        let name = format!("name {number}");
        let mut transaction = kitchen.pool.begin().await.unwrap();
        K::rename(&name, (&mut *transaction).into()).await.unwrap();
        drop(transaction.begin().await.unwrap());
        transaction.commit().await.unwrap();
        assert_eq!(*kitchen.ask().await.unwrap().value, name);
    }
}

async fn by_a_lease_whose_transaction_was_dropped<K: Kind>() {
    let kitchen = Kitchen::<K>::open_with(|options| options.max_connections(1)).await;
    for number in 0..20 {
        kitchen.ask().await.unwrap();
        let name = format!("name {number}");
        let mut lease = kitchen.pool.acquire().await.unwrap();
        drop(lease.begin().await.unwrap());
        K::rename(&name, (&mut *lease).into()).await.unwrap();
        drop(lease);
        assert_eq!(*kitchen.ask().await.unwrap().value, name);
    }
}

/// Tags that are given to the query and to the executor add up.
#[tokio::test]
async fn by_the_tags_of_both_query_and_executor() {
    use crate::kitchen::SqliteFile;
    let kitchen = Kitchen::<SqliteFile>::open().await;
    let ask = async || {
        let read = SqliteFile::name(1, &OTHER).tag("extra");
        read.fetch_one_served(&kitchen.pool).await.unwrap().source
    };
    ask().await;
    SqliteFile::rename("a", kitchen.pool.invalidates(&["extra"]))
        .await
        .unwrap();
    assert_eq!(ask().await, Source::Live);
}

async fn not_by_what_is_rolled_back<K: Kind>() {
    let kitchen = Kitchen::<K>::open_with(|options| options.max_connections(1)).await;
    kitchen.ask().await.unwrap();
    for ends_by_itself in [false, true] {
        let mut transaction = kitchen.pool.begin().await.unwrap();
        K::rename("a", (&mut *transaction).into()).await.unwrap();
        match ends_by_itself {
            false => transaction.rollback().await.unwrap(),
            true => drop(transaction),
        }
    }
    for ends_by_itself in [false, true] {
        let mut transaction = kitchen.pool.begin().await.unwrap();
        let mut savepoint = transaction.begin().await.unwrap();
        K::rename("a", (&mut *savepoint).into()).await.unwrap();
        match ends_by_itself {
            false => savepoint.rollback().await.unwrap(),
            true => drop(savepoint),
        }
        transaction.commit().await.unwrap();
    }
    let served = kitchen.ask().await.unwrap();
    assert!(matches!(served.source, Source::Fresh { .. }), "{served:?}");
    assert_eq!(kitchen.pool.cache().snapshot().totals.invalidations, 0);
}

/// An answer that may have changed is loaded again, but kept in case the database cannot answer.
async fn in_doubt_by_a_write_of_unknown_outcome<K: Kind>() {
    let mut kitchen = Kitchen::<K>::open().await;
    kitchen.ask().await.unwrap();
    kitchen.kind.lock().await;
    // The cache cannot know whether the server has begun it.
    eventually("a write was sent and given up", async || {
        let write = K::rename("a", Configured::from(&kitchen.pool));
        let given_up = tokio::time::timeout(Duration::from_millis(50), write).await;
        assert!(given_up.is_err(), "it waits for the lock");
        let open = kitchen.pool.gate().breaker().force_open();
        let served = kitchen.ask().await.unwrap();
        assert_eq!(*served.value, "old");
        drop(open);
        served.source.as_str() == "stale"
    })
    .await;
    kitchen.kind.unlock().await;
    assert_eq!(kitchen.ask().await.unwrap().source, Source::Live);
    eventually("the end of the write is known", async || {
        let source = kitchen.ask().await.unwrap().source;
        matches!(source, Source::Fresh { .. })
    })
    .await;
    assert_eq!(kitchen.pool.cache().snapshot().totals.invalidations, 0);
}

/// Regression: a write was published before the end of a transaction that began in another way than by
/// `BEGIN`, so that the next read put the old row back as fresh.
async fn at_the_end_of<K: Kind>(begin: &[&'static str], end: &[&'static str]) {
    let kitchen = Kitchen::<K>::open().await;
    let mut lease = kitchen.pool.acquire().await.unwrap();
    for name in ["a", "b"] {
        let before = kitchen.ask().await.unwrap().value;
        for sql in begin {
            sqlx::raw_sql(*sql).execute(&mut *lease).await.unwrap();
        }
        K::rename(name, (&mut *lease).into()).await.unwrap();
        for sql in end {
            let served = kitchen.ask().await.unwrap();
            assert!(matches!(served.source, Source::Fresh { .. }), "{sql}");
            assert_eq!(served.value, before, "{sql}");
            sqlx::raw_sql(*sql).execute(&mut *lease).await.unwrap();
        }
        let served = kitchen.ask().await.unwrap();
        assert_eq!((served.value.as_str(), served.source), (name, Source::Live));
    }
    drop(lease);
    assert_eq!(*kitchen.ask().await.unwrap().value, "b");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_commits_without_autocommit() {
    at_the_end_of::<Networked<MySql>>(&["SET autocommit = 0"], &["COMMIT"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_commit_in_one_phase() {
    at_the_end_of::<Networked<MySql>>(
        &["XA START 'a'"],
        &["XA END 'a'", "XA COMMIT 'a' ONE PHASE"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_release_of_the_outermost_savepoint() {
    let begin = ["SAVEPOINT a", "SAVEPOINT b"];
    at_the_end_of::<SqliteFile>(&begin, &["RELEASE b", "RELEASE a"]).await;
}
