//! A Prometheus scrapes a service, and evaluates the alerts of `examples/monitoring` through its troubles.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::routing::get;
use fusepool::breaker::State;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use crate::outage::Shop;
use crate::support::eventually;
use crate::support::proxy::Fault;

/// The alerts, on other time scales: a test does not take half an hour.
fn quick_alerts() -> String {
    let alerts = include_str!("../../examples/monitoring/alerts.yml");
    let scales = [
        ("for: 1m", "for: 1s"),
        ("for: 5m", "for: 1s"),
        ("for: 15m", "for: 1s"),
        ("for: 30m", "for: 1s"),
        ("[5m]", "[3s]"),
        ("[30m]", "[20s]"),
    ];
    scales
        .iter()
        .fold(alerts.to_owned(), |alerts, (real, quick)| {
            assert!(alerts.contains(real), "{real}");
            alerts.replace(real, quick)
        })
}

struct Server {
    url: String,
    client: Client<HttpConnector, Body>,
    _process: Child,
    _directory: TempDir,
}

impl Server {
    /// Starts Prometheus, which scrapes this address.
    async fn start(target: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("alerts.yml"), quick_alerts()).unwrap();
        let config = format!(
            "global: {{ scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms }}\n\
             rule_files: [ alerts.yml ]\n\
             scrape_configs:\n\
             - {{ job_name: shop, static_configs: [ {{ targets: [ '{target}' ] }} ] }}\n"
        );
        std::fs::write(path("prometheus.yml"), config).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = port.local_addr().unwrap();
        drop(port);
        let process = Command::new("prometheus")
            .arg(format!(
                "--config.file={}",
                path("prometheus.yml").display()
            ))
            .arg(format!("--storage.tsdb.path={}", path("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("Prometheus is not installed: apt-get install prometheus");
        let server = Self {
            url: format!("http://{address}"),
            client: Client::builder(TokioExecutor::new()).build_http(),
            _process: process,
            _directory: directory,
        };
        let ready = async || server.get("/-/ready").await.is_some();
        eventually("Prometheus to be ready", ready).await;
        server
    }

    async fn get(&self, path: &str) -> Option<Vec<u8>> {
        let url = format!("{}{path}", self.url).parse().unwrap();
        let answer = self.client.get(url).await.ok()?;
        if !answer.status().is_success() {
            return None;
        }
        let body = to_bytes(Body::new(answer.into_body()), usize::MAX).await;
        Some(body.unwrap().into())
    }

    /// The alerts that fire.
    async fn firing(&self) -> BTreeSet<String> {
        let answer = self.get("/api/v1/alerts").await.unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        let alerts = answer["data"]["alerts"].as_array().unwrap().iter();
        let firing = alerts.filter(|alert| alert["state"] == "firing");
        firing
            .map(|alert| {
                let labels = &alert["labels"];
                assert_eq!(labels["db_client_connection_pool_name"], "shop");
                assert_eq!(labels["job"], "shop");
                labels["alertname"].as_str().unwrap().to_owned()
            })
            .collect()
    }

    /// Waits until exactly these alerts fire. No other one fires meanwhile.
    async fn fires(&self, expected: &[&str]) {
        let expected: BTreeSet<_> = expected.iter().map(|name| (*name).to_owned()).collect();
        let what = format!("{expected:?} to fire");
        eventually(&what, async || {
            let firing = self.firing().await;
            assert!(
                firing.is_subset(&expected) || expected.is_empty(),
                "{firing:?} instead of {expected:?}"
            );
            firing == expected
        })
        .await;
    }
}

#[tokio::test]
async fn the_right_alerts_fire_and_resolve_in_prometheus() {
    let shop = Shop::open().await;
    sqlx::query("SELECT 1").execute(&shop.pool).await.unwrap();
    let scrape = shop.metrics.handle();
    let routes = Router::new().route("/metrics", get(async move || scrape.render()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap().to_string();
    // On this thread, whose metrics are those of this test.
    let service = tokio::spawn(async { axum::serve(listener, routes).await });
    let prometheus = Server::start(&target).await;
    let scraped = async || {
        let query = prometheus.get("/api/v1/query?query=fusepool_calls").await;
        String::from_utf8(query.unwrap()).unwrap().contains("shop")
    };
    eventually("the first scrape", scraped).await;
    prometheus.fires(&[]).await;

    // The network is silent.
    shop.proxy.set(Fault::Stall);
    trip(&shop).await;
    prometheus.fires(&["FusepoolBreakerOpen"]).await;
    shop.proxy.set(Fault::None);
    eventually("recovery", async || {
        let _ = sqlx::query("SELECT 1").execute(&shop.pool).await;
        shop.pool.gate().breaker().state() == State::Closed
    })
    .await;
    prometheus.fires(&[]).await;

    // Far more callers than the pool can serve.
    let mut callers = JoinSet::new();
    for _ in 0..40 {
        let pool = shop.pool.clone();
        callers.spawn(async move {
            loop {
                if sqlx::query("SELECT pg_sleep(0.02)")
                    .execute(&pool)
                    .await
                    .is_err()
                {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        });
    }
    prometheus.fires(&["FusepoolSaturated"]).await;
    drop(callers);
    prometheus.fires(&[]).await;

    let held = shop.pool.gate().breaker().force_open();
    prometheus.fires(&["FusepoolBreakerHeldOpen"]).await;
    drop(held);
    prometheus.fires(&[]).await;
    service.abort();
}

/// Calls until the breaker opens.
async fn trip(shop: &Shop) {
    eventually("the breaker to open", async || {
        let _ = sqlx::query("SELECT 1").execute(&shop.pool).await;
        shop.pool.gate().breaker().state() == State::Open
    })
    .await;
}
