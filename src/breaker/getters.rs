//! Getters of the builder that [`Breaker::to_builder`](super::Breaker::to_builder) returns.

use std::sync::Arc;
use std::time::Duration;

use super::builder::Builder;
use super::settings::{DEFAULT_RAMP, Ramp, Window};
use super::state::Mode;

impl Builder {
    /// The value of [`name`](Self::name).
    #[must_use]
    pub fn get_name(&self) -> Arc<str> {
        self.name.clone().unwrap_or_else(|| "unnamed".into())
    }

    /// The value of [`window`](Self::window).
    #[must_use]
    pub fn get_window(&self) -> Window {
        self.settings.window
    }

    /// The value of [`minimum_calls`](Self::minimum_calls).
    #[must_use]
    pub fn get_minimum_calls(&self) -> u32 {
        self.settings.minimum_calls
    }

    /// The value of [`failure_rate`](Self::failure_rate).
    #[must_use]
    pub fn get_failure_rate(&self) -> Option<f64> {
        self.settings.failure_rate
    }

    /// The [`slow_call_threshold`](Self::slow_call_threshold) that was set or learned, or else its
    /// default. `None` if slow calls do not count.
    #[must_use]
    pub fn get_slow_call_threshold(&self) -> Option<Duration> {
        (self.settings.slow_call_rate).map(|_| self.settings.usual_limit())
    }

    /// The value of [`slow_call_rate`](Self::slow_call_rate).
    #[must_use]
    pub fn get_slow_call_rate(&self) -> Option<f64> {
        self.settings.slow_call_rate
    }

    /// The value of [`consecutive_failures`](Self::consecutive_failures).
    #[must_use]
    pub fn get_consecutive_failures(&self) -> Option<u32> {
        self.settings.consecutive_failures
    }

    /// The value of [`stall_after`](Self::stall_after).
    #[must_use]
    pub fn get_stall_after(&self) -> Option<Duration> {
        self.settings.stall_after()
    }

    /// The value of [`coalesce_failures`](Self::coalesce_failures).
    #[must_use]
    pub fn get_coalesce_failures(&self) -> Option<Duration> {
        self.settings.coalesce_failures
    }

    /// The value of [`open_duration`](Self::open_duration).
    #[must_use]
    pub fn get_open_duration(&self) -> Duration {
        self.settings.open_duration
    }

    /// The value of [`open_duration_multiplier`](Self::open_duration_multiplier).
    #[must_use]
    pub fn get_open_duration_multiplier(&self) -> f64 {
        self.settings.open_duration_multiplier
    }

    /// The value of [`max_open_duration`](Self::max_open_duration).
    #[must_use]
    pub fn get_max_open_duration(&self) -> Duration {
        self.settings.max_open_duration
    }

    /// The value of [`jitter`](Self::jitter).
    #[must_use]
    pub fn get_jitter(&self) -> f64 {
        self.settings.jitter
    }

    /// The value of [`half_open_probes`](Self::half_open_probes).
    #[must_use]
    pub fn get_half_open_probes(&self) -> u32 {
        self.settings.half_open_probes
    }

    /// The value of [`probe_timeout`](Self::probe_timeout).
    #[must_use]
    pub fn get_probe_timeout(&self) -> Duration {
        self.settings.probe_timeout
    }

    /// The value of [`probe_interval`](Self::probe_interval).
    #[must_use]
    pub fn get_probe_interval(&self) -> Duration {
        self.settings.probe_interval
    }

    /// The value of [`ramp`](Self::ramp).
    #[must_use]
    pub fn get_ramp(&self) -> Ramp {
        self.settings.ramp.unwrap_or(DEFAULT_RAMP)
    }

    /// The value of [`mode`](Self::mode).
    #[must_use]
    pub fn get_mode(&self) -> Mode {
        self.mode
    }
}
