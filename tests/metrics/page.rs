//! The page of metrics is complete: it lists what a scrape has, and the other way round.

use std::collections::{BTreeMap, BTreeSet};

use fusepool::telemetry::DURATION_BUCKETS;
use opentelemetry::metrics::MeterProvider;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};
use opentelemetry_semantic_conventions::{attribute, metric};

use crate::outage::Shop;

/// The names that OpenTelemetry's crate of conventions knows, of those that are used here.
const METRICS: [&str; 8] = [
    metric::DB_CLIENT_OPERATION_DURATION,
    metric::DB_CLIENT_CONNECTION_COUNT,
    metric::DB_CLIENT_CONNECTION_MAX,
    metric::DB_CLIENT_CONNECTION_PENDING_REQUESTS,
    metric::DB_CLIENT_CONNECTION_TIMEOUTS,
    metric::DB_CLIENT_CONNECTION_CREATE_TIME,
    metric::DB_CLIENT_CONNECTION_WAIT_TIME,
    metric::DB_CLIENT_CONNECTION_USE_TIME,
];
const COMMON: [&str; 2] = [
    attribute::DB_CLIENT_CONNECTION_POOL_NAME,
    attribute::DB_SYSTEM_NAME,
];
const ATTRIBUTES: [&str; 6] = [
    attribute::SERVER_ADDRESS,
    attribute::SERVER_PORT,
    attribute::DB_NAMESPACE,
    attribute::ERROR_TYPE,
    attribute::DB_RESPONSE_STATUS_CODE,
    attribute::DB_CLIENT_CONNECTION_STATE,
];

/// The rows of the page: a metric, its kind and its own attributes.
fn page() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let page = include_str!("../../src/telemetry/metrics.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let cells: Vec<_> = row
            .split('|')
            .map(|cell| cell.trim().replace('`', ""))
            .collect();
        let attributes = cells[2].split(", ").filter(|name| !name.is_empty());
        let attributes = attributes.map(str::to_owned).collect();
        (cells[0].clone(), (cells[1].clone(), attributes))
    })
    .collect()
}

fn prometheus(name: &str) -> String {
    name.replace('.', "_")
}

#[tokio::test]
async fn every_metric_is_on_the_page_and_in_a_scrape() {
    let shop = Shop::open().await;
    sqlx::query("SELECT 1").execute(&shop.pool).await.unwrap();
    sqlx::query("SELECT * FROM missing")
        .execute(&shop.pool)
        .await
        .unwrap_err();
    shop.starve().await;
    shop.outage().await;
    shop.metrics
        .becomes("fusepool_cache_evictions", &[], 0.0)
        .await;

    let page = page();
    let listed = page
        .iter()
        .map(|(name, (kind, _))| (prometheus(name), kind.clone()));
    assert_eq!(shop.metrics.kinds(), listed.collect());

    let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for series in shop.metrics.scrape() {
        let suffixes = ["_bucket", "_sum", "_count"];
        let base = suffixes
            .iter()
            .find_map(|suffix| series.name.strip_suffix(suffix));
        let base = match base {
            Some(base) if page.keys().any(|name| prometheus(name) == base) => base.to_owned(),
            _ => series.name,
        };
        let labels = series.labels.into_keys().filter(|label| label != "le");
        seen.entry(base).or_default().extend(labels);
    }
    for (name, (_, attributes)) in &page {
        let own = attributes.iter().map(String::as_str);
        let expected = own.chain(COMMON).map(prometheus).collect();
        assert_eq!(seen[&prometheus(name)], expected, "{name}");
    }
}

/// Through the API of OpenTelemetry, without the crate `metrics` between.
#[tokio::test]
async fn a_meter_receives_the_same_metrics() {
    let exporter = InMemoryMetricExporter::default();
    let provider = SdkMeterProvider::builder().with_periodic_exporter(exporter.clone());
    let provider = provider.build();
    let meter = provider.meter("fusepool");
    let shop = Shop::open_with(|options| options.opentelemetry_0_33(meter)).await;
    sqlx::query("SELECT 1").execute(&shop.pool).await.unwrap();
    shop.starve().await;
    shop.outage().await;
    shop.metrics
        .becomes("fusepool_cache_evictions", &[], 0.0)
        .await;
    let known = shop.pool.snapshot().cache.totals.hits;
    shop.metrics
        .becomes("fusepool_cache_hits", &[], known as f64)
        .await;

    provider.force_flush().unwrap();
    let exported = exporter.get_finished_metrics().unwrap().pop().unwrap();
    let scope = exported.scope_metrics().next().unwrap();
    let metrics: BTreeMap<_, _> = scope
        .metrics()
        .map(|metric| (metric.name(), metric))
        .collect();
    let page = page();
    let listed: BTreeSet<_> = page.keys().map(String::as_str).collect();
    assert_eq!(metrics.keys().copied().collect::<BTreeSet<_>>(), listed);

    let duration = metrics[metric::DB_CLIENT_OPERATION_DURATION];
    assert_eq!(duration.unit(), "s");
    let AggregatedMetrics::F64(MetricData::Histogram(histogram)) = duration.data() else {
        panic!("{duration:?}");
    };
    let statements = histogram
        .data_points()
        .map(|point| point.count())
        .sum::<u64>();
    let scraped = shop.metrics.sum("db_client_operation_duration_count", &[]);
    assert_eq!(Some(statements as f64), scraped);
    let bounds = histogram.data_points().next().unwrap().bounds();
    assert!(bounds.eq(DURATION_BUCKETS));

    // A number that goes up and down, as the conventions say.
    let max = metrics[metric::DB_CLIENT_CONNECTION_MAX];
    let AggregatedMetrics::F64(MetricData::Sum(max)) = max.data() else {
        panic!("{max:?}");
    };
    assert!(!max.is_monotonic());
    assert!(
        max.data_points()
            .all(|point| point.value().to_bits() == 2.0_f64.to_bits())
    );
    // Set to a total every second, not added to it.
    let AggregatedMetrics::U64(MetricData::Sum(hits)) = metrics["fusepool.cache.hits"].data()
    else {
        panic!("no counter");
    };
    assert_eq!(
        hits.data_points().map(|point| point.value()).sum::<u64>(),
        known
    );
}

#[test]
fn the_names_are_those_of_opentelemetrys_conventions() {
    let page = page();
    let names = page.keys().filter(|name| name.starts_with("db."));
    assert_eq!(
        names.map(String::as_str).collect::<BTreeSet<_>>(),
        METRICS.into()
    );

    let used = page.iter().filter(|(name, _)| name.starts_with("db."));
    let used: BTreeSet<_> = used
        .flat_map(|(_, (_, own))| own)
        .map(String::as_str)
        .collect();
    assert_eq!(used, ATTRIBUTES.into());
}
