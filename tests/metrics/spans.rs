//! The spans of calls, as an exporter of OpenTelemetry receives them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fusepool::sqlx::{MySqlPoolOptions, PgPool, PgPoolOptions};
use opentelemetry::trace::{SpanKind, Status, TracerProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use opentelemetry_semantic_conventions::attribute;
use tracing::Instrument;
use tracing_subscriber::layer::SubscriberExt;

use crate::support::mariadb::MariaDb;
use crate::support::postgres::Postgres;

struct Tracer {
    exporter: InMemorySpanExporter,
    _provider: SdkTracerProvider,
    _guard: tracing::subscriber::DefaultGuard,
}

impl Tracer {
    fn listen() -> Self {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone());
        let provider = provider.build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        let subscriber = tracing_subscriber::registry().with(layer);
        Self {
            exporter,
            _provider: provider,
            _guard: tracing::subscriber::set_default(subscriber),
        }
    }

    /// The spans that have ended since the last time, without those of other crates.
    fn take(&self) -> Vec<SpanData> {
        let spans = self.exporter.get_finished_spans().unwrap();
        self.exporter.reset();
        spans
            .into_iter()
            .filter(|span| span.name != "request")
            .collect()
    }

    fn only(&self) -> SpanData {
        let mut spans = self.take();
        assert_eq!(spans.len(), 1, "{spans:?}");
        spans.remove(0)
    }
}

/// The attributes, without those that every span of `tracing` has.
fn attributes(span: &SpanData) -> BTreeMap<String, String> {
    let ours = ["db.", "server.", "error."];
    let attributes = span
        .attributes
        .iter()
        .map(|pair| (pair.key.to_string(), pair.value.to_string()));
    attributes
        .filter(|(key, _)| ours.iter().any(|start| key.starts_with(start)))
        .collect()
}

fn options() -> PgPoolOptions {
    PgPoolOptions::new()
        .tracing(false)
        .query_timeout(Duration::from_secs(2))
}

#[tokio::test]
async fn each_statement_is_a_span() {
    let server = Postgres::start().await;
    let pool: PgPool = options().spans(true).connect_lazy(&server.url()).unwrap();
    let tracer = Tracer::listen();

    sqlx::query("SELECT 1").execute(&pool).await.unwrap();
    let span = tracer.only();
    assert_eq!(
        (&*span.name, &span.span_kind),
        ("postgres", &SpanKind::Client)
    );
    assert_eq!(span.status, Status::Unset);
    let port = server.addr().port().to_string();
    let name = format!("127.0.0.1:{port}/postgres");
    let expected = [
        (attribute::DB_CLIENT_CONNECTION_POOL_NAME, &*name),
        (attribute::DB_SYSTEM_NAME, "postgresql"),
        (attribute::DB_NAMESPACE, "postgres"),
        (attribute::SERVER_ADDRESS, "127.0.0.1"),
        (attribute::SERVER_PORT, &*port),
    ];
    let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(attributes(&span), expected.into());

    sqlx::query("SELECT * FROM missing")
        .execute(&pool)
        .await
        .unwrap_err();
    let span = tracer.only();
    assert!(matches!(span.status, Status::Error { .. }), "{span:?}");
    let attributes_of_error = attributes(&span);
    assert_eq!(
        attributes_of_error[attribute::DB_RESPONSE_STATUS_CODE],
        "42P01"
    );
    assert_eq!(attributes_of_error[attribute::ERROR_TYPE], "42P01");
    let page = include_str!("../../src/telemetry/spans.md");
    let rows = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let rows = rows
        .filter(|name| !name.starts_with("otel."))
        .collect::<BTreeSet<_>>();
    assert_eq!(
        rows,
        attributes_of_error.keys().map(String::as_str).collect()
    );

    sqlx::query("SELECT pg_sleep(60)")
        .execute(&pool)
        .await
        .unwrap_err();
    let span = tracer.only();
    assert_eq!(attributes(&span)[attribute::ERROR_TYPE], "timeout");
    let took = span.end_time.duration_since(span.start_time).unwrap();
    assert!((2..30).contains(&took.as_secs()), "{took:?}");

    let sleep = sqlx::query("SELECT pg_sleep(60)").execute(&pool);
    let _ = tokio::time::timeout(Duration::from_millis(100), sleep).await;
    assert_eq!(
        attributes(&tracer.only())[attribute::ERROR_TYPE],
        "abandoned"
    );
}

#[tokio::test]
async fn mariadb_is_not_called_mysql() {
    let server = MariaDb::start().await;
    let pool = MySqlPoolOptions::new().tracing(false).spans(true);
    let pool = pool.connect_lazy(&server.url()).unwrap();
    let tracer = Tracer::listen();
    sqlx::query("SELECT 1").execute(&pool).await.unwrap();
    let span = tracer.only();
    assert_eq!(attributes(&span)[attribute::DB_SYSTEM_NAME], "mariadb");
}

#[tokio::test]
async fn it_is_part_of_the_request_and_off_by_default() {
    let server = Postgres::start().await;
    let tracer = Tracer::listen();
    let pool: PgPool = options().connect_lazy(&server.url()).unwrap();
    sqlx::query("SELECT 1").execute(&pool).await.unwrap();
    assert_eq!(tracer.take().len(), 0);

    let pool: PgPool = options().spans(true).connect_lazy(&server.url()).unwrap();
    let request = tracing::info_span!("request");
    let mut transaction = pool.begin().instrument(request.clone()).await.unwrap();
    let ask = sqlx::query("SELECT 1").execute(&mut *transaction);
    ask.instrument(request.clone()).await.unwrap();
    transaction
        .commit()
        .instrument(request.clone())
        .await
        .unwrap();
    drop(request);
    let spans = tracer.take();
    assert_eq!(spans.len(), 3, "BEGIN, SELECT and COMMIT");
    let trace = spans[0].span_context.trace_id();
    for span in &spans {
        assert_eq!(span.span_context.trace_id(), trace);
        assert_eq!(span.parent_span_id, spans[0].parent_span_id);
        assert!(
            span.parent_span_is_remote || span.parent_span_id != opentelemetry::SpanId::INVALID
        );
    }
}
