//! The page of metrics is complete: it lists what a scrape has, and the other way round.

use std::collections::{BTreeMap, BTreeSet};

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
