//! Warnings about settings that are valid, and do not do what they should.

use std::time::Duration;

use diesel_async::AsyncMysqlConnection;
use diesel_async::pooled_connection::AsyncDieselConnectionManager;
use fusepool::breaker::{Builder, Mode, State, Window};
use fusepool::lint::{Code, Load, Warning};
use fusepool::sqlx::{MySqlPoolOptions, PgPoolOptions, SqlitePoolOptions};
use fusepool::{Breaker, GuardConfig, ManualClock, Verdict, deadpool};
use sqlx::Executor;
use tokio::time::timeout;

use crate::support::eventually;
use crate::support::mariadb::MariaDb;
use crate::support::postgres::Postgres;
use crate::support::proxy::{Fault, Proxy};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A service like many: some instances behind a proxy that waits for a minute.
fn ordinary() -> Load {
    Load::default()
        .calls_per_second(5.0)
        .request_deadline(secs(60))
        .replicas(4)
}

fn config(change: impl FnOnce(&mut GuardConfig)) -> GuardConfig {
    let mut config = GuardConfig::default();
    change(&mut config);
    config
}

fn breaker(breaker: Builder) -> GuardConfig {
    config(|config| config.breaker = Some(breaker))
}

fn codes(warnings: &[Warning]) -> Vec<Code> {
    warnings.iter().map(|warning| warning.code).collect()
}

/// The numbers and the advice of the only warning.
fn only(warnings: &[Warning], code: Code) -> (&str, &str) {
    assert_eq!(codes(warnings), [code], "{warnings:?}");
    (&warnings[0].numbers, &warnings[0].set)
}

#[tokio::test]
async fn the_defaults_cause_no_warning_on_any_kind_of_pool() {
    let (postgres, mariadb) = (Postgres::start().await, MariaDb::start().await);
    let load = ordinary();
    let none: [Warning; 0] = [];

    let pool = PgPoolOptions::new().load(load);
    let pool = pool.connect_lazy(&postgres.url()).unwrap();
    assert_eq!(pool.lint(&load).await.unwrap(), none);
    assert_eq!(pool.gate().warnings(), none);

    let pool = MySqlPoolOptions::new().load(load);
    let pool = pool.connect_lazy(&mariadb.url()).unwrap();
    assert_eq!(pool.lint(&load).await.unwrap(), none);
    assert_eq!(pool.gate().warnings(), none);

    let pool = SqlitePoolOptions::new().load(load);
    let pool = pool.connect_lazy("sqlite::memory:").unwrap();
    assert_eq!(pool.lint(&load).await.unwrap(), none);
    assert_eq!(pool.gate().warnings(), none);

    let pool = crate::support::deadpool::builder(&postgres, postgres.addr().port());
    let pool = pool.load(load).build().unwrap();
    assert_eq!(pool.lint(&load).await.unwrap(), none);
    assert_eq!(pool.gate().warnings(), none);

    let url = format!("{}?prefer_socket=false", mariadb.url());
    let manager = AsyncDieselConnectionManager::<AsyncMysqlConnection>::new(url);
    let pool = deadpool::diesel::Pool::builder(manager);
    let pool: deadpool::diesel::Pool<deadpool::diesel::AsyncMysqlConnection> =
        pool.load(load).build().unwrap();
    assert_eq!(pool.lint(&load).await.unwrap(), none);
    assert_eq!(pool.gate().warnings(), none);
}

#[tokio::test]
async fn the_pools_of_all_instances_do_not_fit_on_postgres() {
    let server = Postgres::start_with(&[("max_connections", "40")]).await;
    let fleet = |instances| Load::default().replicas(instances);
    let pool = PgPoolOptions::new().connect_lazy(&server.url()).unwrap();
    let warnings = pool.lint(&fleet(8)).await.unwrap();
    let (numbers, set) = only(&warnings, Code::ConnectionsBeyondServer);
    assert_eq!(
        numbers,
        "(10 connections + 3 beside the pool) × 8 replicas = 104 > 37 = `max_connections` 40 − 3 reserved"
    );
    assert_eq!(set, "the size of the pool to at most 1");
    let small = PgPoolOptions::new().max_connections(1);
    let small = small.connect_lazy(&server.url()).unwrap();
    assert_eq!(small.lint(&fleet(8)).await.unwrap(), []);
    let warnings = small.lint(&fleet(20)).await.unwrap();
    let (_, set) = only(&warnings, Code::ConnectionsBeyondServer);
    assert_eq!(
        set,
        "the server's limit to at least 80, or put a pooler in between"
    );

    let limit = "ALTER ROLE app CONNECTION LIMIT 12";
    let mut admin = server.connect().await.unwrap();
    admin.execute(limit).await.unwrap();
    let url = server.url_as("app", "secret", "postgres", server.addr().port());
    let warnings = PgPoolOptions::new().connect_lazy(&url).unwrap();
    let warnings = warnings.lint(&Load::default()).await.unwrap();
    let (numbers, set) = only(&warnings, Code::ConnectionsBeyondServer);
    assert_eq!(
        numbers,
        "(10 connections + 3 beside the pool) × 1 replicas = 13 > 12 = the limit of this user"
    );
    assert_eq!(set, "the size of the pool to at most 9");
}

#[tokio::test]
async fn the_pools_of_all_instances_do_not_fit_on_mariadb() {
    let server = MariaDb::start_with(&[("max_connections", "30")]).await;
    let load = Load::default().replicas(3);
    let pool = MySqlPoolOptions::new().connect_lazy(&server.url()).unwrap();
    let warnings = pool.lint(&load).await.unwrap();
    let (numbers, set) = only(&warnings, Code::ConnectionsBeyondServer);
    assert_eq!(
        numbers,
        "(10 connections + 3 beside the pool) × 3 replicas = 39 > 30 = `max_connections` 30 − 0 reserved"
    );
    assert_eq!(set, "the size of the pool to at most 7");

    let limit = "ALTER USER app WITH MAX_USER_CONNECTIONS 5";
    let mut admin = server.connect().await.unwrap();
    admin.execute(limit).await.unwrap();
    let url = server.url_as("app", "secret", "test", server.addr().port());
    let manager = AsyncDieselConnectionManager::<AsyncMysqlConnection>::new(url);
    let pool = deadpool::diesel::Pool::builder(manager);
    let pool: deadpool::diesel::Pool<deadpool::diesel::AsyncMysqlConnection> =
        pool.max_size(4).build().unwrap();
    let warnings = pool.lint(&Load::default()).await.unwrap();
    let (numbers, _) = only(&warnings, Code::ConnectionsBeyondServer);
    assert_eq!(
        numbers,
        "(4 connections + 3 beside the pool) × 1 replicas = 7 > 5 = the limit of this user"
    );
}

/// A pool that is told how many instances there are asks its server by itself, once.
#[tokio::test]
async fn a_pool_warns_by_itself() {
    let server = Postgres::start().await;
    let load = Load::default().replicas(9).request_deadline(secs(10));
    let pool = PgPoolOptions::new().load(load);
    let pool = pool.connect_lazy(&server.url()).unwrap();
    let built = pool.gate().warnings();
    only(&built, Code::DeadlineBeyondRequest);
    pool.execute("SELECT 1").await.unwrap();
    let both = [Code::DeadlineBeyondRequest, Code::ConnectionsBeyondServer];
    let warned = async || codes(&pool.gate().warnings()) == both;
    eventually("the warning about the server", warned).await;
    assert_eq!(codes(&pool.lint(&load).await.unwrap()), both);
    assert_eq!(codes(&pool.gate().warnings()), both);
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_an_error() {
    let server = Postgres::start().await;
    let proxy = Proxy::start(server.addr()).await.unwrap();
    proxy.set(Fault::Refuse);
    let pool = PgPoolOptions::new().connect_lazy(&server.url_via(proxy.addr().port()));
    pool.unwrap().lint(&Load::default()).await.unwrap_err();
}

#[tokio::test]
async fn probes_that_cannot_end_in_their_time() {
    let server = Postgres::start().await;
    let none = Load::default();
    let probing = |limit: Duration, sql: &str| {
        let breaker = Breaker::builder().probe_timeout(limit);
        let options = PgPoolOptions::new().breaker(breaker).probe_query(sql);
        options.connect_lazy(&server.url()).unwrap()
    };
    let late = probing(secs(2), "SELECT pg_sleep(1.2)");
    let warnings = late.lint(&none).await.unwrap();
    let (numbers, set) = only(&warnings, Code::ProbesTooSlow);
    assert!(numbers.starts_with("a ping took 1."), "{numbers}");
    assert!(numbers.ends_with("s, of `probe_timeout` 2s"), "{numbers}");
    assert!(set.starts_with("`probe_timeout` to "), "{set}");
    let silent = probing(ms(300), "SELECT pg_sleep(60)");
    let warnings = silent.lint(&none).await.unwrap();
    let (numbers, _) = only(&warnings, Code::ProbesTooSlow);
    assert_eq!(
        numbers,
        "a ping got no answer in the `probe_timeout` of 300ms"
    );
}

/// The queue and the statements of a request that has ended.
#[test]
fn deadlines_beyond_that_of_the_request() {
    let load = Load::default().request_deadline(secs(5));
    let warnings = GuardConfig::default().lint(10, &load);
    let (numbers, set) = only(&warnings, Code::DeadlineBeyondRequest);
    assert_eq!(
        numbers,
        "`acquire_timeout` 2s + `query_timeout` 30s = 32s > 5s"
    );
    assert_eq!(set, "`query_timeout` to at most 3s");
    assert_eq!(
        warnings[0].to_string(),
        "deadline_beyond_request: a statement may take longer than its request: `acquire_timeout` 2s + \
         `query_timeout` 30s = 32s > 5s; its client has left, and nobody reads the answer for which a \
         connection is held. Set `query_timeout` to at most 3s."
    );
    let right = config(|config| config.query_timeout = Some(secs(3)));
    assert_eq!(right.lint(10, &load), []);

    let load = load.request_deadline(secs(2)).calls_per_second(100.0);
    let wrong = config(|config| config.acquire_timeout = Some(secs(8)));
    let warnings = wrong.lint(10, &load);
    let both = [Code::DeadlineBeyondRequest, Code::QueueBeyondRequest];
    assert_eq!(codes(&warnings), both);
    assert_eq!(
        warnings[1].numbers,
        "100 calls/s × `acquire_timeout` 8s = 800 callers in the queue, of whom 100 calls/s × 2s = 200 \
         still wait"
    );
    let right = config(|config| {
        config.acquire_timeout = Some(secs(1));
        config.query_timeout = Some(secs(1));
    });
    let slow = Breaker::builder().slow_call_threshold(ms(500));
    let right = config(|config| {
        *config = right.clone();
        config.breaker = Some(slow);
    });
    assert_eq!(right.lint(10, &load), []);
}

/// The rates of a breaker are never judged at such a load, and with the advice they are.
#[test]
fn minimum_calls_that_are_never_reached() {
    let load = Load::default().calls_per_second(0.5);
    let rules = Breaker::builder()
        .consecutive_failures(None)
        .stall_after(None);
    let warnings = breaker(rules.clone()).lint(10, &load);
    let (numbers, set) = only(&warnings, Code::MinimumCallsOutOfReach);
    assert_eq!(
        numbers,
        "0.5 calls/s × `window` 10s = 5.0 calls < `minimum_calls` 10"
    );
    assert_eq!(set, "`minimum_calls` to 2, or `window` to 40s");
    let fewer = rules.clone().minimum_calls(2);
    let longer = rules.clone().window(Window::last(secs(40)));
    for right in [&fewer, &longer] {
        assert_eq!(breaker(right.clone()).lint(10, &load), []);
    }

    let state = |rules: Builder| {
        let clock = ManualClock::new();
        let breaker = rules.clock(clock.clone()).build().unwrap();
        for _ in 0..100 {
            clock.advance(secs(2));
            breaker.observe().settle(Verdict::Failure);
        }
        breaker.state()
    };
    assert_eq!(
        state(rules),
        State::Closed,
        "100 failures, and nothing else"
    );
    assert_eq!((state(fewer), state(longer)), (State::Open, State::Open));
}

/// A silent server, and callers that leave: with the advice, the breaker opens.
#[tokio::test]
async fn a_hang_that_no_rule_notices() {
    let load = Load::default().request_deadline(ms(200));
    let server = Postgres::start().await;
    let proxy = Proxy::start(server.addr()).await.unwrap();
    let rules = Breaker::builder().slow_call_rate(None).stall_after(None);
    let opens = async |rules: Builder, rounds: u32| {
        let pool = PgPoolOptions::new().breaker(rules.mode(Mode::Enforce));
        let pool = pool
            .connect_lazy(&server.url_via(proxy.addr().port()))
            .unwrap();
        pool.execute("SELECT 1").await.unwrap();
        proxy.set(Fault::Stall);
        let is_open = || pool.gate().breaker().state() != State::Closed;
        for _ in 0..rounds {
            if is_open() {
                break;
            }
            let calls = (0..10).map(|_| timeout(ms(200), pool.execute("SELECT 1")));
            futures_util::future::join_all(calls).await;
        }
        proxy.set(Fault::None);
        is_open()
    };
    let warnings = breaker(rules.clone()).lint(10, &load);
    let hang = warnings
        .iter()
        .find(|warning| warning.code == Code::HangUnnoticed);
    let hang = hang.unwrap();
    assert_eq!(
        hang.numbers,
        "callers leave after 200ms; `query_timeout` is 30s, `stall_after` off, `slow_call_threshold` off"
    );
    assert_eq!(
        hang.set,
        "`stall_after`, or `query_timeout` to at most 200ms"
    );
    assert!(!opens(rules.clone(), 5).await, "nothing is a failure");

    let right = rules.stall_after(ms(300));
    let warnings = breaker(right.clone()).lint(10, &load);
    assert!(!codes(&warnings).contains(&Code::HangUnnoticed));
    assert!(opens(right, 100).await);
}

#[test]
fn open_durations_of_a_fleet_that_align() {
    let aligned = breaker(Breaker::builder().jitter(0.0));
    let warnings = aligned.lint(10, &Load::default().replicas(50));
    let (numbers, set) = only(&warnings, Code::OpenDurationsAlign);
    assert_eq!(
        numbers,
        "50 instances × 1 probes = 50 at once, every 200ms, with `jitter` 0"
    );
    assert_eq!(set, "`jitter` to 0.2");
    assert_eq!(aligned.lint(10, &Load::default().replicas(1)), []);
    assert_eq!(aligned.lint(10, &Load::default()), []);
}

#[test]
fn probes_that_hold_the_connections() {
    let by_calls = config(|config| config.active_probing = Some(false));
    let warnings = by_calls.lint(10, &Load::default());
    let (numbers, set) = only(&warnings, Code::CapacityLost);
    assert_eq!(
        numbers,
        "3 probes × 30s ÷ (`max_open_duration` 5s × 10 connections) = 180 % > 10 %"
    );
    assert_eq!(
        set,
        "`active_probing` to `true`, or `max_open_duration` to 90s"
    );
    let rare = Breaker::builder().max_open_duration(secs(90));
    let rare = config(|config| {
        *config = by_calls.clone();
        config.breaker = Some(rare);
    });
    assert_eq!(rare.lint(10, &Load::default()), []);
    // Callers that leave free their connections.
    let impatient = Load::default().request_deadline(secs(1));
    assert!(!codes(&by_calls.lint(10, &impatient)).contains(&Code::CapacityLost));
}
