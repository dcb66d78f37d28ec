//! The events of a pool and its cache, on a real database, so that SQL text and arguments could leak.

use std::time::Duration;

use fusepool::cache::CachePolicy;
use fusepool::lint::Load;
use fusepool::sqlx::{ReadExt, SqlitePool, SqlitePoolOptions};
use fusepool::telemetry::TracingSink;
use fusepool::{Breaker, ManualClock, Verdict};
use sqlx::sqlite::SqliteConnectOptions;
use tracing::Level;

use crate::gate::listen;

async fn pool(directory: &tempfile::TempDir) -> SqlitePool {
    let file = SqliteConnectOptions::new()
        .filename(directory.path().join("secret.db"))
        .create_if_missing(true);
    SqlitePoolOptions::new()
        .breaker(
            Breaker::builder()
                .name("orders")
                .open_duration(Duration::from_millis(1)),
        )
        .connect_with(file)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_probe_and_a_closed_connection_are_reported() {
    let (_, _, recorder, _guard) = listen();
    let directory = tempfile::tempdir().unwrap();
    let pool = pool(&directory).await;
    let mut lease = pool.acquire().await.unwrap();
    lease.close_on_drop();
    drop(lease);
    let closed = recorder.only("closed_connection");
    assert_eq!(
        (closed.target.as_str(), closed.level),
        ("fusepool::gate", Level::DEBUG)
    );
    assert_eq!(closed.names(), ["pool", "reason"]);

    for _ in 0..5 {
        pool.gate().breaker().observe().settle(Verdict::Failure);
    }
    let closes = async {
        while pool.snapshot().gate.totals.probes == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), closes)
        .await
        .unwrap();
    let probe = recorder
        .take()
        .into_iter()
        .find(|event| event.name == "probe")
        .unwrap();
    assert_eq!(
        (probe.target.as_str(), probe.level),
        ("fusepool::gate", Level::DEBUG)
    );
    assert_eq!(probe.names(), ["pool"]);
}

#[tokio::test]
async fn what_the_cache_does_is_reported() {
    const MENU: CachePolicy = CachePolicy::named("menu")
        .fresh_for(Duration::from_secs(60))
        .stale_if_error(Duration::from_secs(60))
        .tag("dishes");
    const SMALL: CachePolicy = MENU.max_entry_bytes(1);
    let (_, _, recorder, _guard) = listen();
    let directory = tempfile::tempdir().unwrap();
    let pool = pool(&directory).await;
    let one = || sqlx::query_scalar::<_, i64>("SELECT 1");
    recorder.take();

    one().cached(&MENU).fetch_one(&pool).await.unwrap();
    let load = recorder.only("load");
    assert_eq!(
        (load.target.as_str(), load.level),
        ("fusepool::cache", Level::DEBUG)
    );
    assert_eq!(load.names(), ["bytes", "policy", "pool", "took"]);
    assert_eq!(load.fields["policy"], "menu");

    // A fresh answer causes no event.
    one().cached(&MENU).fetch_one(&pool).await.unwrap();
    assert_eq!(recorder.take(), []);

    pool.cache().invalidate_tag("dishes");
    let invalidated = recorder.only("invalidated");
    assert_eq!(invalidated.target, "fusepool::cache");
    assert_eq!(invalidated.names(), ["pool"]);

    let open = pool.gate().breaker().force_open();
    one()
        .cached(&MENU)
        .or_value(2_i64)
        .fetch_one(&pool)
        .await
        .unwrap();
    let fallback = recorder.only("fallback");
    assert_eq!(
        (fallback.target.as_str(), fallback.level),
        ("fusepool::cache", Level::DEBUG)
    );
    assert_eq!(fallback.names(), ["policy", "pool", "reason", "source"]);
    assert_eq!(
        (
            fallback.fields["source"].as_str(),
            fallback.fields["reason"].as_str()
        ),
        ("default", "open")
    );
    drop(open);

    one().cached(&SMALL).fetch_one(&pool).await.unwrap();
    let not_kept = recorder.only("not_kept");
    assert_eq!(not_kept.target, "fusepool::cache");
    assert_eq!(not_kept.names(), ["policy", "pool", "reason"]);
    assert_eq!(not_kept.fields["reason"], "too_large");
}

#[tokio::test]
async fn a_stale_answer_is_reported_with_its_age() {
    const MENU: CachePolicy = CachePolicy::named("menu")
        .database_first()
        .stale_if_error(Duration::from_secs(60));
    let (_, _, recorder, _guard) = listen();
    let clock = ManualClock::new();
    let pool: SqlitePool = SqlitePoolOptions::new()
        .breaker(Breaker::builder().clock(clock.clone()))
        .connect_lazy("sqlite::memory:")
        .unwrap();
    let one = || sqlx::query_scalar::<_, i64>("SELECT 1").cached(&MENU);
    one().fetch_one(&pool).await.unwrap();
    clock.advance(Duration::from_secs(3));
    let _open = pool.gate().breaker().force_open();
    one().fetch_one(&pool).await.unwrap();
    let fallback = recorder.only("fallback");
    assert_eq!(
        fallback.names(),
        ["age", "policy", "pool", "reason", "source"]
    );
    assert_eq!(fallback.fields["age"], "3.0");
    assert_eq!(fallback.fields["source"], "stale");
}

#[tokio::test]
async fn no_event_carries_a_statement_or_its_arguments() {
    const POLICY: CachePolicy = CachePolicy::named("x").fresh_for(Duration::from_secs(1));
    let (_, _, recorder, _guard) = listen();
    let directory = tempfile::tempdir().unwrap();
    let pool = pool(&directory).await;
    for sql in [
        "SELECT 'hunter2' = ?",
        "SELECT hunter2 FROM nowhere WHERE x = ?",
    ] {
        let _ = sqlx::query(sql).bind("hunter2").execute(&pool).await;
        let read = sqlx::query_scalar::<_, bool>(sql).bind("hunter2");
        let read = read.cached(&POLICY).vary_by("hunter2").tag("hunter2");
        let _ = read.fetch_all(&pool).await;
    }
    let open = pool.gate().breaker().force_open();
    sqlx::query("SELECT 'hunter2'")
        .execute(&pool)
        .await
        .unwrap_err();
    drop(open);
    let events = format!("{:?}", recorder.take());
    assert!(events.contains("rejected"), "{events}");
    assert!(!events.contains("hunter2"), "{events}");
}

#[tokio::test]
async fn each_step_of_a_call_is_reported_if_a_sink_wants_that() {
    let (_, _, recorder, _guard) = listen();
    let directory = tempfile::tempdir().unwrap();
    let file = SqliteConnectOptions::new()
        .filename(directory.path().join("shop.db"))
        .create_if_missing(true);
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(Duration::from_millis(100))
        .tracing(false)
        .sink(TracingSink::default().with_calls())
        .connect_lazy_with(file);
    let held = pool.acquire().await.unwrap();
    pool.acquire().await.unwrap_err();
    drop(held);
    pool.acquire().await.unwrap();
    sqlx::query("SELECT * FROM missing")
        .execute(&pool)
        .await
        .unwrap_err();

    let events = recorder.take();
    let calls = events.iter().filter(|event| event.level == Level::TRACE);
    let calls: Vec<_> = calls
        .map(|event| (event.name.as_str(), event.names()))
        .collect();
    let connected = ("connected", vec!["pool", "took"]);
    let acquired = ("acquired", vec!["pool", "waited"]);
    let released = ("released", vec!["pool", "used"]);
    let failed = ("acquire_failed", vec!["pool", "verdict", "waited"]);
    let ended = ("ended", vec!["code", "error", "pool", "took", "verdict"]);
    let expected = [
        connected,
        acquired.clone(),
        failed,
        released.clone(),
        acquired.clone(),
        released.clone(),
        acquired,
        ended,
        released,
    ];
    assert_eq!(calls, expected);
    let ended = events.iter().find(|event| event.name == "ended").unwrap();
    assert_eq!(
        (
            ended.fields["code"].as_str(),
            ended.fields["error"].as_str()
        ),
        ("1", "1")
    );
    assert_eq!(ended.fields["verdict"], "success", "an answer");
    assert!(events.iter().all(|event| event.target == "fusepool::gate"));
}

#[tokio::test]
async fn a_setting_that_does_not_fit_is_reported_once() {
    let (_, _, recorder, _guard) = listen();
    recorder.take();
    let load = Load::default().request_deadline(Duration::from_secs(10));
    let options = SqlitePoolOptions::new().load(load).max_connections(1);
    let pool = options.connect_lazy("sqlite::memory:").unwrap();
    let lint = recorder.only("lint");
    assert_eq!(
        (lint.target.as_str(), lint.level),
        ("fusepool::lint", Level::WARN)
    );
    assert_eq!(
        lint.names(),
        ["code", "numbers", "pool", "set", "what", "why"]
    );
    assert_eq!(lint.fields["code"], "deadline_beyond_request");
    assert_eq!(lint.fields["set"], "`query_timeout` to at most 8s");
    assert_eq!(pool.gate().warnings().len(), 1);

    sqlx::query("SELECT 1").execute(&pool).await.unwrap();
    let warnings = pool.lint(&load).await.unwrap();
    assert_eq!(warnings, pool.gate().warnings());
    assert!(recorder.take().iter().all(|event| event.name != "lint"));
}
