//! What a configuration has to keep to.

use std::fmt;
use std::time::Duration;

/// The longest duration a breaker or gate is configured with: one day. What is longer is a slip.
pub const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// A configuration that cannot work: which field, its value, and the rule it breaks.
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

    /// The name of the setter that was given the value.
    #[must_use]
    pub fn field(&self) -> &'static str {
        self.field
    }

    /// The value that was refused, as `Debug` prints it.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// What the value must be.
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
