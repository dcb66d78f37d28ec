//! How a gate is configured.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::breaker::builder::Builder;
use crate::breaker::config::ConfigError;
use crate::gate::Gate;
use crate::gate::limits::Limits;
use crate::telemetry::event::Sink;
use crate::telemetry::trace::TracingSink;

/// Configures a [`Gate`].
#[derive(Clone)]
pub struct GateBuilder {
    breaker: Builder,
    limits: Limits,
    sink: Arc<dyn Sink>,
}

impl GateBuilder {
    /// How long a call may take. Default: [`DEFAULT_QUERY_TIMEOUT`](crate::DEFAULT_QUERY_TIMEOUT).
    #[must_use]
    pub fn call_timeout(mut self, timeout: Duration) -> Self {
        self.limits.query_timeout = timeout;
        self
    }

    /// Who takes the events. Default: [`TracingSink`].
    #[must_use]
    pub fn sink(mut self, sink: impl Sink) -> Self {
        self.sink = Arc::new(sink);
        self
    }

    /// Builds the gate.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] for the first field whose value breaks a rule.
    pub fn build(self) -> Result<Gate, ConfigError> {
        self.limits.check("call_timeout", &self.breaker)?;
        Gate::new(self.breaker, self.limits, self.sink)
    }
}

impl fmt::Debug for GateBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GateBuilder")
            .field("breaker", &self.breaker)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Gate {
    /// Starts to configure a gate around the breaker that `breaker` builds.
    #[must_use]
    pub fn builder(breaker: Builder) -> GateBuilder {
        GateBuilder {
            breaker,
            limits: Limits::default(),
            sink: Arc::new(TracingSink),
        }
    }
}
