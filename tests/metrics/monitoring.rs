//! The dashboard and the alerts of `examples/monitoring` use only names that a scrape has.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::outage::Shop;
use crate::scrape::Series;

const ALERTS: &str = include_str!("../../examples/monitoring/alerts.yml");
const DASHBOARD: &str = include_str!("../../examples/monitoring/grafana.json");

/// Labels that Prometheus adds.
const ADDED: [&str; 2] = ["job", "instance"];

/// The queries of the alerts: the indented lines below each `expr`.
fn of_alerts() -> Vec<String> {
    let mut queries: Vec<String> = Vec::new();
    let mut in_query = false;
    for line in ALERTS.lines() {
        if line.trim() == "expr: |" {
            queries.push(String::new());
            in_query = true;
        } else if in_query && line.starts_with("          ") {
            queries.last_mut().unwrap().push_str(line);
        } else {
            in_query = false;
        }
    }
    queries
}

/// Every string below a key with one of these names.
fn strings(value: &Value, keys: &[&str], found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(text) if keys.contains(&key.as_str()) => found.push(text.clone()),
                    value => strings(value, keys, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| strings(value, keys, found)),
        _ => {}
    }
}

/// The parts of a query: words, and single characters between them. The texts in quotes are words.
fn parts(query: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let (mut word, mut quoted) = (String::new(), false);
    for c in query.chars() {
        match c {
            '"' => quoted = !quoted,
            c if quoted || c.is_alphanumeric() || matches!(c, '_' | '$') => {
                word.push(c);
                continue;
            }
            _ => {}
        }
        if !word.is_empty() {
            parts.push(std::mem::take(&mut word));
        }
        if !c.is_whitespace() {
            parts.push(c.to_string());
        }
    }
    parts.push(word);
    parts
}

/// Checks the metrics of a query, their labels and the values of these.
fn check(query: &str, scrape: &BTreeMap<String, Vec<Series>>) {
    let parts = parts(query);
    let is_name = |part: &str| part.starts_with("fusepool_") || part.starts_with("db_client_");
    let mut labels = BTreeSet::from(ADDED.map(str::to_owned));
    labels.insert("le".to_owned());
    let mut used = 0;
    for (i, name) in parts.iter().enumerate().filter(|(_, part)| is_name(part)) {
        let Some(series) = scrape.get(name) else {
            continue; // a label, which the second loop finds
        };
        used += 1;
        let own: BTreeSet<_> = series
            .iter()
            .flat_map(|series| series.labels.keys())
            .collect();
        labels.extend(own.iter().map(|label| (*label).clone()));
        if parts.get(i + 1).map(String::as_str) != Some("{") {
            continue;
        }
        let selector = parts[i + 2..].iter().take_while(|part| *part != "}");
        let selector: Vec<_> = selector.map(String::as_str).collect();
        for matcher in selector.split(|part| *part == ",") {
            let label = matcher[0];
            let known = own.iter().any(|own| *own == label) || ADDED.contains(&label);
            assert!(known, "{name} has no label {label}: {query}");
            let text = matcher
                .iter()
                .skip_while(|part| **part != "\"")
                .nth(1)
                .unwrap();
            let is_fixed =
                !matcher.contains(&"!") && !text.starts_with('$') && !ADDED.contains(&label);
            for value in text.split('|').filter(|_| is_fixed) {
                let has = |series: &Series| series.labels.get(label).is_some_and(|it| it == value);
                assert!(
                    series.iter().any(has),
                    "{name} has no {label} {value}: {query}"
                );
            }
        }
    }
    assert!(used > 0, "no metric: {query}");
    for name in parts.iter().filter(|part| is_name(part)) {
        assert!(
            scrape.contains_key(name) || labels.contains(name),
            "no {name}: {query}"
        );
    }
    // What `by` and `on` name.
    for (i, _) in parts
        .iter()
        .enumerate()
        .filter(|(_, part)| ["by", "on"].contains(&part.as_str()))
    {
        let listed = parts[i + 2..].iter().take_while(|part| *part != ")");
        for label in listed.filter(|part| *part != ",") {
            assert!(labels.contains(label), "no label {label}: {query}");
        }
    }
}

#[tokio::test]
async fn they_use_only_names_of_a_scrape() {
    let shop = Shop::open().await;
    shop.evict().await;
    let endless = sqlx::query("SELECT pg_sleep(60)").execute(&shop.pool);
    endless.await.unwrap_err();
    shop.starve().await;
    shop.outage().await;
    shop.metrics
        .becomes(
            "fusepool_cache_misses",
            &[],
            shop.pool.snapshot().cache.totals.misses as f64,
        )
        .await;
    let mut scrape: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for series in shop.metrics.scrape() {
        scrape.entry(series.name.clone()).or_default().push(series);
    }

    let alerts = of_alerts();
    assert_eq!(alerts.len(), ALERTS.matches("- alert: ").count());
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let mut queries = Vec::new();
    strings(&dashboard, &["expr"], &mut queries);
    assert!(queries.len() > 30, "{queries:?}");
    for query in alerts.iter().chain(&queries) {
        check(query, &scrape);
    }
    // A name that the scrape does not have would be found.
    let misspelt = std::panic::catch_unwind(|| check("rate(fusepool_cals[5m])", &scrape));
    assert!(misspelt.is_err());

    // Every panel obeys the variables.
    for query in &queries {
        assert!(query.contains("=~\"$pool\""), "{query}");
    }
    let mut sources = Vec::new();
    strings(&dashboard, &["uid"], &mut sources);
    sources.retain(|source| source != "fusepool");
    assert!(
        sources.iter().all(|source| source == "${datasource}"),
        "{sources:?}"
    );
}

/// With their real durations, on series that are written by hand.
#[test]
fn the_alerts_fire_and_resolve() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/monitoring");
    let promtool = Command::new("promtool")
        .args(["test", "rules", "alerts_test.yml"])
        .current_dir(directory)
        .output()
        .expect("Prometheus is not installed: apt-get install prometheus");
    assert!(promtool.status.success(), "{promtool:?}");
}

/// Each alert has a line for the runbook, and the guide names it.
#[test]
fn each_alert_says_what_to_do() {
    let guide = include_str!("../../src/guide/observing.md");
    let (_, rules) = ALERTS.split_once("rules:").unwrap();
    for rule in rules.split("- alert: ").skip(1) {
        let name = rule.lines().next().unwrap();
        assert!(rule.contains("description: "), "{name}");
        assert!(rule.contains("severity: "), "{name}");
        assert!(
            guide.contains(&format!("`{name}`")),
            "{name} is not in the guide"
        );
    }
}
