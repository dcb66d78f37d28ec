//! A naive model of the rules: it keeps every result, caches nothing, has one thread, and counts in
//! whole milliseconds.

use super::rig::{Failure, Ignored, Seen, Success, ms};
use super::settings::{DELAYS, Outcome, Recent, Rules, SLOW, count, part, reaches};
use crate::breaker::error::Rejection;
use crate::breaker::state::{Mode, Reason, State, Transition};
use crate::breaker::verdict::Verdict;

mod transitions;

#[derive(Clone, Debug, PartialEq)]
enum Phase {
    Closed,
    Open { until: u64 },
    HalfOpen { size: u32, results: Vec<Outcome> },
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// `watched` until it ends or has counted as slow.
    Counted {
        watched: bool,
        swept: bool,
    },
    /// `awaited` until it ends or is slow; `has_slot` until `probe_timeout`.
    Probe {
        awaited: bool,
        has_slot: bool,
    },
    Uncounted,
    Unrecorded,
}

#[derive(Clone, Copy, Debug)]
struct Call {
    started: u64,
    generation: u64,
    kind: Kind,
}

/// The number of calls, the failure rate and the slow-call rate.
pub(super) type Rates = (usize, f64, f64);

/// The reason of an opening, and the calls on which it was decided.
pub(super) type Opening = (Reason, Rates);

pub(super) fn rates(outcomes: &[Outcome]) -> Rates {
    (
        outcomes.len(),
        part(outcomes, Outcome::Failure),
        part(outcomes, Outcome::Slow),
    )
}

#[derive(Debug, Default, PartialEq)]
pub(super) struct Totals {
    pub(super) successes: u64,
    pub(super) failures: u64,
    pub(super) ignored: u64,
    pub(super) abandoned: u64,
    pub(super) slow: u64,
    pub(super) discarded: u64,
    pub(super) rejected: u64,
    pub(super) would_be_rejected: u64,
    pub(super) trips: u64,
    pub(super) not_closed: u64,
}

#[derive(Debug)]
pub(super) struct Model {
    pub(super) rules: Rules,
    pub(super) now: u64,
    pub(super) mode: Mode,
    pub(super) forced: usize,
    pub(super) attempt: u32,
    closed_since: u64,
    pub(super) consecutive_failures: u32,
    pub(super) totals: Totals,
    pub(super) events: Vec<Seen>,
    phase: Phase,
    generation: u64,
    results: Vec<(u64, Outcome)>,
    /// The opening from closed, and the last one since then.
    pub(super) tripped_by: Option<Opening>,
    pub(super) reopened_by: Option<Opening>,
    coalesce_until: u64,
    running: Vec<Call>,
    /// The time of the last success, and the start times of the calls that were given up since.
    answered: u64,
    given_up: Vec<u64>,
    /// The observer knows that a stall is near.
    told: bool,
}

impl Model {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            now: 0,
            mode: Mode::Enforce,
            forced: 0,
            attempt: 0,
            closed_since: 0,
            consecutive_failures: 0,
            totals: Totals::default(),
            events: Vec::new(),
            phase: Phase::Closed,
            generation: 0,
            results: Vec::new(),
            tripped_by: None,
            reopened_by: None,
            coalesce_until: 0,
            running: Vec::new(),
            answered: 0,
            given_up: Vec::new(),
            told: false,
        }
    }

    pub(super) fn state(&self) -> State {
        match self.forced {
            0 => self.underlying_state(),
            _ => State::ForcedOpen,
        }
    }

    fn underlying_state(&self) -> State {
        match self.phase {
            Phase::Closed => State::Closed,
            Phase::Open { .. } => State::Open,
            Phase::HalfOpen { .. } => State::HalfOpen,
        }
    }

    pub(super) fn retry_after(&self) -> Option<u64> {
        match self.phase {
            Phase::Open { until } => Some(until.saturating_sub(self.now)),
            _ => None,
        }
    }

    pub(super) fn window(&self) -> Rates {
        rates(&self.recent())
    }

    fn recent(&self) -> Vec<Outcome> {
        let outcomes = |results: &[(u64, Outcome)]| results.iter().map(|it| it.1).collect();
        match self.rules.recent {
            Recent::Calls(n) => {
                outcomes(&self.results[self.results.len().saturating_sub(n as usize)..])
            }
            Recent::Buckets { width, n } => {
                let in_window = |at: u64| at / width + u64::from(n) > self.now / width;
                let first = self.results.iter().position(|&(at, _)| in_window(at));
                outcomes(&self.results[first.unwrap_or(self.results.len())..])
            }
        }
    }

    /// The next times at which the passing of time alone has an effect.
    pub(super) fn boundaries(&self) -> Vec<u64> {
        let mut at: Vec<u64> = (self.running.iter())
            .flat_map(|call| [call.started + SLOW, call.started + self.rules.probe_timeout])
            .collect();
        if let Phase::Open { until } = self.phase {
            at.push(until);
        }
        if let Recent::Buckets { width, n } = self.rules.recent {
            at.extend((1..=u64::from(n)).map(|k| (self.now / width + k) * width));
        }
        at.retain(|&at| at > self.now);
        at
    }

    pub(super) fn pass(&mut self, millis: u64) {
        self.now += millis;
        if self.phase != Phase::Closed {
            self.totals.not_closed += millis;
        }
    }

    pub(super) fn operate(&mut self, mode: Mode, forced: usize) {
        if (mode, forced > 0) != (self.mode, self.forced > 0) {
            self.events.push(Seen::Mode(mode, forced > 0));
        }
        (self.mode, self.forced) = (mode, forced);
    }

    // Admission

    pub(super) fn acquire(&mut self) -> Result<(), Rejection> {
        if self.forced > 0 {
            self.totals.rejected += 1;
            return Err(Rejection::ForcedOpen);
        }
        self.sweep(self.generation);
        let kind = match self.mode {
            Mode::Disabled => Kind::Unrecorded,
            _ if self.phase == Phase::Closed => self.counted(),
            _ => match self.probe() {
                Ok(kind) => kind,
                Err(rejection) => {
                    if self.mode == Mode::Enforce {
                        self.totals.rejected += 1;
                        return Err(rejection);
                    }
                    self.totals.would_be_rejected += 1;
                    Kind::Uncounted
                }
            },
        };
        self.start(kind);
        Ok(())
    }

    pub(super) fn observe(&mut self) {
        self.sweep(self.generation);
        let kind = match (self.mode, &self.phase) {
            (Mode::Disabled, _) => Kind::Unrecorded,
            (_, Phase::Closed) => self.counted(),
            _ => Kind::Uncounted,
        };
        self.start(kind);
    }

    fn start(&mut self, kind: Kind) {
        self.running.push(Call {
            started: self.now,
            generation: self.generation,
            kind,
        });
    }

    fn counted(&self) -> Kind {
        Kind::Counted {
            watched: self.rules.slow_call_rate.is_some(),
            swept: false,
        }
    }

    fn probe(&mut self) -> Result<Kind, Rejection> {
        self.expire_probes();
        if let Phase::Open { until } = self.phase {
            if self.now < until {
                let retry_after = ms(until - self.now);
                return Err(Rejection::Open { retry_after });
            }
            self.batch(self.rules.probes);
            self.transition(State::Open, Reason::OpenDurationElapsed, &[], None);
            self.new_generation();
        }
        let Phase::HalfOpen { size, results } = &self.phase else {
            return Ok(self.counted());
        };
        let in_progress = |call: &Call| match call.kind {
            Kind::Probe { awaited, has_slot } if awaited => Some((call.started, has_slot)),
            _ => None,
        };
        let in_progress: Vec<_> = self.running.iter().filter_map(in_progress).collect();
        let slots = in_progress.iter().filter(|(_, has_slot)| *has_slot).count();
        if slots + results.len() >= *size as usize {
            let slow = self.rules.slow_call_rate.map(|_| SLOW);
            let until = in_progress.iter().filter_map(|(started, has_slot)| {
                let slot_timeout = has_slot.then_some(self.rules.probe_timeout);
                Some(started + slot_timeout.into_iter().chain(slow).min()?)
            });
            let retry_after = ms(until.min().unwrap() - self.now);
            return Err(Rejection::HalfOpen { retry_after });
        }
        Ok(Kind::Probe {
            awaited: true,
            has_slot: true,
        })
    }

    // The end of calls

    pub(super) fn settle(&mut self, index: usize, verdict: Verdict, took: Option<u64>) {
        let call = self.running.remove(index);
        if call.kind == Kind::Unrecorded {
            return;
        }
        match verdict {
            Success => self.totals.successes += 1,
            Failure => self.totals.failures += 1,
            Ignored => self.totals.ignored += 1,
        }
        self.end(call, verdict, took);
    }

    pub(super) fn withdraw(&mut self, index: usize) {
        let call = self.running.remove(index);
        if matches!(call.kind, Kind::Probe { .. }) {
            self.running.push(call);
            self.expire_probes();
            self.running.pop();
        }
    }

    pub(super) fn abandon(&mut self, index: usize) {
        let call = self.running.remove(index);
        if call.kind == Kind::Unrecorded {
            return;
        }
        self.totals.abandoned += 1;
        self.events
            .push(Seen::Abandoned(ms(self.now - call.started)));
        self.end(call, Ignored, None);
        if call.kind != Kind::Uncounted {
            self.stall(call);
        }
    }

    /// Records a call that was given up, and checks for a stall.
    fn stall(&mut self, call: Call) {
        let is_open = matches!(self.phase, Phase::Open { .. });
        if is_open || self.mode == Mode::Disabled || call.generation != self.generation {
            return;
        }
        self.given_up.push(call.started.max(self.answered));
        let since = *self.given_up.iter().min().unwrap();
        let enough = self.given_up.len() >= self.rules.stall_calls() as usize;
        let elapsed = self.now - since;
        let is_near = (self.rules.stall).is_some_and(|bound| 2 * elapsed >= bound);
        if enough && is_near && !self.told {
            self.told = true;
            self.events.push(Seen::Stalling);
        }
        if enough && (self.rules.stall).is_some_and(|bound| elapsed >= bound) {
            let over = match &self.phase {
                Phase::HalfOpen { results, .. } => results.clone(),
                _ => self.recent(),
            };
            self.open(Reason::Stalled, &over);
        }
    }

    /// Records a success. A second one at the same time has no effect.
    fn answer(&mut self) {
        if self.now > self.answered {
            self.answered = self.now;
            self.given_up.clear();
            self.told = false;
        }
    }

    fn end(&mut self, call: Call, verdict: Verdict, took: Option<u64>) {
        let took = took.unwrap_or(self.now - call.started);
        match call.kind {
            Kind::Counted { swept, .. } if call.generation == self.generation => {
                if self.mode != Mode::Disabled {
                    self.record(verdict, took, swept);
                    self.sweep(call.generation);
                }
            }
            Kind::Probe { .. } => {
                self.observed(verdict, took);
                self.end_probe(call, verdict, took);
            }
            Kind::Counted { .. } => self.discard(verdict),
            Kind::Uncounted => {
                if self.observed(verdict, took) == Some(Outcome::Slow) {
                    self.report_slow(1);
                }
            }
            Kind::Unrecorded => {}
        }
    }

    /// Counts a call for the rates that are seen in `Observe`.
    fn observed(&mut self, verdict: Verdict, took: u64) -> Option<Outcome> {
        if self.mode != Mode::Observe || self.phase == Phase::Closed {
            return None;
        }
        let outcome = self.rules.outcome(verdict, took);
        self.results.extend(outcome.map(|it| (self.now, it)));
        outcome
    }

    fn record(&mut self, verdict: Verdict, took: u64, swept: bool) {
        let coalesced = verdict == Failure && self.now < self.coalesce_until;
        match verdict {
            Failure if !coalesced => {
                self.consecutive_failures += 1;
                self.coalesce_until = self
                    .rules
                    .coalesce_failures
                    .map_or(0, |span| self.now + span);
            }
            Success => {
                self.consecutive_failures = 0;
                self.answer();
            }
            _ => {}
        }
        match self.rules.outcome(verdict, took) {
            Some(Outcome::Slow) if !swept => self.add_slow(1),
            Some(outcome) if !swept && !coalesced => self.results.push((self.now, outcome)),
            _ => {}
        }
        self.trip();
    }

    /// Counts the running calls of a generation that have reached the threshold as slow.
    fn sweep(&mut self, generation: u64) {
        if self.mode == Mode::Disabled || self.rules.slow_call_rate.is_none() {
            return;
        }
        let mut overdue = 0;
        for call in &mut self.running {
            let due = call.generation == generation && self.now - call.started >= SLOW;
            if let Kind::Counted { watched, swept } = &mut call.kind
                && due
                && *watched
            {
                (*watched, *swept) = (false, true);
                overdue += 1;
            }
        }
        if overdue > 0 {
            self.add_slow(overdue);
            // Of an older generation if the call that just ended has opened the breaker.
            if generation == self.generation {
                self.trip();
            }
        }
    }

    fn add_slow(&mut self, calls: u32) {
        self.report_slow(calls);
        self.results
            .extend((0..calls).map(|_| (self.now, Outcome::Slow)));
    }

    fn report_slow(&mut self, calls: u32) {
        self.totals.slow += u64::from(calls);
        self.events.push(Seen::Slow(calls));
    }

    pub(super) fn reset(&mut self) {
        if self.phase == Phase::Closed {
            self.attempt = 0;
            self.new_generation();
        } else {
            self.attempt = 0;
            self.close(Reason::Reset, &[]);
        }
    }

    pub(super) fn reconfigure(&mut self, rules: Rules) {
        if rules.recent != self.rules.recent {
            self.results.clear();
        }
        if matches!(self.phase, Phase::HalfOpen { .. }) {
            self.batch(rules.probes);
        }
        self.rules = rules;
        self.discard_in_progress();
        self.events.push(Seen::Reconfigured);
    }
}
