//! A service reads its settings from a file or from its environment.

use std::time::Duration;

use fusepool::breaker::{Builder, Mode, Ramp, Window};
use fusepool::cache::{CachePolicy, PolicyConfig};
use fusepool::sqlx::SqlitePoolOptions;
use fusepool::{Breaker, GuardConfig};

const FILE: &str = r#"
acquire_timeout = "500ms"
query_timeout = "1m 30s"
max_queue = 200
active_probing = false
side_connections = false
cache_bytes = 1048576

[breaker]
name = "orders"
window = "20s"
window_buckets = 4
minimum_calls = 20
failure_rate = 0.3
slow_call_threshold = "250ms"
slow_call_rate = 0.7
consecutive_failures = "off"
stall_after = "3s"
coalesce_failures = "50ms"
open_duration = "300ms"
open_duration_multiplier = 1.5
max_open_duration = "4s"
jitter = 0
half_open_probes = 2
probe_timeout = "2s"
probe_interval = "100ms"
ramp = "off"
mode = "observe"
"#;

#[tokio::test]
async fn every_setting_can_be_in_a_file() {
    let config: GuardConfig = toml::from_str(FILE).unwrap();
    assert_eq!(config.acquire_timeout, Some(Duration::from_millis(500)));
    assert_eq!(config.query_timeout, Some(Duration::from_secs(90)));
    assert_eq!(config.max_queue, Some(200));
    assert_eq!(
        (config.active_probing, config.side_connections),
        (Some(false), Some(false))
    );
    assert_eq!(config.cache_bytes, Some(1 << 20));

    let pool = SqlitePoolOptions::new().configure(&config);
    let pool = pool.connect_lazy("sqlite::memory:").unwrap();
    assert_eq!(
        pool.options().get_acquire_timeout(),
        Duration::from_millis(500)
    );
    assert_eq!(pool.snapshot().cache.max_bytes, 1 << 20);
    let breaker = pool.gate().breaker().to_builder();
    assert_eq!(&*breaker.get_name(), "orders");
    assert_eq!(
        breaker.get_window(),
        Window::last(Duration::from_secs(20)).buckets(4)
    );
    assert_eq!(breaker.get_minimum_calls(), 20);
    assert_eq!(breaker.get_failure_rate(), Some(0.3));
    assert_eq!(
        breaker.get_slow_call_threshold(),
        Some(Duration::from_millis(250))
    );
    assert_eq!(breaker.get_slow_call_rate(), Some(0.7));
    assert_eq!(breaker.get_consecutive_failures(), None);
    assert_eq!(breaker.get_stall_after(), Some(Duration::from_secs(3)));
    assert_eq!(
        breaker.get_coalesce_failures(),
        Some(Duration::from_millis(50))
    );
    assert_eq!(breaker.get_open_duration(), Duration::from_millis(300));
    assert_eq!(
        breaker.get_open_duration_multiplier().to_bits(),
        1.5_f64.to_bits()
    );
    assert_eq!(breaker.get_max_open_duration(), Duration::from_secs(4));
    assert_eq!(breaker.get_jitter().to_bits(), 0);
    assert_eq!(breaker.get_half_open_probes(), 2);
    assert_eq!(breaker.get_probe_timeout(), Duration::from_secs(2));
    assert_eq!(breaker.get_probe_interval(), Duration::from_millis(100));
    assert_eq!(breaker.get_ramp(), Ramp::Off);
    assert_eq!(breaker.get_mode(), Mode::Observe);
}

/// There, every value is a text, and `envy` has no nested tables.
#[test]
fn the_environment_can_have_the_same_settings() {
    let variables = [
        ("DB_ACQUIRE_TIMEOUT", "500ms"),
        ("DB_MAX_QUEUE", "200"),
        ("DB_SIDE_CONNECTIONS", "false"),
        ("BREAKER_FAILURE_RATE", "0.3"),
        ("BREAKER_SLOW_CALL_RATE", "off"),
        ("BREAKER_WINDOW", "50"),
        ("BREAKER_RAMP", "16"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut config: GuardConfig = envy::prefixed("DB_").from_iter(variables.clone()).unwrap();
    let breaker: Builder = envy::prefixed("BREAKER_").from_iter(variables).unwrap();
    assert_eq!(config.acquire_timeout, Some(Duration::from_millis(500)));
    assert_eq!(config.max_queue, Some(200));
    assert_eq!(config.side_connections, Some(false));
    assert_eq!(config.query_timeout, None);
    assert_eq!(breaker.get_failure_rate(), Some(0.3));
    assert_eq!(breaker.get_slow_call_rate(), None);
    assert_eq!(breaker.get_window(), Window::calls(50));
    assert_eq!(breaker.get_ramp(), Ramp::UpTo(16));
    config.breaker = Some(breaker);
}

#[test]
fn a_wrong_value_is_an_error_that_names_the_setting_and_the_rule() {
    let cases = [
        (
            "query_timeout = \"soon\"",
            "`query_timeout` is \"soon\", but it must be a duration with its unit, such as `250ms` or `5s`",
        ),
        (
            "query_timeout = 5",
            "`query_timeout` is \"5\", but it must be a duration",
        ),
        (
            "max_queue = \"many\"",
            "`max_queue` is \"many\", but it must be a number",
        ),
        (
            "max_queue = 0",
            "`max_queue` is 0, but it must be at least 1",
        ),
        (
            "max_queue = -1",
            "`max_queue` is \"-1\", but it must be a number",
        ),
        (
            "active_probing = \"yes\"",
            "`active_probing` is \"yes\", but it must be `true` or `false`",
        ),
        (
            "query_timeout = \"500ms\"\n[breaker]\nfailure_rate = 0.3",
            "`slow_call_threshold` is 1s, but it must be shorter than the `query_timeout`",
        ),
        (
            "[breaker]\nfailure_rate = 2",
            "`failure_rate` is 2.0, but it must be greater than 0 and at most 1",
        ),
        (
            "[breaker]\nfailure_rate = \"high\"",
            "`failure_rate` is \"high\", but it must be a number, or `off`",
        ),
        (
            "[breaker]\nwindow = \"5 apples\"",
            "`window` is \"5 apples\", but it must be a duration such as `10s`, or a number of calls",
        ),
        (
            "[breaker]\nmode = \"on\"",
            "`mode` is \"on\", but it must be `enforce`, `observe` or `disabled`",
        ),
        ("[breaker]\nfailure_rat = 1", "unknown field `failure_rat`"),
        ("query_timout = \"5s\"", "unknown field `query_timout`"),
    ];
    for (file, message) in cases {
        let error = toml::from_str::<GuardConfig>(file)
            .expect_err(file)
            .to_string();
        assert!(error.contains(message), "{error}");
    }
    let policy = serde_json::from_str::<PolicyConfig>(r#"{ "fresh_for": 5 }"#);
    let error = policy.unwrap_err().to_string();
    assert!(
        error.contains("`fresh_for` is \"5\", but it must be a duration"),
        "{error}"
    );
}

/// The name of a pool is in dashboards and alerts.
#[tokio::test]
async fn a_file_that_names_no_breaker_keeps_the_name() {
    let config: GuardConfig = toml::from_str("[breaker]\nfailure_rate = 0.3").unwrap();
    let pool = SqlitePoolOptions::new()
        .breaker(Breaker::builder().name("orders"))
        .configure(&config)
        .connect_lazy("sqlite::memory:")
        .unwrap();
    assert_eq!(&**pool.gate().breaker().name(), "orders");
    assert_eq!(
        pool.gate().breaker().to_builder().get_failure_rate(),
        Some(0.3)
    );
}

#[test]
fn a_policy_takes_its_durations_from_a_file() {
    const MENU: CachePolicy = CachePolicy::named("menu").fresh_for(Duration::from_secs(5));
    let file = r#"
        stale_while_revalidate = "30s"
        stale_if_error = "10m"
        max_entry_bytes = 4096
        jitter = 0.2
    "#;
    let config: PolicyConfig = toml::from_str(file).unwrap();
    let expected = MENU
        .stale_while_revalidate(Duration::from_secs(30))
        .stale_if_error(Duration::from_secs(600))
        .max_entry_bytes(4096)
        .jitter(0.2);
    assert_eq!(MENU.configured(&config).unwrap(), expected);

    let config: PolicyConfig = toml::from_str("jitter = 3").unwrap();
    let error = MENU.configured(&config).unwrap_err().to_string();
    assert_eq!(error, "`jitter` is 3.0, but it must be from 0 to 1");
}
