//! The laws of judgement: what a guarded pool owes its users in every situation, beside the naked one.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use fusepool::breaker::State;

use crate::callers::Arrivals;
use crate::fault::{Episode, Fault};
use crate::record::{Ending, Play, Record};
use crate::situation::Situation;

/// The default `stall_after`.
const STALL_AFTER: Duration = Duration::from_secs(1);
/// A service whose calls take long is stalled after this many times that.
const SLOW_FACTOR: u32 = 4;
/// The calls without an answer that make a stall.
const DEMAND: usize = 5;
/// Allowed beyond `stall_after` to open, and beyond the end of a fault to see that it ended.
const LATE: Duration = Duration::from_millis(255);
/// Allowed beyond the first answer of the naked pool: 300 ms, and the jitter of the probe interval.
const LATER_THAN_NAKED: Duration = Duration::from_millis(350);
/// Timers fire at the next full millisecond.
const ROUNDING: Duration = Duration::from_millis(20);
/// The longest open duration, with its jitter.
const LONGEST_OPEN: Duration = Duration::from_secs(6);
/// The most probes at once on connections of the prober's own.
const MOST_PROBES: u32 = 4;
/// The default `query_timeout`.
const QUERY_TIMEOUT: Duration = Duration::from_secs(30);
/// The default `acquire_timeout`: a caller without patience has it.
const IN_TIME: Duration = Duration::from_secs(2);

/// A law that is broken, and how.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) law: &'static str,
    pub(crate) how: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.law, self.how)
    }
}

fn broken(law: &'static str, how: String) -> Option<Broken> {
    Some(Broken { law, how })
}

/// Every law that the guarded play breaks.
pub(crate) fn judge(situation: &Situation, naked: &Play, guarded: &Play) -> Vec<Broken> {
    let case = Case {
        situation,
        naked,
        guarded,
    };
    let judgements = [
        case.opens_in_an_outage(),
        case.never_opens_when_well(),
        case.closes_after_the_outage(),
        case.answers_as_soon_as_the_naked_pool(),
        case.refuses_nothing_that_would_be_answered(),
        case.ends_nothing_healthy(),
        case.answers_as_much_as_the_naked_pool(),
        case.never_has_more_at_work_than_connections(),
        case.opens_few_connections_in_an_outage(),
        case.does_not_flap(),
    ];
    judgements.into_iter().flatten().collect()
}

pub(crate) struct Case<'play> {
    pub(crate) situation: &'play Situation,
    pub(crate) naked: &'play Play,
    pub(crate) guarded: &'play Play,
}

impl Case<'_> {
    fn episodes(&self) -> &[Episode] {
        &self.situation.script.0
    }

    pub(crate) fn outages(&self) -> impl Iterator<Item = &Episode> {
        self.episodes()
            .iter()
            .filter(|episode| episode.fault.is_total())
    }

    /// The time that most statements take while all is well.
    fn usual(&self) -> Duration {
        let callers = self.situation.callers.iter();
        callers
            .map(|callers| callers.latency.usual())
            .max()
            .unwrap_or_default()
    }

    /// After the end of the last fault, when the breaker must be closed.
    fn closing_bound(&self) -> Duration {
        LONGEST_OPEN + self.situation.machine.connect * 2 + self.usual() * 4
    }

    /// The earliest and the latest time at which the breaker must open in an outage. `None` if too few
    /// calls are made in it.
    pub(crate) fn must_open(&self, outage: &Episode) -> Option<(Duration, Duration)> {
        let Episode { from, to, .. } = *outage;
        let records = &self.guarded.records;
        let answers = records.iter().filter(|record| record.is_answered());
        let last = answers
            .map(|record| record.end)
            .filter(|end| (from..to).contains(end))
            .max();
        let since = last.unwrap_or(from);
        let mut wanted: Vec<_> = (records.iter())
            .filter(|record| record.end > since && record.start < to)
            .map(|record| record.start.max(since))
            .collect();
        wanted.sort_unstable();
        let stall_after = STALL_AFTER.max(self.usual() * SLOW_FACTOR);
        let (first, enough) = (*wanted.first()?, *wanted.get(DEMAND - 1)?);
        let stalled = (first + stall_after).max(enough);
        // Without a call there is nobody to see it, and nobody to refuse.
        let is_pending = |record: &&Record| record.end > stalled && record.start < to;
        let seen = records
            .iter()
            .filter(is_pending)
            .map(|record| record.start.max(stalled))
            .min()?;
        // The database is asked first, on a connection of its own, once there are enough calls.
        let late = if enough > first + stall_after {
            LATE * 2
        } else {
            LATE
        };
        let deadline = seen + late + self.situation.machine.connect;
        (deadline < to).then_some((first, deadline))
    }

    fn opens_in_an_outage(&self) -> Option<Broken> {
        for outage in self.outages() {
            let Some((first, deadline)) = self.must_open(outage) else {
                continue;
            };
            let mut openings = self.guarded.openings().map(|(at, _)| at);
            let opening = openings.find(|at| *at >= outage.from);
            let is_open = self.guarded.state(outage.from) != State::Closed;
            if !is_open && opening.is_none_or(|at| at > deadline) {
                let after = opening.map(|at| at.saturating_sub(first));
                let how = format!("after {after:.2?} of {:?} without an answer", outage.fault);
                return broken("opens late", how);
            }
        }
        None
    }

    fn never_opens_when_well(&self) -> Option<Broken> {
        let may_open = |episode: &Episode, at| match episode.fault {
            Fault::Standstill => false,
            // Each of the silent connections is found when it is used.
            Fault::Lost => episode.from <= at,
            _ => episode.from <= at && at <= episode.over() + LATE,
        };
        // An empty pool gives no answer before its first connection is open.
        let connect = self.situation.machine.connect;
        let connecting = match self.situation.warm || connect < STALL_AFTER / 2 {
            true => Duration::ZERO,
            false => connect + STALL_AFTER,
        };
        let mut openings = self.guarded.openings().filter(|(at, _)| *at > connecting);
        let (at, transition) = openings
            .find(|(at, _)| !self.episodes().iter().any(|episode| may_open(episode, *at)))?;
        let how = format!("at {at:.2?} for {}", transition.reason.as_str());
        broken("opens while the database is well", how)
    }

    fn closes_after_the_outage(&self) -> Option<Broken> {
        let heal = self.situation.script.over();
        let bound = heal + self.closing_bound();
        let state = self.guarded.state(bound);
        if bound > self.situation.length || state == State::Closed {
            return None;
        }
        let closed = (self.guarded.transitions.iter())
            .find(|(at, transition)| *at > bound && transition.to == State::Closed)
            .map(|(at, _)| *at - heal);
        let how = format!(
            "{} {:.2?} after the heal; closed after {closed:.2?}",
            state.as_str(),
            self.closing_bound()
        );
        broken("closes late", how)
    }

    fn answers_as_soon_as_the_naked_pool(&self) -> Option<Broken> {
        let ends = (self.episodes().iter()).filter(|episode| {
            let fault = episode.fault;
            fault.is_total() && fault != Fault::Fails(None) || fault == Fault::Kill
        });
        for Episode { to, fault, .. } in ends {
            let Some(naked) = self.naked.first_answer_after(*to) else {
                continue;
            };
            // The prober connects before the first caller may. Whoever called before that was refused, and
            // the next caller may come late, or have a statement that takes long.
            let later = LATER_THAN_NAKED + self.situation.machine.connect + self.longest_pause();
            let later =
                later + self.situation.callers.len().saturating_sub(1) as u32 * self.usual();
            let next = self.naked.first_answer_after(*to + later);
            let next = next.unwrap_or_default() + self.situation.machine.connect;
            let bound = (naked + later).max(next + ROUNDING);
            let guarded = self.guarded.first_answer_after(*to);
            if guarded.is_none_or(|guarded| guarded > bound) {
                let how = format!(
                    "after {fault:?}, naked {:.2?}, guarded {:.2?}",
                    naked - *to,
                    guarded.map(|guarded| guarded - *to)
                );
                return broken("first answer late", how);
            }
        }
        None
    }

    /// The longest time between two calls of a worker.
    fn longest_pause(&self) -> Duration {
        let pauses = self
            .situation
            .callers
            .iter()
            .map(|callers| match callers.arrivals {
                Arrivals::Workers(_, pause) => pause,
                _ => Duration::ZERO,
            });
        pauses.max().unwrap_or_default()
    }

    /// Whether no fault has an effect on a call that is made at `at`.
    fn is_well_at(&self, at: Duration) -> bool {
        let bound = self.closing_bound();
        // An empty pool whose connections take long is as good as down for that long.
        if !self.situation.warm && at < self.situation.machine.connect * 4 {
            return false;
        }
        !self.episodes().iter().any(|episode| {
            episode.fault != Fault::Standstill && episode.from <= at && at <= episode.over() + bound
        })
    }

    fn limit(&self, group: usize) -> Duration {
        let callers = &self.situation.callers[group];
        callers.patience.unwrap_or(IN_TIME + callers.longest())
    }

    pub(crate) fn in_time(&self, record: &Record) -> bool {
        record.is_answered() && record.end - record.start <= self.limit(record.group)
    }

    fn refuses_nothing_that_would_be_answered(&self) -> Option<Broken> {
        let answered: HashMap<_, _> = (self.naked.records.iter())
            .map(|record| ((record.group, record.number), self.in_time(record)))
            .collect();
        let all_in_time = |group| {
            let mut records = self
                .naked
                .records
                .iter()
                .filter(|record| record.group == group);
            records.all(|record| self.in_time(record))
        };
        let wrongly = |record: &Record| {
            record.is_refused()
                && self.is_well_at(record.start)
                && match self.situation.has_twins(record.group) {
                    true => answered.get(&(record.group, record.number)) == Some(&true),
                    false => all_in_time(record.group),
                }
        };
        // A guard may refuse a few that it could still have answered, where more is asked than the
        // database can do.
        let is_overloaded = !(self.naked.records.iter())
            .all(|record| self.in_time(record) || !self.is_well_at(record.start));
        let refused = self.guarded.count(wrongly);
        let asked = self.guarded.count(|record| self.is_well_at(record.start));
        let allowed = if is_overloaded { asked / 20 } else { 0 };
        let how = format!("{refused} of {asked}, which the naked pool answers in time");
        (refused > allowed).then(|| broken("refuses while the database is well", how))?
    }

    fn ends_nothing_healthy(&self) -> Option<Broken> {
        let cut = self.guarded.count(|record| self.is_cut_healthy(record));
        (cut > 0).then(|| broken("ends healthy statements", cut.to_string()))?
    }

    /// Whether the guard ended a statement in which no fault took part.
    pub(crate) fn is_cut_healthy(&self, record: &Record) -> bool {
        match record.ending {
            Ending::Cut { since, is_lost } => {
                !is_lost
                    && self.situation.script.is_well(since, record.end)
                    && record.end - since < QUERY_TIMEOUT
            }
            _ => false,
        }
    }

    fn answers_as_much_as_the_naked_pool(&self) -> Option<Broken> {
        let well = |record: &Record| self.in_time(record) && self.is_well_at(record.start);
        let (naked, guarded) = (self.naked.count(well), self.guarded.count(well));
        if guarded + 5 < naked * 19 / 20 {
            let how = format!("{guarded} while the database is well, naked {naked}");
            return broken("answers less", how);
        }
        // A fault of a part of the database is not an outage of the rest.
        let in_time = |record: &Record| self.in_time(record);
        let (naked, guarded) = (self.naked.count(in_time), self.guarded.count(in_time));
        let is_partial = |episode: &Episode| {
            !episode.fault.is_total() && (episode.fault != Fault::NoConnect || self.situation.warm)
        };
        if self.episodes().iter().all(is_partial) && guarded + 5 < naked * 9 / 10 {
            return broken("answers less", format!("{guarded} in all, naked {naked}"));
        }
        None
    }

    fn never_has_more_at_work_than_connections(&self) -> Option<Broken> {
        let (pool, most) = (self.situation.pool, self.guarded.most_at_work);
        if most > pool {
            let naked = self.naked.most_at_work;
            let how = format!("{most} statements for a pool of {pool}, naked {naked}");
            return broken("backends at work", how);
        }
        let probes = self.guarded.most_probes;
        (probes > MOST_PROBES).then(|| broken("backends at work", format!("{probes} probes")))?
    }

    fn opens_few_connections_in_an_outage(&self) -> Option<Broken> {
        let pool = self.situation.pool;
        self.outages().find_map(|outage| {
            let opened = connects_in(&self.guarded.pool_connects, outage);
            let naked = connects_in(&self.naked.pool_connects, outage);
            let how = format!("{opened} in the outage by a pool of {pool}, naked {naked}");
            (opened > 2 * pool as usize).then(|| broken("opens connections", how))?
        })
    }

    fn does_not_flap(&self) -> Option<Broken> {
        self.episodes()
            .iter()
            .find_map(|Episode { from, to, fault }| {
                let during = |at: Duration| *from <= at && at <= *to + LATE;
                let trips = self
                    .guarded
                    .openings()
                    .filter(|(at, _)| during(*at))
                    .count();
                let halves = (to.saturating_sub(*from)).as_secs_f64() / 0.5;
                let most = 2.0 + (1.0 + halves).log2();
                let how = format!("opens {trips} times in {fault:?}, at most {most:.0}");
                (trips as f64 > most).then(|| broken("flaps", how))?
            })
    }
}

/// The number of connects during an outage.
pub(crate) fn connects_in(connects: &[Duration], outage: &Episode) -> usize {
    let during = |at: &&Duration| outage.from <= **at && **at < outage.to;
    connects.iter().filter(during).count()
}
