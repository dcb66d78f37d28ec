//! A page that shows pools at work, to mount in any web framework.
//!
//! The page shows each pool with the state of its breaker over the last two minutes, the calls of each
//! second, latencies, refusals, stale answers with their ages, connections, and the last changes of the
//! state. It needs no other file and no other host, fits a phone, and is light or dark as its reader
//! prefers.
//!
//! ```
//! # #[cfg(feature = "sqlx-postgres")]
//! # fn router(pool: &fusepool::sqlx::PgPool) -> axum::Router {
//! use axum::body::Body;
//! use axum::http::header::CONTENT_TYPE;
//! use axum::response::{Html, IntoResponse};
//! use axum::routing::get;
//! use axum::{Router, extract::State};
//! use fusepool::live::{self, Live};
//!
//! async fn json(State(live): State<Live>) -> impl IntoResponse {
//!     ([(CONTENT_TYPE, live::JSON)], live.json())
//! }
//!
//! async fn events(State(live): State<Live>) -> impl IntoResponse {
//!     ([(CONTENT_TYPE, live::EVENT_STREAM)], Body::from_stream(live.events()))
//! }
//!
//! let live = Live::new().watch(pool);
//! Router::new()
//!     .route("/live", get(async || Html(live::PAGE)))
//!     .route("/live/json", get(json))
//!     .route("/live/events", get(events))
//!     .with_state(live)
//! # }
//! ```
//!
//! The page asks for `events` below its own address, so it works at any path. In actix, the stream is the
//! body of a response with `streaming`, mapped to `Bytes`:
//!
//! ```
//! use actix_web::{HttpResponse, web};
//! use futures_util::TryStreamExt;
//! use fusepool::live::{self, Live};
//!
//! async fn events(live: web::Data<Live>) -> HttpResponse {
//!     let chunks = live.events().map_ok(web::Bytes::from);
//!     HttpResponse::Ok().content_type(live::EVENT_STREAM).streaming(chunks)
//! }
//! ```
//!
//! # Who may see it
//!
//! Mount the page where only operators come, behind the same authentication as metrics. It changes nothing,
//! and contains no SQL, no arguments, no text of an error, and no password: of a name that is a URL, only
//! the scheme, the host and the path are shown. But it tells the names of your servers, databases and
//! policies, and how they are doing.
//!
//! A `Content-Security-Policy` must allow the script and the style in the page, and its connection to
//! `'self'`.
//!
//! # Costs
//!
//! A pool that is watched times its calls with a precise clock, as for [metrics](crate::telemetry), and
//! records them in about 40 kB: one short lock for each call. There is no background task. The JSON of a
//! pool has up to 10 kB, and is made when somebody asks for it.

use std::sync::Arc;

use self::report::Report;
use self::watch::Watched;

pub use self::events::Events;
pub use self::watch::Watch;

mod events;
mod report;
pub(crate) mod watch;

/// The page, as HTML. It reads [`Live::events`] from `events` below its own address.
pub const PAGE: &str = concat!(
    "<!DOCTYPE html><html lang=en><meta charset=utf-8>",
    "<meta name=viewport content=\"width=device-width\"><meta name=color-scheme content=\"light dark\">",
    "<title>fusepool</title><style>",
    include_str!("page.css"),
    "</style>",
    include_str!("page.html"),
    "<script>",
    include_str!("page.js"),
    "</script></html>",
);

/// The `Content-Type` of [`Live::json`].
pub const JSON: &str = "application/json";

/// The `Content-Type` of [`Live::events`].
pub const EVENT_STREAM: &str = "text/event-stream";

/// The page with HTML of your own above the pools, for instance a link to your runbook or a form. Nothing
/// in it is escaped.
///
/// ```
/// let page = fusepool::live::page_with("<p><a href=/runbook>Runbook</a></p>");
/// assert!(page.contains("/runbook"));
/// ```
#[must_use]
pub fn page_with(own: &str) -> String {
    PAGE.replacen("<!-- own -->", own, 1)
}

/// The pools and gates that a page shows. Clones show the same.
///
/// A pool is shown until its last handle is dropped: this is no such handle.
#[derive(Clone, Debug, Default)]
pub struct Live {
    watched: Arc<[Watched]>,
}

impl Live {
    /// Shows nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Shows this pool or gate, too, below the others. What its page tells of the past begins now.
    ///
    /// ```
    /// use fusepool::live::Live;
    /// use fusepool::{Breaker, Gate};
    /// use std::sync::Arc;
    ///
    /// let gate = Arc::new(Gate::builder(Breaker::builder().name("geocoder")).build()?);
    /// let live = Live::new().watch(&gate);
    /// assert!(live.json().contains("geocoder"));
    /// # Ok::<(), fusepool::ConfigError>(())
    /// ```
    #[must_use]
    pub fn watch(&self, source: &impl Watch) -> Self {
        let watched = self.watched.iter().cloned();
        Self {
            watched: watched.chain([source.watched()]).collect(),
        }
    }

    /// The state of all pools and gates, as JSON.
    ///
    /// It is an object with `now` and `pools`. The fields have the names and the meanings of the
    /// [snapshots](crate::PoolSnapshot). Durations are in seconds, and times in seconds since 1970.
    /// `history` has one value for each of the last 120 seconds, the current one last. What is unknown
    /// is `null`.
    #[must_use]
    pub fn json(&self) -> String {
        Report::of(&self.watched).json()
    }

    /// A stream of server-sent events, each with the same data as [`json`](Self::json): at once, within
    /// 100 ms of a change of a state, and at least once a second.
    ///
    /// Nothing is queued: a reader that is late receives the newest data next. The stream ends after a
    /// minute, so that a server that shuts down does not wait for its readers much longer. Browsers
    /// connect again.
    ///
    /// # Panics
    ///
    /// It panics outside of a tokio runtime.
    #[must_use]
    pub fn events(&self) -> Events {
        Events::new(self.clone())
    }

    /// A number that changes when a state does.
    fn version(&self) -> u64 {
        (self.watched.iter())
            .map(|watched| watched.recent.version())
            .sum()
    }
}
