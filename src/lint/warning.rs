//! A warning.

use std::fmt;

use super::code::Code;

/// A warning about settings. `Display` writes all of it in one line.
///
/// ```
/// use fusepool::GuardConfig;
/// use fusepool::lint::Load;
/// use std::time::Duration;
///
/// let load = Load::default().request_deadline(Duration::from_secs(10));
/// for warning in GuardConfig::default().lint(10, &load) {
///     println!("{}: {} ({})", warning.code.as_str(), warning.what, warning.numbers);
///     println!("set {}", warning.set);
/// }
/// ```
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
