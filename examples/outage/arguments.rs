//! The command line of the example.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::Outcome;

const USAGE: &str = "usage: outage [--healthy SECONDS] [--stalled SECONDS] [--healed SECONDS] \
                     [--rate CALLS_A_SECOND] [--picture FILE.svg] [URL]";

/// The command line.
pub(crate) struct Arguments {
    pub(crate) healthy: Duration,
    pub(crate) stalled: Duration,
    pub(crate) healed: Duration,
    /// Calls per second, on each pool.
    pub(crate) rate: u32,
    pub(crate) picture: PathBuf,
    /// The URL of a running server.
    pub(crate) url: Option<String>,
}

impl Arguments {
    pub(crate) fn parse(mut given: impl Iterator<Item = String>) -> Outcome<Self> {
        let mut arguments = Self {
            healthy: Duration::from_secs(5),
            stalled: Duration::from_secs(15),
            healed: Duration::from_secs(10),
            rate: 500,
            picture: std::env::temp_dir().join("outage.svg"),
            url: None,
        };
        while let Some(argument) = given.next() {
            match argument.as_str() {
                "--healthy" => arguments.healthy = seconds(given.next())?,
                "--stalled" => arguments.stalled = seconds(given.next())?,
                "--healed" => arguments.healed = seconds(given.next())?,
                "--rate" => arguments.rate = value(given.next())?,
                "--picture" => arguments.picture = value(given.next())?,
                url if url.starts_with("postgres") => arguments.url = Some(argument),
                _ => return Err(USAGE.into()),
            }
        }
        if arguments.rate == 0 {
            return Err(USAGE.into());
        }
        Ok(arguments)
    }
}

fn value<T: FromStr>(given: Option<String>) -> Outcome<T> {
    given
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| USAGE.into())
}

fn seconds(given: Option<String>) -> Outcome<Duration> {
    Duration::try_from_secs_f64(value(given)?).map_err(|_| USAGE.into())
}
