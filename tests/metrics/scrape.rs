//! A recorder for one test, and what Prometheus scrapes from it.

use std::collections::{BTreeMap, BTreeSet};

use fusepool::telemetry::DURATION_BUCKETS;
use metrics::LocalRecorderGuard;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::support::eventually;

pub struct Prometheus {
    handle: PrometheusHandle,
    _guard: LocalRecorderGuard<'static>,
}

/// A sample of a scrape: the name of the series, its labels and its value.
#[derive(Debug)]
pub struct Series {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

impl Prometheus {
    /// Records the metrics of this thread from now on.
    pub fn listen() -> Self {
        let builder = PrometheusBuilder::new();
        let builder = builder.set_buckets(&DURATION_BUCKETS).unwrap();
        // A guard borrows its recorder. There is one for each test.
        let recorder = Box::leak(Box::new(builder.build_recorder()));
        Self {
            handle: recorder.handle(),
            _guard: metrics::set_default_local_recorder(recorder),
        }
    }

    pub fn handle(&self) -> PrometheusHandle {
        self.handle.clone()
    }

    pub fn scrape(&self) -> Vec<Series> {
        let text = self.handle.render();
        let lines = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.map(series).collect()
    }

    /// The names of all metrics, with their kinds.
    pub fn kinds(&self) -> BTreeSet<(String, String)> {
        let text = self.handle.render();
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let pairs = types.filter_map(|line| line.split_once(' '));
        pairs
            .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
            .collect()
    }

    /// The sum of all series of this name that have these labels. `None` if there is no such series.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has = |series: &Series| {
            (labels.iter()).all(|(key, value)| series.labels.get(*key).is_some_and(|v| v == value))
        };
        let scrape = self.scrape();
        let found = scrape
            .iter()
            .filter(|series| series.name == name && has(series));
        found.map(|series| series.value).reduce(|a, b| a + b)
    }

    /// Waits until the sum has this value.
    pub async fn becomes(&self, name: &str, labels: &[(&str, &str)], value: f64) {
        let what = format!("{name} {labels:?} to be {value}");
        eventually(&what, async || self.sum(name, labels) == Some(value)).await;
    }
}

fn series(line: &str) -> Series {
    let (left, value) = line.rsplit_once(' ').unwrap();
    let (name, labels) = match left.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}').unwrap()),
        None => (left, ""),
    };
    let labels = labels
        .split("\",")
        .filter(|label| !label.is_empty())
        .map(|label| {
            let (key, value) = label.split_once("=\"").unwrap();
            (key.to_owned(), value.trim_end_matches('"').to_owned())
        });
    Series {
        name: name.to_owned(),
        labels: labels.collect(),
        value: value.parse().unwrap(),
    }
}
