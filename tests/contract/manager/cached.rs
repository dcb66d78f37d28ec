//! Cached reads of such a manager's pool.

use fusepool::cache::CachePolicy;
use fusepool::deadpool::ReadError;
use fusepool::{ManualClock, Source};

use super::*;

/// Concurrent callers share one load, a hit needs no object, and an outage is served stale values.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_manager_reads_through_the_cache() {
    const ECHO: CachePolicy = CachePolicy::named("echo")
        .fresh_for(Duration::from_secs(5))
        .stale_if_error(Duration::from_secs(600))
        .jitter(0.0);
    let proxy = Proxy::start(server().await).await.unwrap();
    let clock = ManualClock::new();
    let breaker = Breaker::builder().clock(clock.clone()).slow_call_rate(None);
    let pool = builder(proxy.addr()).breaker(breaker).build().unwrap();
    let ask = |key: &'static str| {
        let read = pool.cached(&ECHO, key).vary_by("tenant").tag("echoes");
        read.load_served(move |mut object: Object<Echoes>| async move {
            object.guard(async |echo| say(echo, b'g').await).await?;
            Ok(key.to_uppercase())
        })
    };
    let (one, two, other) = tokio::join!(ask("a"), ask("a"), ask("b"));
    assert_eq!(one.unwrap().value, "A");
    assert_eq!(two.unwrap().value, "A");
    assert_eq!(other.unwrap().value, "B");
    assert_eq!(pool.snapshot().cache.loads, 2);

    // All objects are taken.
    let taken = (pool.get().await.unwrap(), pool.get().await.unwrap());
    let source = ask("a").await.unwrap().source;
    assert!(matches!(source, Source::Fresh { .. }), "{source:?}");
    drop(taken);
    pool.cache().invalidate_tag("echoes");
    assert_eq!(ask("a").await.unwrap().source, Source::Live);

    clock.advance(Duration::from_secs(10));
    proxy.set(Fault::Cut);
    let served = ask("a").await.unwrap();
    assert!(matches!(served.source, Source::Stale { .. }), "{served:?}");
    assert_eq!(served.value, "A");
    let error = ask("never asked").await.unwrap_err();
    assert!(
        matches!(error, ReadError::Lease(_) | ReadError::Statement(_)),
        "{error:?}"
    );
    let default = pool.cached(&ECHO, "c").or_value("the usual");
    let default = default.load(|_| async { Ok(String::new()) }).await;
    assert_eq!(default.unwrap(), "the usual");
}

/// A load that hangs beside the guarded statements kept its object and its key for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_that_hangs_is_dropped() {
    const HUNG: CachePolicy = CachePolicy::named("hung").fresh_for(Duration::from_secs(5));
    let pool = builder(server().await).build().unwrap();
    let hung = pool
        .cached(&HUNG, "a")
        .load(|object: Object<Echoes>| async move {
            std::future::pending::<()>().await;
            drop(object);
            Ok(String::new())
        });
    let error = hung.await.unwrap_err();
    assert!(matches!(error, ReadError::Deadline(_)), "{error:?}");
    eventually("nothing loads", async || pool.snapshot().cache.loading == 0).await;
    eventually("its object is back", async || pool.status().available == 1).await;
}
