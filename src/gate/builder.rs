//! The configuration of a gate.

use std::fmt;
use std::time::Duration;

use crate::breaker::builder::Builder;
use crate::breaker::config::ConfigError;
use crate::gate::Gate;
use crate::gate::limits::Limits;
use crate::telemetry::backend::Backend;
use crate::telemetry::setters::sink_setters;
use crate::telemetry::sinks::SinkList;

/// Configures a [`Gate`]. Values are checked by [`build`](Self::build), not by the setters.
///
/// ```
/// use fusepool::{Breaker, Gate};
/// use std::time::Duration;
///
/// let gate = Gate::builder(Breaker::builder().name("geocoder"))
///     .call_timeout(Duration::from_secs(5))
///     .build()?;
/// # Ok::<(), fusepool::ConfigError>(())
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until it builds"]
pub struct GateBuilder {
    breaker: Builder,
    limits: Limits,
    sinks: SinkList,
}

impl GateBuilder {
    /// The deadline of each call, from its start. Longer than the slow-call threshold, and at most
    /// one day. Default: [`DEFAULT_QUERY_TIMEOUT`](crate::DEFAULT_QUERY_TIMEOUT).
    pub fn call_timeout(mut self, timeout: Duration) -> Self {
        self.limits.query_timeout = timeout;
        self
    }

    sink_setters!(sinks);

    /// Builds the gate.
    ///
    /// ```
    /// use fusepool::{Breaker, Gate};
    /// use std::time::Duration;
    ///
    /// let builder = Gate::builder(Breaker::builder()).call_timeout(Duration::ZERO);
    /// assert_eq!(builder.build().unwrap_err().field(), "call_timeout");
    /// ```
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] for the first field whose value breaks a rule.
    pub fn build(self) -> Result<Gate, ConfigError> {
        Gate::new(
            self.breaker,
            self.limits,
            "call_timeout",
            self.sinks,
            Backend::default(),
        )
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
    /// Configures a gate around the breaker that `breaker` builds.
    pub fn builder(breaker: Builder) -> GateBuilder {
        GateBuilder {
            breaker,
            limits: Limits::default(),
            sinks: SinkList::default(),
        }
    }
}
