//! The settings of a breaker in a file or in the environment.

use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::builder::Builder;
use super::config::ConfigError;
use super::settings::{Ramp, Window};
use super::state::Mode;
use super::text::{Field, Text};

/// The settings have the names of the setters. Those that are absent keep their defaults.
///
/// - Durations have a unit: `250ms`, `5s`, `1m 30s`.
/// - `window` is a duration or a number of calls. `window_buckets` divides a duration.
/// - `off` stands for `None`, and for [`Ramp::Off`]. A number is a [`Ramp::UpTo`].
/// - `mode` is one of the names of [`Mode::as_str`].
///
/// An unknown name is an error, and so is a value that breaks a rule: the message names the setting,
/// the value and the rule. The clock and the observer are not in a file.
///
/// ```
/// # #[cfg(feature = "serde")] fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use fusepool::breaker::Builder;
///
/// let file = r#"{ "failure_rate": 0.3, "slow_call_threshold": "250ms", "coalesce_failures": "off" }"#;
/// let breaker: Builder = serde_json::from_str(file)?;
/// assert_eq!(breaker.get_failure_rate(), Some(0.3));
///
/// let wrong = serde_json::from_str::<Builder>(r#"{ "open_duration": "soon" }"#).unwrap_err();
/// assert!(wrong.to_string().starts_with("`open_duration` is \"soon\", but it must be a duration"));
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "serde"))] fn main() {}
/// ```
impl<'de> Deserialize<'de> for Builder {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let file = File::deserialize(deserializer)?;
        file.builder().map_err(D::Error::custom)
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "the settings of a breaker")]
struct File {
    name: Option<String>,
    window: Option<Text>,
    window_buckets: Option<Text>,
    minimum_calls: Option<Text>,
    failure_rate: Option<Text>,
    slow_call_threshold: Option<Text>,
    slow_call_rate: Option<Text>,
    consecutive_failures: Option<Text>,
    stall_after: Option<Text>,
    coalesce_failures: Option<Text>,
    open_duration: Option<Text>,
    open_duration_multiplier: Option<Text>,
    max_open_duration: Option<Text>,
    jitter: Option<Text>,
    half_open_probes: Option<Text>,
    probe_timeout: Option<Text>,
    probe_interval: Option<Text>,
    ramp: Option<Text>,
    mode: Option<Text>,
}

impl File {
    fn builder(self) -> Result<Builder, ConfigError> {
        /// Calls a setter if the setting is in the file.
        fn set<T>(
            builder: Builder,
            value: Option<T>,
            setter: impl FnOnce(Builder, T) -> Builder,
        ) -> Builder {
            match value {
                Some(value) => setter(builder, value),
                None => builder,
            }
        }

        let mut to = set(Builder::default(), self.name, Builder::name);
        let window = Field("window", self.window);
        let window = window.read("a duration such as `10s`, or a number of calls", window_of)?;
        let buckets = Field("window_buckets", self.window_buckets).number()?;
        let window = match (window, buckets) {
            (window, Some(buckets)) => Some(window.unwrap_or(to.get_window()).buckets(buckets)),
            (window, None) => window,
        };
        to = set(to, window, Builder::window);
        let minimum_calls = Field("minimum_calls", self.minimum_calls).number()?;
        to = set(to, minimum_calls, Builder::minimum_calls);
        let failure_rate = Field("failure_rate", self.failure_rate).number_or_off::<f64>()?;
        to = set(to, failure_rate, Builder::failure_rate);
        let threshold = Field("slow_call_threshold", self.slow_call_threshold).duration()?;
        to = set(to, threshold, Builder::slow_call_threshold);
        let slow_call_rate = Field("slow_call_rate", self.slow_call_rate).number_or_off::<f64>()?;
        to = set(to, slow_call_rate, Builder::slow_call_rate);
        let failures = Field("consecutive_failures", self.consecutive_failures);
        to = set(
            to,
            failures.number_or_off::<u32>()?,
            Builder::consecutive_failures,
        );
        let stall_after = Field("stall_after", self.stall_after).duration_or_off()?;
        to = set(to, stall_after, Builder::stall_after);
        let coalesce = Field("coalesce_failures", self.coalesce_failures).duration_or_off()?;
        to = set(to, coalesce, Builder::coalesce_failures);
        let open_duration = Field("open_duration", self.open_duration).duration()?;
        to = set(to, open_duration, Builder::open_duration);
        let multiplier = Field("open_duration_multiplier", self.open_duration_multiplier);
        to = set(to, multiplier.number()?, Builder::open_duration_multiplier);
        let longest = Field("max_open_duration", self.max_open_duration).duration()?;
        to = set(to, longest, Builder::max_open_duration);
        to = set(to, Field("jitter", self.jitter).number()?, Builder::jitter);
        let probes = Field("half_open_probes", self.half_open_probes).number()?;
        to = set(to, probes, Builder::half_open_probes);
        let probe_timeout = Field("probe_timeout", self.probe_timeout).duration()?;
        to = set(to, probe_timeout, Builder::probe_timeout);
        let probe_interval = Field("probe_interval", self.probe_interval).duration()?;
        to = set(to, probe_interval, Builder::probe_interval);
        let ramp = Field("ramp", self.ramp).number_or_off()?;
        let ramp = ramp.map(|size| size.map_or(Ramp::Off, Ramp::UpTo));
        to = set(to, ramp, Builder::ramp);
        let mode = Field("mode", self.mode);
        let mode = mode.read("`enforce`, `observe` or `disabled`", |name| {
            let modes = [Mode::Enforce, Mode::Observe, Mode::Disabled];
            modes.into_iter().find(|mode| mode.as_str() == name)
        })?;
        to = set(to, mode, Builder::mode);
        to.check()?;
        Ok(to)
    }
}

fn window_of(text: &str) -> Option<Window> {
    match text.parse() {
        Ok(calls) => Some(Window::calls(calls)),
        Err(_) => humantime::parse_duration(text).ok().map(Window::last),
    }
}
