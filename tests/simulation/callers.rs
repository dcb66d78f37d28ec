//! Scripted callers.

use std::time::Duration;

use fastrand::Rng;

use crate::fault::Kind;
use crate::latency::Latency;

/// When a group of callers makes its calls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Arrivals {
    /// At random times, whatever becomes of the earlier calls.
    PerSecond(f64),
    /// So many workers, each of which makes its next call this long after the end of the last one.
    Workers(u32, Duration),
    /// So many calls at once, at this interval.
    Bursts(u32, Duration),
}

/// A group of callers that behave alike.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Callers {
    pub(crate) arrivals: Arrivals,
    /// The time that a statement takes on a healthy database.
    pub(crate) latency: Latency,
    pub(crate) kind: Kind,
    /// The timeout of the caller itself, for each attempt.
    pub(crate) patience: Option<Duration>,
    /// The attempts after the first one, which follow at once.
    pub(crate) retries: u32,
    /// The statements on one leased connection.
    pub(crate) statements: u32,
    /// The time for which the connection is held after each statement.
    pub(crate) hold: Duration,
    /// When the first and the last call may be made; by default, for the whole situation.
    pub(crate) from: Duration,
    pub(crate) to: Duration,
}

impl Callers {
    pub(crate) fn new(arrivals: Arrivals, latency: Duration) -> Self {
        Self {
            arrivals,
            latency: Latency::Constant(latency),
            kind: 0,
            patience: None,
            retries: 0,
            statements: 1,
            hold: Duration::ZERO,
            from: Duration::ZERO,
            to: Duration::MAX,
        }
    }

    pub(crate) fn patience(self, patience: impl Into<Option<Duration>>) -> Self {
        Self {
            patience: patience.into(),
            ..self
        }
    }

    /// The times of the calls, unless they follow each other. The same for every run.
    pub(crate) fn arrivals(&self, length: Duration, random: &mut Rng) -> Vec<Duration> {
        let end = self.to.min(length);
        let mut times = Vec::new();
        let mut at = self.from;
        match self.arrivals {
            Arrivals::PerSecond(rate) => loop {
                at += Duration::from_secs_f64(-(1.0 - random.f64()).ln() / rate);
                if at >= end {
                    return times;
                }
                times.push(at);
            },
            Arrivals::Bursts(size, interval) => {
                while at < end {
                    times.extend(std::iter::repeat_n(at, size as usize));
                    at += interval;
                }
                times
            }
            Arrivals::Workers(..) => times,
        }
    }

    /// The longest time that a call takes on a healthy database with a free connection.
    pub(crate) fn longest(&self) -> Duration {
        (self.latency.longest() + self.hold) * self.statements
    }
}
