//! Health checks, for load balancers and supervisors.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde_json::json;

use super::catalogue::Catalogue;

/// The process is alive. This does not depend on the database: a restart of the service would not
/// repair that.
pub(crate) async fn alive() -> &'static str {
    "alive\n"
}

/// The shop can serve its front page, from the database or from the cache.
///
/// This is not whether the database is well. In an outage of a database that all instances share,
/// such a check would take all of them out of rotation, and with them the pages that they can still
/// serve. An instance that has nothing to serve, because it started in the outage, is not ready.
///
/// The body says what is served, and has the state of the pool, for alerts and people.
pub(crate) async fn ready<C: Catalogue>(State(catalogue): State<C>) -> impl IntoResponse {
    // As for a visitor: once the breaker is open, this does not wait.
    let front_page = catalogue.list().await;
    let source = front_page.as_ref().ok().map(|served| served.source);
    let status = match source {
        Some(_) => StatusCode::OK,
        None => StatusCode::SERVICE_UNAVAILABLE,
    };
    let pool = catalogue.snapshot();
    let breaker = pool.gate.breaker;
    let body = json!({
        "ready": source.is_some(),
        "serves": source.map(|source| source.as_str()),
        "age": source.and_then(|source| source.age()).map(|age| age.as_secs_f64()),
        "state": breaker.state.as_str(),
        "retry_after": breaker.retry_after.map(|after| after.as_secs_f64()),
        "trips": breaker.totals.trips,
        "rejected": breaker.totals.rejected,
        "connections": { "open": pool.size, "idle": pool.idle, "max": pool.max_connections },
        "cache": {
            "entries": pool.cache.entries,
            "bytes": pool.cache.bytes,
            "hits": pool.cache.totals.hits,
            "stale": pool.cache.totals.stale,
        },
    });
    (status, Json(body))
}
