//! A warning.

use std::fmt;

use super::code::Code;

/// A warning about settings. `Display` writes all of it in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Warning {
    /// The kind of warning.
    pub code: Code,
    /// The fault of the settings.
    pub what: &'static str,
    /// The effect of the fault.
    pub why: &'static str,
    /// The arithmetic, with the values of the settings.
    pub numbers: String,
    /// The settings that would be right, with their values.
    pub set: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            code,
            what,
            why,
            numbers,
            set,
        } = self;
        let code = code.as_str();
        write!(f, "{code}: {what}: {numbers}; {why}. Set {set}.")
    }
}
