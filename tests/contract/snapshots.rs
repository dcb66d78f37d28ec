//! A snapshot as data, for a page or a check of the service's health.

use std::time::Duration;

use fusepool::breaker::{Mode, Window};
use fusepool::sqlx::SqlitePoolOptions;
use fusepool::{Breaker, ManualClock, Verdict};
use serde_json::{Value, json};

#[tokio::test]
async fn its_names_and_units_are_those_of_the_documentation() {
    let clock = ManualClock::new();
    let breaker = Breaker::builder()
        .name("orders")
        .clock(clock.clone())
        .window(Window::calls(8))
        .minimum_calls(4)
        .consecutive_failures(None)
        .slow_call_threshold(Duration::from_millis(250))
        .open_duration(Duration::from_millis(500))
        .jitter(0.0)
        .mode(Mode::Observe);
    let pool = SqlitePoolOptions::new()
        .breaker(breaker)
        .active_probing(false)
        .cache_bytes(1 << 20)
        .connect_lazy("sqlite::memory:")
        .unwrap();
    let snapshot = || serde_json::to_value(pool.snapshot()).unwrap();
    let closed = snapshot();
    assert_eq!(closed["gate"]["breaker"]["tripped_by"], Value::Null);
    assert_eq!(closed["gate"]["breaker"]["retry_after"], Value::Null);

    let breaker = pool.gate().breaker();
    for verdict in [Verdict::Success, Verdict::Failure].repeat(2) {
        breaker.try_acquire().unwrap().settle(verdict);
    }
    clock.advance(Duration::from_millis(125));
    for _ in 0..3 {
        breaker.try_acquire().unwrap().settle(Verdict::Success);
    }
    let _held = breaker.force_open();
    breaker.try_acquire().unwrap_err();
    let expected = json!({
        "gate": {
            "breaker": {
                "name": "orders",
                "state": "forced_open",
                "mode": "observe",
                "window": {
                    "calls": 7,
                    "failures": 2,
                    "slow_calls": 0,
                    "failure_rate": 2.0 / 7.0,
                    "slow_call_rate": 0.0,
                },
                "tripped_by": {
                    "reason": "failure_rate",
                    "rates": {
                        "calls": 4,
                        "failures": 2,
                        "slow_calls": 0,
                        "failure_rate": 0.5,
                        "slow_call_rate": 0.0,
                    },
                    "ago": 0.125,
                },
                "reopened_by": null,
                "slow_call_threshold": 0.25,
                "consecutive_failures": 0,
                "attempt": 1,
                "retry_after": 0.375,
                "totals": {
                    "trips": 1,
                    "time_not_closed": 0.125,
                    "successes": 5,
                    "failures": 2,
                    "ignored": 0,
                    "abandoned": 0,
                    "slow": 0,
                    "discarded": 0,
                    "rejected": 1,
                    "would_be_rejected": 3,
                },
            },
            "waiting": 0,
            "totals": {
                "saturated": 0,
                "deadlines": 0,
                "lost_answers": 0,
                "probes": 0,
                "closed_connections": 0,
            },
        },
        "cache": {
            "entries": 0,
            "bytes": 0,
            "max_bytes": 1_048_576,
            "loading": 0,
            "totals": {
                "hits": 0,
                "revalidating": 0,
                "misses": 0,
                "stale": 0,
                "defaults": 0,
                "alternatives": 0,
                "other_pools": 0,
                "loads": 0,
                "failed_loads": 0,
                "evictions": 0,
                "too_large": 0,
                "outdated": 0,
                "invalidations": 0,
            },
        },
        "size": 0,
        "idle": 0,
        "max_connections": 10,
    });
    assert_eq!(snapshot(), expected);
}
