//! Errors of a configuration.

use std::fmt;
use std::time::Duration;

/// The longest duration that a breaker or a gate accepts: one day. A longer one is considered a
/// mistake.
///
/// A time window has a limit of its own, [`LONGEST_WINDOW`](super::LONGEST_WINDOW).
pub const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// An invalid configuration: the field, its value, and the rule that the value breaks.
///
/// ```
/// use fusepool::Breaker;
///
/// let error = Breaker::builder().failure_rate(2.0).build().unwrap_err();
/// assert_eq!(error.to_string(), "`failure_rate` is 2.0, but it must be greater than 0 and at most 1");
/// assert_eq!(error.field(), "failure_rate");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` is {value}, but it must be {rule}")]
pub struct ConfigError {
    field: &'static str,
    value: String,
    rule: String,
}

impl ConfigError {
    pub(crate) fn new(
        field: &'static str,
        value: impl fmt::Debug,
        rule: impl Into<String>,
    ) -> Self {
        Self {
            field,
            value: format!("{value:?}"),
            rule: rule.into(),
        }
    }

    /// The name of the setter that received the value.
    ///
    /// ```
    /// use fusepool::Breaker;
    ///
    /// let error = Breaker::builder().failure_rate(1.5).build().unwrap_err();
    /// assert_eq!((error.field(), error.value()), ("failure_rate", "1.5"));
    /// println!("{error}");
    /// ```
    #[must_use]
    pub fn field(&self) -> &'static str {
        self.field
    }

    /// The invalid value, in its `Debug` format.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The rule that the value breaks, for instance `at least 1`.
    #[must_use]
    pub fn rule(&self) -> &str {
        &self.rule
    }
}

pub(crate) fn check_duration(
    field: &'static str,
    value: Duration,
    longest: Duration,
) -> Result<(), ConfigError> {
    if value.is_zero() || value > longest {
        let rule = format!("longer than zero and at most {longest:?}");
        return Err(ConfigError::new(field, value, rule));
    }
    Ok(())
}
