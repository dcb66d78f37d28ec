//! Fallbacks, with the cache and without it, are tried in the order in which they are written.

use std::sync::atomic::{AtomicBool, Ordering};

use fusepool::sqlx::ReadExt;
use fusepool::{Source, Unanswered};
use sqlx::Error;

use crate::kitchen::{FRESH, Kind, Kitchen, MENU, REVALIDATED};

on_all! {
    each_stands_in_by_itself
    they_are_tried_in_the_order_they_were_written
}

const OPEN: Unanswered = Unanswered::Open;
const PAST_FRESH: std::time::Duration = FRESH.saturating_add(REVALIDATED);

async fn other(name: &str) -> Result<String, Error> {
    Ok(name.to_owned())
}

async fn each_stands_in_by_itself<K: Kind>() {
    let kitchen = Kitchen::<K>::open().await;
    let replica = Kitchen::<K>::open().await;
    replica.set("replicated").await;
    let pool = &kitchen.pool;
    let asked = AtomicBool::new(false);
    let alternative = async || {
        asked.store(true, Ordering::SeqCst);
        other("simpler").await
    };

    // The database answers: no fallback is used.
    for read in [
        K::query(1).or_value("default".to_owned()),
        K::query(1).or_else(alternative()),
        K::query(1).or_from(&replica.pool),
    ] {
        let served = read.fetch_one_served(pool).await.unwrap();
        assert_eq!(
            (served.value.as_str(), served.source),
            ("old", Source::Live)
        );
    }
    assert!(!asked.load(Ordering::SeqCst));
    assert_eq!(replica.pool.snapshot().gate.breaker.totals.successes, 0);

    let open = pool.gate().breaker().force_open();
    let reason = OPEN;
    for (read, name, source) in [
        (
            K::query(1).or_value("default".to_owned()),
            "default",
            Source::Default { reason },
        ),
        (
            K::query(1).or_else(alternative()),
            "simpler",
            Source::Alternative { reason },
        ),
        (
            K::query(1).or_from(&replica.pool),
            "replicated",
            Source::OtherPool { reason },
        ),
    ] {
        let served = read.fetch_one_served(pool).await.unwrap();
        assert_eq!((served.value.as_str(), served.source), (name, source));
    }
    let cache = pool.snapshot().cache;
    assert_eq!(
        (
            cache.totals.defaults,
            cache.totals.alternatives,
            cache.totals.other_pools
        ),
        (1, 1, 1)
    );

    // The same for all rows, and for an optional row.
    let all = K::query(1).or_value(vec!["a".to_owned()]).fetch_all(pool);
    assert_eq!(*all.await.unwrap(), ["a"]);
    let nothing = K::query(1).or_value(None).fetch_optional(pool);
    assert_eq!(nothing.await.unwrap(), None);
    drop(open);
}

async fn they_are_tried_in_the_order_they_were_written<K: Kind>() {
    let kitchen = Kitchen::<K>::open().await;
    let replica = Kitchen::<K>::open().await;
    replica.set("replicated").await;
    let pool = &kitchen.pool;
    kitchen.ask().await.unwrap();
    kitchen.clock.advance(PAST_FRESH);
    let open = pool.gate().breaker().force_open();
    let failing = async || Err::<String, _>(Error::WorkerCrashed);

    let read = K::query(1).cached(&MENU).or_from(&replica.pool);
    let served = read.fetch_one_served(pool).await.unwrap();
    assert_eq!(served.source.as_str(), "stale");

    let read = K::query(1).or_from(&replica.pool).cached(&MENU);
    let served = read.fetch_one_served(pool).await.unwrap();
    assert_eq!(
        (served.value.as_str(), served.source.as_str()),
        ("replicated", "other_pool")
    );

    // A fallback that fails is skipped.
    let also_open = replica.pool.gate().breaker().force_open();
    let read = K::query(1).or_from(&replica.pool).or_else(failing());
    let served = read
        .or_value("last".to_owned())
        .fetch_one_served(pool)
        .await
        .unwrap();
    assert_eq!(
        (served.value.as_str(), served.source.as_str()),
        ("last", "default")
    );

    // If all fallbacks fail, the error is that of the first pool.
    let read = K::query(1).or_from(&replica.pool).or_else(failing());
    let error = read.fetch_one(pool).await.unwrap_err();
    let rejected = fusepool::refusal(&error).expect("it was refused");
    assert_eq!(rejected.pool(), Some(&**pool.gate().breaker().name()));
    drop((open, also_open));
}
