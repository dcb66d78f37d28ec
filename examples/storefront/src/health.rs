//! Health checks, for load balancers and supervisors.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use fusepool::breaker::State as Circuit;
use serde_json::json;

use super::catalogue::Catalogue;

/// The process is alive. This does not depend on the database: a restart of the service would not
/// repair that.
pub(crate) async fn alive() -> &'static str {
    "alive\n"
}

/// The database accepts orders, by the state of the breaker; the database itself is not asked. A
/// half-open breaker is not ready yet. The pool closes it without the calls of visitors.
///
/// In an outage of a database that all instances share, no instance is ready, and all can still
/// serve pages. So a load balancer should use [`alive`], and this at most for orders.
pub(crate) async fn ready<C: Catalogue>(State(catalogue): State<C>) -> impl IntoResponse {
    let pool = catalogue.snapshot();
    let breaker = pool.gate.breaker;
    let is_ready = breaker.state == Circuit::Closed;
    let status = match is_ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    let body = json!({
        "ready": is_ready,
        "state": breaker.state.as_str(),
        "retry_after": breaker.retry_after.map(|after| after.as_secs_f64()),
        "trips": breaker.trips,
        "rejected": breaker.rejected,
        "connections": { "open": pool.size, "idle": pool.idle, "max": pool.max_connections },
        "cache": {
            "entries": pool.cache.entries,
            "bytes": pool.cache.bytes,
            "hits": pool.cache.hits,
            "stale": pool.cache.stale,
        },
    });
    (status, Json(body))
}
