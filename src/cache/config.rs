//! The settings of a cache policy as data.

use std::time::Duration;

use super::policy::CachePolicy;
use crate::breaker::config::ConfigError;

/// The settings of a [`CachePolicy`] as data. `None` leaves a setting as it is in the code.
///
/// With the feature `serde`, it is read from a file or from the environment, where durations have a
/// unit.
///
/// ```
/// # #[cfg(feature = "serde")] fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use fusepool::cache::{CachePolicy, PolicyConfig};
/// use std::time::Duration;
///
/// const MENU: CachePolicy = CachePolicy::named("menu").fresh_for(Duration::from_secs(5)).tag("dishes");
///
/// let file: PolicyConfig = serde_json::from_str(r#"{ "fresh_for": "10s", "stale_if_error": "1h" }"#)?;
/// let menu: CachePolicy = MENU.configured(&file)?; // the name and the tags are those of the code
/// assert_eq!(menu.max_age(), Duration::from_secs(3610));
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "serde"))] fn main() {}
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct PolicyConfig {
    /// See [`CachePolicy::fresh_for`].
    pub fresh_for: Option<Duration>,
    /// See [`CachePolicy::stale_while_revalidate`].
    pub stale_while_revalidate: Option<Duration>,
    /// See [`CachePolicy::stale_if_error`].
    pub stale_if_error: Option<Duration>,
    /// See [`CachePolicy::max_entry_bytes`].
    pub max_entry_bytes: Option<u64>,
    /// See [`CachePolicy::jitter`].
    pub jitter: Option<f64>,
}

impl CachePolicy {
    /// The policy with these settings, where `config` has them.
    ///
    /// ```
    /// use fusepool::cache::{CachePolicy, PolicyConfig};
    /// use std::time::Duration;
    ///
    /// let mut config = PolicyConfig::default();
    /// config.fresh_for = Some(Duration::from_secs(10));
    /// let menu = CachePolicy::named("menu").fresh_for(Duration::from_secs(5)).configured(&config)?;
    /// assert_eq!(menu.max_age(), Duration::from_secs(10));
    /// # Ok::<(), fusepool::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] for the first field whose value breaks a rule.
    pub fn configured(mut self, config: &PolicyConfig) -> Result<Self, ConfigError> {
        if let Some(time) = config.fresh_for {
            self = self.fresh_for(time);
        }
        if let Some(time) = config.stale_while_revalidate {
            self = self.stale_while_revalidate(time);
        }
        if let Some(time) = config.stale_if_error {
            self = self.stale_if_error(time);
        }
        if let Some(bytes) = config.max_entry_bytes {
            self = self.max_entry_bytes(bytes);
        }
        if let Some(part) = config.jitter {
            self = self.jitter(part);
        }
        self.check()?;
        Ok(self)
    }
}

#[cfg(feature = "serde")]
mod file {
    use serde::Deserialize;
    use serde::de::{Deserializer, Error};

    use super::PolicyConfig;
    use crate::breaker::config::ConfigError;
    use crate::breaker::text::{Field, Text};

    impl<'de> Deserialize<'de> for PolicyConfig {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let file = File::deserialize(deserializer)?;
            file.config().map_err(D::Error::custom)
        }
    }

    #[derive(Default, Deserialize)]
    #[serde(
        default,
        deny_unknown_fields,
        expecting = "the settings of a cache policy"
    )]
    struct File {
        fresh_for: Option<Text>,
        stale_while_revalidate: Option<Text>,
        stale_if_error: Option<Text>,
        max_entry_bytes: Option<Text>,
        jitter: Option<Text>,
    }

    impl File {
        fn config(self) -> Result<PolicyConfig, ConfigError> {
            let revalidate = Field("stale_while_revalidate", self.stale_while_revalidate);
            Ok(PolicyConfig {
                fresh_for: Field("fresh_for", self.fresh_for).duration()?,
                stale_while_revalidate: revalidate.duration()?,
                stale_if_error: Field("stale_if_error", self.stale_if_error).duration()?,
                max_entry_bytes: Field("max_entry_bytes", self.max_entry_bytes).number()?,
                jitter: Field("jitter", self.jitter).number()?,
            })
        }
    }
}
