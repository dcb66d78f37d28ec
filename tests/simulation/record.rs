//! The record of the calls, and of their ends.

use std::time::Duration;

use fusepool::breaker::{State, Transition};

use crate::server::DbError;

/// The end of a call for its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Answered,
    /// The breaker refused it.
    Refused,
    /// The queue was full.
    Saturated,
    /// There was no connection in time.
    NoConnection,
    /// The guard gave up a statement that ran since this time, on a connection that worked or that the
    /// network had lost.
    Cut {
        since: Duration,
        is_lost: bool,
    },
    Failed(DbError),
    /// The caller's own timeout.
    GaveUp,
}

/// One attempt of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) group: usize,
    /// The number of the call in its group. The same call has the same number in every run, unless the
    /// group are workers.
    pub(crate) number: u64,
    pub(crate) start: Duration,
    pub(crate) end: Duration,
    pub(crate) ending: Ending,
}

impl Record {
    pub(crate) fn is_answered(&self) -> bool {
        self.ending == Ending::Answered
    }

    pub(crate) fn is_refused(&self) -> bool {
        matches!(
            self.ending,
            Ending::Refused | Ending::Saturated | Ending::NoConnection
        )
    }
}

/// Everything that was seen while a situation was played.
#[derive(Debug, Default)]
pub(crate) struct Play {
    pub(crate) records: Vec<Record>,
    pub(crate) transitions: Vec<(Duration, Transition)>,
    /// The attempts of the pool and of the prober to open a connection.
    pub(crate) pool_connects: Vec<Duration>,
    pub(crate) prober_connects: Vec<Duration>,
    /// The times at which statements arrived at the server.
    pub(crate) statements: Vec<Duration>,
    /// The most that the server executed at once for the pool, and for the prober.
    pub(crate) most_at_work: u32,
    pub(crate) most_probes: u32,
    pub(crate) trips: u64,
}

impl Play {
    pub(crate) fn count(&self, is: impl Fn(&Record) -> bool) -> usize {
        self.records.iter().filter(|record| is(record)).count()
    }

    /// The state of the breaker at `at`.
    pub(crate) fn state(&self, at: Duration) -> State {
        let before = self.transitions.iter().rfind(|(time, _)| *time <= at);
        before.map_or(State::Closed, |(_, transition)| transition.to)
    }

    /// The changes from closed to open.
    pub(crate) fn openings(&self) -> impl Iterator<Item = (Duration, &Transition)> {
        (self.transitions.iter())
            .filter(|(_, transition)| transition.from == State::Closed)
            .map(|(at, transition)| (*at, transition))
    }

    /// When the first call was answered of those that were made from `at` on.
    pub(crate) fn first_answer_after(&self, at: Duration) -> Option<Duration> {
        let answered =
            (self.records.iter()).filter(|record| record.start >= at && record.is_answered());
        answered.map(|record| record.end).min()
    }
}
