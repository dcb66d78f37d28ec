//! Spans of calls, as OpenTelemetry's exporters understand them.

use std::sync::{Arc, OnceLock};

use tracing::field::Empty;
use tracing::{Span, info_span};

use super::backend::Backend;

/// Makes the spans of the calls of one pool.
pub(crate) struct Spans {
    pool: Arc<str>,
    backend: Backend,
    /// The name of the system, if the server says that it is another one.
    system: OnceLock<&'static str>,
}

impl Spans {
    pub(crate) fn new(pool: Arc<str>, backend: Backend) -> Self {
        Self {
            pool,
            backend,
            system: OnceLock::new(),
        }
    }

    /// Goes on with another name of the system.
    pub(crate) fn rename(&self, system: &'static str) {
        let _ = self.system.set(system);
    }

    /// The span of a call that starts now.
    pub(crate) fn start(&self) -> Span {
        let Self {
            pool,
            backend,
            system,
        } = self;
        info_span!(
            target: "fusepool::call",
            "call",
            otel.name = backend.namespace.as_deref().unwrap_or(pool),
            otel.kind = "client",
            otel.status_code = Empty,
            db.client.connection.pool.name = &**pool,
            db.system.name = system.get().copied().or(backend.system),
            db.namespace = backend.namespace.as_deref(),
            server.address = backend.address.as_deref(),
            server.port = backend.port,
            db.response.status_code = Empty,
            "error.type" = Empty,
        )
    }
}

/// Records that the call of a span ended with an error.
pub(crate) fn failed(span: &Span, code: Option<&str>, error: &str) {
    span.record("otel.status_code", "ERROR");
    span.record("error.type", error);
    if let Some(code) = code {
        span.record("db.response.status_code", code);
    }
}
