//! Cached reads of such a manager's pool.

use fusepool::cache::CachePolicy;
use fusepool::deadpool::ReadError;
use fusepool::{ManualClock, Source, Unanswered};

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
    assert_eq!(pool.snapshot().cache.totals.loads, 2);

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

/// A panic in the load is served like a backend that does not answer, and costs nobody else anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_that_panics_serves_the_default() {
    const KEPT: CachePolicy = CachePolicy::named("kept").fresh_for(Duration::from_secs(5));
    // The report of the panic, with its backtrace, may take longer than callers with a default wait.
    let breaker = Breaker::builder().stall_after(Duration::from_secs(60));
    let pool = builder(server().await)
        .query_timeout(Duration::from_secs(60))
        .breaker(breaker);
    let pool = pool.build().unwrap();
    let boom = |_: Object<Echoes>| async {
        assert!(
            std::hint::black_box(false),
            "this panic is part of the test"
        );
        Ok(String::new())
    };
    let default = pool
        .cached(&KEPT, "a")
        .or_value("the usual")
        .load_served(boom);
    let default = default.await.unwrap();
    let reason = Unanswered::Lost;
    assert_eq!(
        (default.value, default.source),
        ("the usual".to_owned(), Source::Default { reason })
    );
    let lost = pool.cached::<String>(&KEPT, "a").load(boom).await;
    assert!(matches!(lost, Err(ReadError::Lost)), "{lost:?}");
    eventually("its object is back", async || pool.status().available == 1).await;
    let next = pool
        .cached(&KEPT, "a")
        .load(|_| async { Ok("A".to_owned()) });
    assert_eq!(next.await.unwrap(), "A");
}

/// Closing the pool lets a load end. Afterwards, what may be served is served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_pool_serves_what_it_may() {
    const KEPT: CachePolicy = CachePolicy::named("kept").fresh_for(Duration::from_secs(60));
    let pool = builder(server().await).build().unwrap();
    let (send, receive) = tokio::sync::watch::channel(false);
    let slow = move |object: Object<Echoes>| {
        let mut goes_on = receive.clone();
        async move {
            goes_on.wait_for(|goes_on| *goes_on).await.unwrap();
            drop(object);
            Ok("A".to_owned())
        }
    };
    let read = pool.cached(&KEPT, "a").load_served(slow.clone());
    let close = async {
        eventually("it has its object", async || {
            pool.status().available == 0 && pool.status().size == 1
        })
        .await;
        pool.close();
        send.send(true).unwrap();
    };
    let (answer, ()) = tokio::join!(read, close);
    assert_eq!(answer.unwrap().source, Source::Live);
    let fresh = pool
        .cached(&KEPT, "a")
        .load_served(slow.clone())
        .await
        .unwrap();
    assert!(matches!(fresh.source, Source::Fresh { .. }), "{fresh:?}");
    let default = pool
        .cached(&KEPT, "b")
        .or_value("the usual")
        .load_served(slow.clone());
    let reason = Unanswered::Closed;
    assert_eq!(default.await.unwrap().source, Source::Default { reason });
    let error = pool
        .cached::<String>(&KEPT, "b")
        .load(slow)
        .await
        .unwrap_err();
    assert!(matches!(error, ReadError::Lease(_)), "{error:?}");
}
