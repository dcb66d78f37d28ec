//! The settings of a pool as data, for files and for a running pool.

use std::time::Duration;

use super::Gate;
use super::limits::Limits;
use crate::breaker::builder::Builder;
use crate::breaker::config::ConfigError;
use crate::lint::{Load, Plan, Warning, check};
use crate::telemetry::event::Event;

/// The settings of a pool as data. `None` leaves a setting as it is.
///
/// Pass it to `configure` of the builder of a pool, or to [`Gate::reconfigure`] of a running one. With
/// the feature `serde`, it is read from a file or from the environment: the settings have the same
/// names there, durations have a unit, and `breaker` is a table of the settings of a
/// [`breaker::Builder`](crate::breaker::Builder).
///
/// ```
/// # #[cfg(feature = "serde")] fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use fusepool::GuardConfig;
/// use std::time::Duration;
///
/// let file = r#"
///     acquire_timeout = "500ms"
///     query_timeout = "5s"
///
///     [breaker]
///     failure_rate = 0.3
/// "#;
/// let config: GuardConfig = toml::from_str(file)?;
/// assert_eq!(config.query_timeout, Some(Duration::from_secs(5)));
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "serde"))] fn main() {}
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct GuardConfig {
    /// The breaker. All of its rules are replaced. Its name stays if this one has none.
    pub breaker: Option<Builder>,
    /// The longest time that a caller waits for a connection.
    pub acquire_timeout: Option<Duration>,
    /// The longest time that a statement may run.
    pub query_timeout: Option<Duration>,
    /// The largest number of callers in the queue for a connection.
    pub max_queue: Option<u32>,
    /// Whether a background task probes the backend. It cannot be changed later.
    pub active_probing: Option<bool>,
    /// Whether connections beside those of the pool may be opened. It cannot be changed later.
    pub side_connections: Option<bool>,
    /// The largest memory of all cached answers, in bytes. It cannot be changed later, and has no
    /// effect without the feature `cache`.
    pub cache_bytes: Option<u64>,
}

impl GuardConfig {
    /// Checks these settings for a pool of this size. Nothing is asked; `lint` of a pool asks its server,
    /// too. What is not set has its default.
    ///
    /// ```
    /// use fusepool::GuardConfig;
    /// use fusepool::lint::{Code, Load};
    /// use std::time::Duration;
    ///
    /// let load = Load::default().request_deadline(Duration::from_secs(10));
    /// let warnings = GuardConfig::default().lint(10, &load);
    /// assert_eq!(warnings[0].code, Code::DeadlineBeyondRequest);
    /// assert_eq!(
    ///     warnings[0].numbers,
    ///     "`acquire_timeout` 2s + `query_timeout` 30s = 32s > 10s"
    /// );
    /// assert_eq!(warnings[0].set, "`query_timeout` to at most 8s");
    /// ```
    #[must_use]
    pub fn lint(&self, max_connections: u32, load: &Load) -> Vec<Warning> {
        let usual = Limits::default();
        let plan = Plan {
            breaker: self.breaker.clone().unwrap_or_default(),
            acquire_timeout: self.acquire_timeout.unwrap_or(usual.acquire_timeout),
            query_timeout: self.query_timeout.unwrap_or(usual.query_timeout),
            connections: max_connections,
            probes: self.active_probing.unwrap_or(true),
            asks: self.side_connections.unwrap_or(true),
        };
        check(&plan, load)
    }
}

impl Gate {
    /// Changes the limits and the rules of the breaker at run time. The state is kept. A statement that
    /// runs, and a caller that waits, keep the limits with which they began.
    ///
    /// `config` may change [`breaker`](GuardConfig::breaker), as [`Breaker::reconfigure`] does,
    /// [`acquire_timeout`](GuardConfig::acquire_timeout), [`query_timeout`](GuardConfig::query_timeout)
    /// and [`max_queue`](GuardConfig::max_queue). Its other settings are ignored. What the driver's
    /// pool was built with stays: a pool of sqlx to which an `acquire_timeout` was given still ends a
    /// wait one second after that.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] for the first field whose value breaks a rule. Nothing has changed then.
    ///
    /// ```
    /// use fusepool::{Gate, GuardConfig};
    /// use std::time::Duration;
    ///
    /// # fn run(gate: &Gate) -> Result<(), fusepool::ConfigError> {
    /// let mut config = GuardConfig::default();
    /// config.query_timeout = Some(Duration::from_secs(5));
    /// gate.reconfigure(&config) // of a pool: `pool.gate()`
    /// # }
    /// ```
    ///
    /// [`Breaker::reconfigure`]: crate::Breaker::reconfigure
    pub fn reconfigure(&self, config: &GuardConfig) -> Result<(), ConfigError> {
        let mut limits = self.limits();
        limits.acquire_timeout = config.acquire_timeout.unwrap_or(limits.acquire_timeout);
        limits.query_timeout = config.query_timeout.unwrap_or(limits.query_timeout);
        limits.max_queue = config.max_queue.unwrap_or(limits.max_queue);
        let breaker = config.breaker.clone();
        let rules = breaker.clone().unwrap_or_else(|| self.breaker.to_builder());
        limits.check("query_timeout", &rules)?;
        rules.check()?;
        self.breaker
            .set_deadline(("query_timeout", limits.query_timeout));
        if let Some(breaker) = breaker {
            self.breaker.reconfigure(breaker)?;
        }
        self.limits.set(&limits);
        self.tell(&Event::Limits {
            acquire_timeout: limits.acquire_timeout,
            query_timeout: limits.query_timeout,
            max_queue: limits.max_queue,
        });
        Ok(())
    }
}

#[cfg(feature = "serde")]
mod file {
    use serde::Deserialize;
    use serde::de::{Deserializer, Error};

    use super::GuardConfig;
    use crate::breaker::builder::Builder;
    use crate::breaker::config::ConfigError;
    use crate::breaker::text::{Field, Text};
    use crate::gate::limits::{DEFAULT_MAX_QUEUE, Limits};

    impl<'de> Deserialize<'de> for GuardConfig {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let file = File::deserialize(deserializer)?;
            file.config().map_err(D::Error::custom)
        }
    }

    #[derive(Default, Deserialize)]
    #[serde(default, deny_unknown_fields, expecting = "the settings of a pool")]
    struct File {
        breaker: Option<Builder>,
        acquire_timeout: Option<Text>,
        query_timeout: Option<Text>,
        max_queue: Option<Text>,
        active_probing: Option<Text>,
        side_connections: Option<Text>,
        cache_bytes: Option<Text>,
    }

    impl File {
        fn config(self) -> Result<GuardConfig, ConfigError> {
            let config = GuardConfig {
                breaker: self.breaker,
                acquire_timeout: Field("acquire_timeout", self.acquire_timeout).duration()?,
                query_timeout: Field("query_timeout", self.query_timeout).duration()?,
                max_queue: Field("max_queue", self.max_queue).number()?,
                active_probing: Field("active_probing", self.active_probing).flag()?,
                side_connections: Field("side_connections", self.side_connections).flag()?,
                cache_bytes: Field("cache_bytes", self.cache_bytes).number()?,
            };
            let usual = Limits::default();
            let limits = Limits {
                acquire_timeout: config.acquire_timeout.unwrap_or(usual.acquire_timeout),
                query_timeout: config.query_timeout.unwrap_or(usual.query_timeout),
                max_queue: config.max_queue.unwrap_or(DEFAULT_MAX_QUEUE),
                ..usual
            };
            // Without one of both, the other must suit the builder that the file is applied to.
            let breaker = config
                .breaker
                .clone()
                .filter(|_| config.query_timeout.is_some());
            let any = || Builder::default().slow_call_rate(None);
            limits.check("query_timeout", &breaker.unwrap_or_else(any))?;
            Ok(config)
        }
    }
}
