//! The live page of the pool, with buttons that hurt the database of this example.

use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{Html, IntoResponse};
use axum::routing::{get, put};
use fusepool::live::{self, Live};
use futures_util::StreamExt;

use super::faults::{Faults, Hurt};
use super::signals::Stop;

/// A service for the world would show this to its operators only.
pub(crate) fn router(live: Live, faults: Faults, stop: Stop) -> Router {
    Router::new()
        .route("/live", get(page))
        .route("/live/json", get(json))
        .route("/live/events", get(events))
        .route("/live/hurt/{hurt}", put(hurt).delete(heal))
        .with_state((live, Arc::new(faults), stop))
}

type Shared = State<(Live, Arc<Faults>, Stop)>;

async fn page(State((_, faults, _)): Shared) -> impl IntoResponse {
    let current = faults.current().await;
    let mut buttons = String::new();
    for &hurt in faults.ways() {
        let (id, title) = match hurt {
            Hurt::Lock => ("lock", "Lock the database"),
            Hurt::Stall => ("stall", "Stall the network"),
            Hurt::Reset => ("reset", "Reset all connections"),
        };
        let pressed = current == Some(hurt);
        let _ = write!(
            buttons,
            "<button id={id} aria-pressed={pressed}>{title}</button> "
        );
    }
    Html(live::page_with(&format!(
        include_str!("live.html"),
        buttons = buttons
    )))
}

async fn json(State((live, ..)): Shared) -> impl IntoResponse {
    ([(CONTENT_TYPE, live::JSON)], live.json())
}

async fn events(State((live, _, stop)): Shared) -> impl IntoResponse {
    // Ends with the service, which would otherwise wait for the reader.
    let events = live.events().take_until(stop);
    (
        [(CONTENT_TYPE, live::EVENT_STREAM)],
        Body::from_stream(events),
    )
}

async fn hurt(State((_, faults, _)): Shared, Path(hurt): Path<Hurt>) -> StatusCode {
    set(&faults, Some(hurt)).await
}

async fn heal(State((_, faults, _)): Shared, Path(_): Path<Hurt>) -> StatusCode {
    set(&faults, None).await
}

async fn set(faults: &Faults, hurt: Option<Hurt>) -> StatusCode {
    match faults.set(hurt).await {
        Ok(()) => StatusCode::NO_CONTENT,
        Err(error) => {
            tracing::warn!(%error, "not hurt");
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}
