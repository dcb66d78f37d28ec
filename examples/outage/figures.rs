//! The measurements of one pool.

use std::time::Duration;

use fusepool::breaker::{State, Transition};

use crate::CONNECTIONS;
use crate::journal::Entry;
use crate::load::{Call, End};
use crate::phases::Phases;

/// The measurements of one pool.
pub(crate) struct Figures {
    pub(crate) calls: Vec<Call>,
    /// The number of tasks in flight from each time on, ordered by time.
    pub(crate) in_flight: Vec<(Duration, usize)>,
    pub(crate) most_in_flight: usize,
    served_in_stall: usize,
    pub(crate) latency: [Latency; 3],
    /// The connections opened in the stall, by the pool and by probes.
    pub(crate) new_connections: u64,
    /// The time from the heal until a call that started after it is answered, the breaker is closed,
    /// and no more calls are in flight than there are connections.
    pub(crate) recovered: Option<Duration>,
    pub(crate) breaker: Option<Opened>,
    /// The times at which the breaker was open. Half-open does not count.
    pub(crate) open: Vec<(Duration, Duration)>,
}

/// The first time that the breaker of a pool opened.
pub(crate) struct Opened {
    /// The time from the start of the stall.
    pub(crate) after: Duration,
    pub(crate) why: Transition,
    /// The latency of calls that were started while it was open.
    pub(crate) while_open: Latency,
    /// The last open duration before it closed.
    pub(crate) delay: Duration,
}

/// The latency of some calls, however they ended.
#[derive(Clone, Copy, Default)]
pub(crate) struct Latency {
    pub(crate) calls: usize,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) max: Duration,
}

impl Latency {
    pub(crate) fn of<'a>(calls: impl Iterator<Item = &'a Call>) -> Self {
        let mut sorted: Vec<_> = calls.map(Call::latency).collect();
        sorted.sort_unstable();
        let percentile = |part: usize| {
            let rank = (sorted.len() * part).div_ceil(100).max(1);
            sorted.get(rank - 1).copied().unwrap_or_default()
        };
        Self {
            calls: sorted.len(),
            p50: percentile(50),
            p99: percentile(99),
            max: percentile(100),
        }
    }
}

impl Figures {
    pub(crate) fn of(
        calls: Vec<Call>,
        phases: Phases,
        journal: &[Entry],
        new_connections: u64,
    ) -> Self {
        let in_flight = in_flight(&calls);
        let open = open(journal, phases.end);
        Self {
            most_in_flight: in_flight.iter().map(|(_, n)| *n).max().unwrap_or(0),
            latency: [0, 1, 2].map(|phase| {
                Latency::of(calls.iter().filter(|call| phases.at(call.started) == phase))
            }),
            served_in_stall: (calls.iter())
                .filter(|call| phases.at(call.started) == 1 && call.end == End::Answered)
                .count(),
            new_connections,
            recovered: recovered(&calls, &in_flight, phases, journal),
            breaker: opened(&calls, &open, phases, journal),
            open,
            in_flight,
            calls,
        }
    }

    pub(crate) fn ended(&self, end: End) -> usize {
        self.calls.iter().filter(|call| call.end == end).count()
    }

    /// The fraction of the calls started in the stall that got an answer, of any age.
    pub(crate) fn served_in_stall(&self) -> f64 {
        let served = self.served_in_stall as f64;
        served / self.latency[1].calls.max(1) as f64
    }
}

fn in_flight(calls: &[Call]) -> Vec<(Duration, usize)> {
    let starts = calls.iter().map(|call| (call.started, 1));
    let ends = calls.iter().map(|call| (call.ended, -1));
    let mut steps: Vec<_> = starts.chain(ends).collect();
    // A call ends after it started, even on a coarse clock.
    steps.sort_unstable_by_key(|(time, step)| (*time, -step));
    let mut now = 0_usize;
    steps
        .into_iter()
        .map(|(time, step)| {
            now = now.saturating_add_signed(step);
            (time, now)
        })
        .collect()
}

fn open(journal: &[Entry], end: Duration) -> Vec<(Duration, Duration)> {
    let until = |index: usize| journal.get(index + 1).map_or(end, |(time, _)| *time);
    journal
        .iter()
        .enumerate()
        .filter(|(_, (_, transition))| transition.to == State::Open)
        .map(|(index, (time, _))| (*time, until(index)))
        .collect()
}

fn opened(
    calls: &[Call],
    open: &[(Duration, Duration)],
    phases: Phases,
    journal: &[Entry],
) -> Option<Opened> {
    let openings = || journal.iter().filter(|(_, to)| to.to == State::Open);
    let (time, why) = openings().find(|(time, _)| *time >= phases.stalled)?;
    let while_open = |call: &&Call| {
        open.iter()
            .any(|(from, until)| (*from..*until).contains(&call.started))
    };
    Some(Opened {
        after: *time - phases.stalled,
        why: *why,
        while_open: Latency::of(calls.iter().filter(while_open)),
        delay: openings().next_back()?.1.retry_after?,
    })
}

fn recovered(
    calls: &[Call],
    in_flight: &[(Duration, usize)],
    phases: Phases,
    journal: &[Entry],
) -> Option<Duration> {
    let answered = calls
        .iter()
        .filter(|call| call.started >= phases.healed && call.end == End::Answered)
        .map(|call| call.ended)
        .min()?;
    let closed = match journal.last() {
        Some((time, transition)) if transition.to == State::Closed => *time,
        Some(_) => return None,
        None => Duration::ZERO,
    };
    let (time, _) = in_flight
        .iter()
        .find(|(time, n)| *time >= answered.max(closed) && *n <= CONNECTIONS as usize)?;
    Some(*time - phases.healed)
}
