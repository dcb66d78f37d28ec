//! The kinds of warnings.

/// The kind of a [`Warning`](super::Warning). The [module documentation](super) explains each.
///
/// ```
/// use fusepool::GuardConfig;
/// use fusepool::lint::{Code, Load};
/// use std::time::Duration;
///
/// // A test of the settings that are deployed, with the exceptions that are meant.
/// let load = Load::default().request_deadline(Duration::from_secs(60)).replicas(4);
/// let warnings = GuardConfig::default().lint(10, &load);
/// assert!(warnings.iter().all(|warning| warning.code == Code::OpenDurationsAlign));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Code {
    /// `deadline_beyond_request`: statements may run on after their request has ended.
    DeadlineBeyondRequest,
    /// `queue_beyond_request`: callers wait in the queue for longer than their request may take.
    QueueBeyondRequest,
    /// `minimum_calls_out_of_reach`: the window never holds enough calls for a rate.
    MinimumCallsOutOfReach,
    /// `hang_unnoticed`: a database that hangs does not open the breaker.
    HangUnnoticed,
    /// `open_durations_align`: all instances try the database at the same moment.
    OpenDurationsAlign,
    /// `capacity_lost`: the calls that try the database hold too many connections.
    CapacityLost,
    /// `connections_beyond_server`: all pools together are larger than the server allows.
    ConnectionsBeyondServer,
    /// `probes_too_slow`: probes of a healthy database hardly end in their time.
    ProbesTooSlow,
}

impl Code {
    /// The code in `snake_case`, as in events.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DeadlineBeyondRequest => "deadline_beyond_request",
            Self::QueueBeyondRequest => "queue_beyond_request",
            Self::MinimumCallsOutOfReach => "minimum_calls_out_of_reach",
            Self::HangUnnoticed => "hang_unnoticed",
            Self::OpenDurationsAlign => "open_durations_align",
            Self::CapacityLost => "capacity_lost",
            Self::ConnectionsBeyondServer => "connections_beyond_server",
            Self::ProbesTooSlow => "probes_too_slow",
        }
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
