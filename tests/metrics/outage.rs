//! What the metrics tell of an outage.

use std::time::{Duration, Instant};

use fusepool::breaker::{Mode, State};
use fusepool::cache::{CachePolicy, SMALLEST_CACHE_BYTES};
use fusepool::sqlx::{PgPool, PgPoolOptions, ReadExt};
use fusepool::{Breaker, Source};

use crate::scrape::Prometheus;
use crate::support::eventually;
use crate::support::postgres::Postgres;
use crate::support::proxy::{Fault, Proxy};

const MENU: CachePolicy = CachePolicy::named("menu")
    .fresh_for(Duration::from_secs(1))
    .stale_if_error(Duration::from_secs(600));

/// A pool behind a proxy, and its metrics.
pub struct Shop {
    _server: Postgres,
    pub proxy: Proxy,
    pub pool: PgPool,
    pub metrics: Prometheus,
}

impl Shop {
    pub async fn open() -> Self {
        Self::open_with(|options| options).await
    }

    pub async fn open_with(change: impl FnOnce(PgPoolOptions) -> PgPoolOptions) -> Self {
        let server = Postgres::start().await;
        let proxy = Proxy::start(server.addr()).await.unwrap();
        let metrics = Prometheus::listen();
        let breaker = Breaker::builder()
            .name("shop")
            .slow_call_threshold(Duration::from_millis(150))
            .open_duration(Duration::from_millis(100))
            .probe_timeout(Duration::from_millis(200));
        let pool = PgPoolOptions::new()
            .max_connections(2)
            .acquire_timeout(Duration::from_millis(300))
            .query_timeout(Duration::from_secs(1))
            .cache_bytes(SMALLEST_CACHE_BYTES)
            .breaker(breaker)
            .metrics();
        let url = server.url_via(proxy.addr().port());
        let pool = change(pool).connect_lazy(&url).unwrap();
        Self {
            _server: server,
            proxy,
            pool,
            metrics,
        }
    }

    async fn run(&self) -> sqlx::Result<()> {
        sqlx::query("SELECT 1").execute(&self.pool).await.map(drop)
    }

    async fn menu(&self) -> Source {
        let menu = sqlx::query_scalar::<_, i32>("SELECT 7").cached(&MENU);
        menu.fetch_one_served(&self.pool).await.unwrap().source
    }

    async fn is(&self, state: State) {
        let reached = || self.pool.gate().breaker().state() == state;
        eventually(state.as_str(), async || reached()).await;
        let one = [("state", state.as_str())];
        assert_eq!(self.metrics.sum("fusepool_breaker_state", &one), Some(1.0));
        assert_eq!(self.metrics.sum("fusepool_breaker_state", &[]), Some(1.0));
    }

    /// Trips the breaker by a silent network, and heals that.
    pub async fn outage(&self) {
        assert_eq!(self.menu().await, Source::Live);
        let fresh = async || matches!(self.menu().await, Source::Fresh { .. });
        eventually("a fresh answer", fresh).await;
        self.is(State::Closed).await;
        self.proxy.set(Fault::Stall);
        eventually("the breaker to open", async || {
            let _ = self.run().await;
            self.pool.gate().breaker().state() == State::Open
        })
        .await;
        let stale = async || matches!(self.menu().await, Source::Stale { .. });
        eventually("a stale answer", stale).await;
        self.metrics.becomes("fusepool_cache_stale", &[], 1.0).await;
        eventually("a failed probe", async || {
            let failed = [("outcome", "failed")];
            self.metrics.sum("fusepool_probes", &failed).is_some()
        })
        .await;
        self.proxy.set(Fault::None);
        eventually("recovery", async || self.run().await.is_ok()).await;
        eventually("the breaker to close", async || {
            let _ = self.run().await;
            self.pool.gate().breaker().state() == State::Closed
        })
        .await;
    }

    /// Fills the cache until it evicts answers.
    pub async fn evict(&self) {
        const BIG: CachePolicy = CachePolicy::named("big").fresh_for(Duration::from_secs(600));
        for size in 10_000..10_020 {
            let text = sqlx::query_scalar::<_, String>("SELECT repeat('x', $1)").bind(size);
            text.cached(&BIG).fetch_one(&self.pool).await.unwrap();
        }
    }

    /// Makes a caller wait in vain.
    pub async fn starve(&self) {
        let held = (
            self.pool.acquire().await.unwrap(),
            self.pool.acquire().await.unwrap(),
        );
        let used = [("db_client_connection_state", "used")];
        let metrics = &self.metrics;
        metrics
            .becomes("db_client_connection_count", &used, 2.0)
            .await;
        self.run().await.unwrap_err();
        drop(held);
    }
}

#[tokio::test]
async fn an_outage_is_seen_from_its_beginning_to_its_end() {
    let shop = Shop::open().await;
    let began = Instant::now();
    shop.outage().await;
    let metrics = &shop.metrics;
    let sum = |name: &str, labels: &[(&str, &str)]| metrics.sum(name, labels);

    let opened = [("from", "closed"), ("to", "open")];
    assert_eq!(sum("fusepool_breaker_transitions", &opened), Some(1.0));
    let closed = [("to", "closed"), ("reason", "probes_succeeded")];
    assert_eq!(sum("fusepool_breaker_transitions", &closed), Some(1.0));
    assert_eq!(sum("fusepool_breaker_open_duration_count", &[]), Some(1.0));
    let open = sum("fusepool_breaker_open_duration_sum", &[]).unwrap();
    assert!(open > 0.1 && open < began.elapsed().as_secs_f64(), "{open}");
    shop.is(State::Closed).await;

    assert!(sum("fusepool_refusals", &[]) >= Some(1.0));
    assert!(sum("fusepool_probes", &[("outcome", "answered")]) >= Some(1.0));
    let stale = [("policy", "menu"), ("source", "stale"), ("reason", "open")];
    assert_eq!(sum("fusepool_fallbacks", &stale), Some(1.0));
    assert_eq!(sum("fusepool_cache_age_count", &[]), Some(1.0));
    let cache = shop.pool.snapshot().cache;
    assert!(
        cache.totals.hits >= 1 && cache.totals.misses >= 2,
        "{cache:?}"
    );
    metrics
        .becomes("fusepool_cache_hits", &[], cache.totals.hits as f64)
        .await;
    metrics
        .becomes("fusepool_cache_misses", &[], cache.totals.misses as f64)
        .await;
    assert!(sum("fusepool_cache_bytes", &[]) > Some(0.0));
}

#[tokio::test]
async fn a_statement_without_an_answer_times_out() {
    let shop = Shop::open().await;
    shop.pool.gate().breaker().set_mode(Mode::Enforce);
    let sleep = sqlx::query("SELECT pg_sleep(60)").execute(&shop.pool).await;
    sleep.unwrap_err();
    let timeout = [("error_type", "timeout")];
    let count = shop
        .metrics
        .sum("db_client_operation_duration_count", &timeout);
    assert_eq!(count, Some(1.0));
    // One second, in the bucket up to five.
    let took = shop
        .metrics
        .sum("db_client_operation_duration_sum", &timeout)
        .unwrap();
    assert!((1.0..5.0).contains(&took), "{took}");
    let up_to = |le| {
        let labels = [("error_type", "timeout"), ("le", le)];
        shop.metrics
            .sum("db_client_operation_duration_bucket", &labels)
    };
    assert_eq!((up_to("0.5"), up_to("5")), (Some(0.0), Some(1.0)));
}

#[tokio::test]
async fn a_full_pool_is_seen_and_so_are_the_callers_that_wait() {
    let shop = Shop::open().await;
    let metrics = &shop.metrics;
    shop.starve().await;
    assert_eq!(metrics.sum("db_client_connection_timeouts", &[]), Some(1.0));
    let ignored = [("verdict", "ignored")];
    assert_eq!(
        metrics.sum("fusepool_calls", &ignored),
        Some(1.0),
        "saturation"
    );

    shop.pool.gate().breaker().set_mode(Mode::Observe); // its deadline would end the wait
    let held = (
        shop.pool.acquire().await.unwrap(),
        shop.pool.acquire().await.unwrap(),
    );
    let waits = async {
        metrics
            .becomes("db_client_connection_pending_requests", &[], 1.0)
            .await;
        drop(held);
    };
    let (ran, ()) = tokio::join!(shop.run(), waits);
    ran.unwrap();
    metrics
        .becomes("db_client_connection_pending_requests", &[], 0.0)
        .await;
}

#[tokio::test]
async fn a_breaker_that_is_held_open_is_seen() {
    let shop = Shop::open().await;
    shop.run().await.unwrap();
    let held = shop.pool.gate().breaker().force_open();
    shop.is(State::ForcedOpen).await;
    shop.run().await.unwrap_err();
    let forced = [("reason", "forced_open")];
    assert_eq!(shop.metrics.sum("fusepool_refusals", &forced), Some(1.0));
    drop(held);
    shop.is(State::Closed).await;
}

#[tokio::test]
async fn evictions_are_counted() {
    let shop = Shop::open().await;
    shop.evict().await;
    let evicted = async || shop.metrics.sum("fusepool_cache_evictions", &[]) > Some(0.0);
    eventually("evictions", evicted).await;
}

/// A user's program may make up as many codes as it likes.
#[tokio::test]
async fn the_number_of_codes_is_bounded() {
    let shop = Shop::open().await;
    for code in 0..80 {
        let raise = format!("DO $$ BEGIN RAISE SQLSTATE 'A00{code:02}'; END $$");
        let raise = sqlx::raw_sql(sqlx::AssertSqlSafe(raise));
        raise.execute(&shop.pool).await.unwrap_err();
    }
    let scrape = shop.metrics.scrape();
    let counts = scrape.iter().filter(|series| {
        series.name == "db_client_operation_duration_count"
            && series.labels.contains_key("error_type")
    });
    assert_eq!(counts.count(), 65);
    let other = [("error_type", "_OTHER")];
    let others = shop
        .metrics
        .sum("db_client_operation_duration_count", &other);
    assert_eq!(others, Some(16.0));
}

/// As most programs do it the wrong way round once.
#[tokio::test]
async fn a_recorder_may_be_installed_after_the_pool_was_built() {
    let server = Postgres::start().await;
    let pool: PgPool = PgPoolOptions::new()
        .metrics()
        .connect_lazy(&server.url())
        .unwrap();
    sqlx::query("SELECT 1").execute(&pool).await.unwrap();
    let metrics = Prometheus::listen();
    eventually("the calls to be recorded", async || {
        sqlx::query("SELECT 1").execute(&pool).await.unwrap();
        metrics.sum("db_client_operation_duration_count", &[]) >= Some(1.0)
    })
    .await;
}

/// Regression test: the gauges stopped with the runtime in which the pool was first used.
#[test]
fn gauges_go_on_after_the_first_runtime_has_ended() {
    // The recorder is that of this thread.
    let runtime = || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().build().unwrap()
    };
    let first = runtime();
    let metrics = Prometheus::listen();
    let (_server, pool) = first.block_on(async {
        let server = Postgres::start().await;
        let pool = PgPoolOptions::new().metrics().connect(&server.url()).await;
        let pool = pool.unwrap();
        sqlx::query("SELECT 1").execute(&pool).await.unwrap();
        (server, pool)
    });
    drop(first);
    runtime().block_on(async {
        let _held = (pool.acquire().await.unwrap(), pool.acquire().await.unwrap());
        let used = [("db_client_connection_state", "used")];
        let count = "db_client_connection_count";
        metrics.becomes(count, &used, 2.0).await;
    });
}
