//! The settings of a [`Model`](super::model::Model) and of the breaker that is compared with it.

use super::rig::{Failure, Ignored, Success, ms, rules};
use crate::breaker::builder::Builder;
use crate::breaker::settings::{Ramp, Window};
use crate::breaker::verdict::Verdict;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Recent {
    Calls(u32),
    Buckets { width: u64, n: u32 },
}

#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) recent: Recent,
    pub(super) minimum: u32,
    pub(super) failure_rate: Option<f64>,
    pub(super) slow_call_rate: Option<f64>,
    pub(super) consecutive_failures: Option<u32>,
    pub(super) stall: Option<u64>,
    pub(super) coalesce_failures: Option<u64>,
    pub(super) probes: u32,
    pub(super) probe_timeout: u64,
    pub(super) largest: u32,
}

pub(super) const SLOW: u64 = 64;
pub(super) const DELAYS: [u64; 3] = [100, 200, 400];

impl Rules {
    pub(super) fn builder(&self) -> Builder {
        let window = match self.recent {
            Recent::Calls(n) => Window::calls(n),
            Recent::Buckets { width, n } => Window::last(ms(width * u64::from(n))).buckets(n),
        };
        rules()
            .window(window)
            .minimum_calls(self.minimum)
            .failure_rate(self.failure_rate)
            .slow_call_rate(self.slow_call_rate)
            .slow_call_threshold(ms(SLOW))
            .consecutive_failures(self.consecutive_failures)
            .stall_after(self.stall.map(ms))
            .coalesce_failures(self.coalesce_failures.map(ms))
            .half_open_probes(self.probes)
            .probe_timeout(ms(self.probe_timeout))
            .ramp(Ramp::UpTo(self.largest))
    }

    /// How long the breaker must stay closed until its attempts are counted from one again.
    pub(super) fn attempt_memory(&self) -> u64 {
        match self.recent {
            Recent::Calls(_) => DELAYS[2],
            Recent::Buckets { width, n } => width * u64::from(n),
        }
    }

    /// The number of pending calls that make a stall.
    pub(super) fn stall_calls(&self) -> u32 {
        self.consecutive_failures.unwrap_or(5).max(2)
    }

    pub(super) fn outcome(&self, verdict: Verdict, took: u64) -> Option<Outcome> {
        match verdict {
            _ if self.slow_call_rate.is_some() && took >= SLOW => Some(Outcome::Slow),
            Failure => Some(Outcome::Failure),
            Success => Some(Outcome::Good),
            Ignored => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Outcome {
    Good,
    Failure,
    Slow,
}

pub(super) fn count(outcomes: &[Outcome], of: Outcome) -> f64 {
    outcomes.iter().filter(|&&it| it == of).count() as f64
}

pub(super) fn part(outcomes: &[Outcome], of: Outcome) -> f64 {
    match outcomes {
        [] => 0.0,
        _ => count(outcomes, of) / outcomes.len() as f64,
    }
}

pub(super) fn reaches(rate: f64, threshold: Option<f64>) -> bool {
    threshold.is_some_and(|threshold| rate >= threshold)
}
