//! An invalid configuration is an error that names the field, the value and the rule, before any call.

use std::time::Duration;

use fusepool::breaker::{Mode, Ramp, Window};
use fusepool::sqlx::{PoolOptions, SqlitePoolOptions};
use fusepool::{Breaker, ConfigError, Gate};
use sqlx::sqlite::{Sqlite, SqliteConnectOptions};

use crate::support::eventually;

fn refused(options: PoolOptions<Sqlite>) -> ConfigError {
    options
        .build(SqliteConnectOptions::new())
        .expect_err("a refusal")
}

#[tokio::test]
async fn limits_that_can_never_be_met_are_refused() {
    let options = SqlitePoolOptions::new;
    let day = Duration::from_secs(24 * 60 * 60);
    let cases = [
        (options().max_connections(0), "max_connections", "0"),
        (options().max_queue(0), "max_queue", "0"),
        (
            options().acquire_timeout(Duration::ZERO),
            "acquire_timeout",
            "0ns",
        ),
        (
            options().acquire_timeout(day * 2),
            "acquire_timeout",
            "172800s",
        ),
        (
            options().query_timeout(Duration::ZERO),
            "query_timeout",
            "0ns",
        ),
        (
            options().query_timeout(Duration::MAX),
            "query_timeout",
            "18446744073709551615.999999999s",
        ),
        // If calls were cut off at the slow-call threshold, none would be slow.
        (
            options().query_timeout(Duration::from_secs(1)),
            "slow_call_threshold",
            "1s",
        ),
        (
            options().breaker(Breaker::builder().failure_rate(f64::NAN)),
            "failure_rate",
            "NaN",
        ),
        (
            options().breaker(Breaker::builder().window(Window::calls(5))),
            "minimum_calls",
            "10",
        ),
    ];
    for (options, field, value) in cases {
        let error = refused(options);
        assert_eq!((error.field(), error.value()), (field, value), "{error}");
        let text = error.to_string();
        assert!(text.contains(field) && text.contains(value) && text.contains(error.rule()));
    }
}

#[tokio::test]
async fn a_short_deadline_is_fine_when_slow_calls_do_not_count() {
    let options = SqlitePoolOptions::new()
        .query_timeout(Duration::from_millis(100))
        .breaker(Breaker::builder().slow_call_rate(None));
    options.build(SqliteConnectOptions::new()).unwrap();
}

#[tokio::test]
async fn the_ramp_fits_any_pool_unless_it_was_chosen() {
    for size in [1, 2, 3, 4, 100, 1_000_000] {
        let options = SqlitePoolOptions::new().max_connections(size);
        let limits = options.clone().build(SqliteConnectOptions::new());
        assert!(limits.is_ok(), "{size}: {limits:?}");
    }
    let options = SqlitePoolOptions::new().breaker(Breaker::builder().ramp(Ramp::UpTo(2)));
    assert_eq!(refused(options).field(), "ramp");
}

#[tokio::test]
async fn connecting_reports_a_bad_configuration_as_such() {
    let bad = SqlitePoolOptions::new().max_queue(0);
    let errors = [
        bad.clone()
            .connect("sqlite::memory:")
            .await
            .expect_err("a refusal"),
        bad.clone()
            .connect_lazy("sqlite::memory:")
            .expect_err("a refusal"),
    ];
    for error in errors {
        assert_eq!(field_of(&error), Some("max_queue"), "{error}");
    }
}

/// The signature is sqlx's, and cannot return an error.
#[tokio::test]
async fn a_pool_that_could_not_refuse_its_configuration_answers_every_call_with_it() {
    let pool = SqlitePoolOptions::new()
        .max_queue(0)
        .connect_lazy_with(SqliteConnectOptions::new());
    let error = sqlx::query("SELECT 1")
        .execute(&pool)
        .await
        .expect_err("a refusal");
    assert_eq!(field_of(&error), Some("max_queue"), "{error}");
    assert_eq!(
        field_of(&pool.acquire().await.unwrap_err()),
        Some("max_queue")
    );
    assert_eq!(
        field_of(&pool.begin().await.unwrap_err()),
        Some("max_queue")
    );
    assert!(pool.try_acquire().is_none());
}

/// Otherwise it would count as a failure of the database at every call.
#[tokio::test]
async fn a_deadline_that_no_statement_can_meet_is_refused() {
    let pool = SqlitePoolOptions::new()
        .connect_lazy("sqlite::memory:")
        .unwrap();
    for limit in [Duration::ZERO, Duration::MAX] {
        let error = sqlx::query("SELECT 1")
            .execute(pool.with_timeout(limit))
            .await
            .expect_err("a refusal");
        assert_eq!(field_of(&error), Some("with_timeout"), "{error}");
        let error = sqlx::query("SELECT 1")
            .fetch_one(pool.with_timeout(limit))
            .await
            .expect_err("a refusal");
        assert_eq!(field_of(&error), Some("with_timeout"), "{error}");
    }
    assert_eq!(pool.snapshot().gate.breaker.totals.failures, 0);
}

/// One invalid statement that is run repeatedly must not open the breaker for all callers.
#[tokio::test]
async fn what_the_driver_itself_does_not_accept_is_no_fault() {
    let pool = SqlitePoolOptions::new()
        .connect_lazy("sqlite::memory:")
        .unwrap();
    for _ in 0..10 {
        let error = sqlx::query("SELECT @name").execute(&pool).await;
        let error = error.expect_err("an unsupported parameter");
        assert!(matches!(error, sqlx::Error::Protocol(_)), "{error:?}");
    }
    let snapshot = pool.snapshot().gate;
    assert_eq!(
        (
            snapshot.breaker.totals.failures,
            snapshot.totals.closed_connections
        ),
        (0, 0)
    );
}

#[tokio::test]
async fn an_existing_pool_brings_its_own_acquire_timeout() {
    let existing = sqlx::sqlite::SqlitePoolOptions::new()
        .acquire_timeout(Duration::ZERO)
        .connect_lazy("sqlite::memory:")
        .unwrap();
    let pool = fusepool::sqlx::SqlitePool::from(existing);
    let error = pool.acquire().await.expect_err("a refusal");
    assert_eq!(field_of(&error), Some("acquire_timeout"), "{error}");
}

#[cfg(all(feature = "sqlx-mysql", feature = "sqlx-postgres"))]
#[tokio::test]
async fn a_url_that_cannot_be_parsed_is_a_configuration_error() {
    use fusepool::sqlx::{MySqlPool, PgPool, SqlitePool};
    let errors = [
        PgPool::connect("postgres//nowhere")
            .await
            .expect_err("a refusal"),
        MySqlPool::connect("mysql//nowhere")
            .await
            .expect_err("a refusal"),
        SqlitePool::connect("sqlite://x?mode=unheard_of")
            .await
            .expect_err("a refusal"),
    ];
    for error in errors {
        assert!(matches!(error, sqlx::Error::Configuration(_)), "{error:?}");
    }
}

#[test]
fn a_gate_refuses_what_a_pool_refuses() {
    let gate = Gate::builder(Breaker::builder()).call_timeout(Duration::ZERO);
    assert_eq!(gate.build().expect_err("a refusal").field(), "call_timeout");
}

fn field_of(error: &sqlx::Error) -> Option<&'static str> {
    match error {
        sqlx::Error::Configuration(source) => {
            source.downcast_ref::<ConfigError>().map(ConfigError::field)
        }
        _ => None,
    }
}

#[tokio::test]
async fn an_existing_pool_without_connections_is_told_so() {
    let existing = sqlx::sqlite::SqlitePoolOptions::new().connect_lazy("sqlite::memory:");
    let refused = SqlitePoolOptions::new()
        .max_queue(0)
        .guard(existing.unwrap());
    assert_eq!(refused.expect_err("a refusal").field(), "max_queue");
}

/// A caller must be able to distinguish these: a closed pool does not recover.
#[tokio::test]
async fn a_closed_pool_says_so_even_while_its_breaker_is_open() {
    let pool = SqlitePoolOptions::new()
        .connect_lazy("sqlite::memory:")
        .unwrap();
    let _open = pool.gate().breaker().force_open();
    pool.close().await;
    let error = pool.acquire().await.expect_err("a closed pool");
    assert!(matches!(error, sqlx::Error::PoolClosed), "{error:?}");
}

/// Regression test: it was refused when a pool is built, and accepted later.
#[tokio::test]
async fn a_slow_call_threshold_past_the_deadline_is_refused_at_run_time_too() {
    let pool = SqlitePoolOptions::new()
        .query_timeout(Duration::from_secs(2))
        .connect_lazy("sqlite::memory:")
        .unwrap();
    let gate = Gate::builder(Breaker::builder()).call_timeout(Duration::from_secs(2));
    let gate = gate.build().unwrap();
    for (gate, deadline) in [(pool.gate(), "query_timeout"), (&gate, "call_timeout")] {
        let breaker = gate.breaker();
        let slow = |time| breaker.to_builder().slow_call_threshold(time);
        for time in [2, 3].map(Duration::from_secs) {
            let error = breaker.reconfigure(slow(time)).expect_err("a refusal");
            assert_eq!(error.field(), "slow_call_threshold");
            assert!(error.rule().contains(deadline), "{error}");
        }
        assert_eq!(
            breaker.to_builder().get_slow_call_threshold(),
            Some(Duration::from_secs(1))
        );
        breaker
            .reconfigure(slow(Duration::from_millis(1_999)))
            .unwrap();
        let uncounted = slow(Duration::from_secs(3)).slow_call_rate(None);
        breaker.reconfigure(uncounted).unwrap();
    }
}

/// A breaker that only observes must not refuse anybody, for whatever reason.
#[tokio::test]
async fn a_breaker_that_does_not_enforce_refuses_nobody_in_the_queue() {
    for mode in [Mode::Observe, Mode::Disabled] {
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .max_queue(1)
            .breaker(Breaker::builder().mode(mode))
            .connect("sqlite::memory:")
            .await
            .unwrap();
        let held = pool.acquire().await.unwrap();
        let mut waiting: Vec<_> = (0..10).map(|_| tokio::spawn(pool.acquire())).collect();
        eventually("all of them wait", async || {
            pool.snapshot().gate.waiting == 10
        })
        .await;
        drop(held);
        for waiting in waiting.drain(..) {
            drop(waiting.await.unwrap().unwrap());
        }
        assert_eq!(pool.snapshot().gate.totals.saturated, 0, "{mode:?}");
    }
}
