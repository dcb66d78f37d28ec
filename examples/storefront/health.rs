//! For whoever watches the service.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use fusepool::breaker::State as Circuit;
use serde_json::json;

use super::catalogue::Catalogue;

/// The process is alive. Says nothing of the database, for which restarting this would do nothing.
pub(crate) async fn alive() -> &'static str {
    "alive\n"
}

/// The database takes orders, as far as is known: nothing is asked of it. Half-open is not ready
/// yet; the pool closes its breaker by itself, without the calls of visitors.
///
/// In an outage of a database that all instances share, none is ready, and all have their pages
/// still. So a load balancer should go by [`alive`], and by this for orders at most.
pub(crate) async fn ready<C: Catalogue>(State(catalogue): State<C>) -> impl IntoResponse {
    let pool = catalogue.snapshot();
    let breaker = pool.gate.breaker;
    let is_ready = breaker.state == Circuit::Closed && !breaker.forced_open;
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
