//! The time that the statements of a caller take on a healthy database.

use std::time::Duration;

use fastrand::Rng;

/// A distribution of durations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Latency {
    Constant(Duration),
    Uniform(Duration, Duration),
    /// A Pareto distribution with this median, cut off at 40 times the median.
    HeavyTail(Duration),
}

impl Latency {
    pub(crate) fn sample(self, random: &mut Rng) -> Duration {
        match self {
            Self::Constant(time) => time,
            Self::Uniform(least, most) => least + (most - least).mul_f64(random.f64()),
            Self::HeavyTail(median) => {
                // Shape 1.5: one of 30 takes at least 6 times the median.
                let factor = (0.5 / (1.0 - random.f64())).powf(1.0 / 1.5);
                median.mul_f64(factor.min(40.0))
            }
        }
    }

    /// A duration that most samples do not exceed.
    pub(crate) fn usual(self) -> Duration {
        match self {
            Self::Constant(time) => time,
            Self::Uniform(_, most) => most,
            Self::HeavyTail(median) => median * 5,
        }
    }

    pub(crate) fn longest(self) -> Duration {
        match self {
            Self::Constant(time) => time,
            Self::Uniform(_, most) => most,
            Self::HeavyTail(median) => median * 40,
        }
    }
}
