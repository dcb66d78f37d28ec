//! The rules once more, the plain way: every result is kept, nothing is cached, one thread, whole
//! milliseconds.

use super::rig::{Failure, Ignored, Success, Told, ms};
use super::settings::{DELAYS, Outcome, Recent, Rules, SLOW, count, part, reaches};
use crate::breaker::error::Rejection;
use crate::breaker::state::{Mode, Reason, State, Transition};
use crate::breaker::verdict::Verdict;

#[derive(Clone, Debug, PartialEq)]
enum Now {
    Closed,
    Open { until: u64 },
    HalfOpen { size: u32, results: Vec<Outcome> },
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// `watched` until it ends or has been counted as slow.
    Counted {
        watched: bool,
        swept: bool,
    },
    /// `awaited` until it ends or is slow, and has a place until its time is up.
    Probe {
        awaited: bool,
        placed: bool,
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

#[derive(Debug, Default, PartialEq)]
pub(super) struct Totals {
    pub(super) successes: u64,
    pub(super) failures: u64,
    pub(super) ignored: u64,
    pub(super) abandoned: u64,
    pub(super) slow: u64,
    pub(super) discarded: u64,
    pub(super) rejected: u64,
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
    pub(super) in_a_row: u32,
    pub(super) totals: Totals,
    pub(super) told: Vec<Told>,
    phase: Now,
    generation: u64,
    results: Vec<(u64, Outcome)>,
    coalesce_until: u64,
    running: Vec<Call>,
    /// When a call was last answered, and when those began that were given up since.
    answered: u64,
    given_up: Vec<u64>,
}

impl Model {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            now: 0,
            mode: Mode::Enforce,
            forced: 0,
            attempt: 0,
            in_a_row: 0,
            totals: Totals::default(),
            told: Vec::new(),
            phase: Now::Closed,
            generation: 0,
            results: Vec::new(),
            coalesce_until: 0,
            running: Vec::new(),
            answered: 0,
            given_up: Vec::new(),
        }
    }

    pub(super) fn state(&self) -> State {
        match self.phase {
            Now::Closed => State::Closed,
            Now::Open { .. } => State::Open,
            Now::HalfOpen { .. } => State::HalfOpen,
        }
    }

    pub(super) fn retry_after(&self) -> Option<u64> {
        match self.phase {
            Now::Open { until } => Some(until.saturating_sub(self.now)),
            _ => None,
        }
    }

    /// Calls in the window, and the parts of them that were failures and slow.
    pub(super) fn window(&self) -> (usize, f64, f64) {
        let recent = self.recent();
        (
            recent.len(),
            part(&recent, Outcome::Failure),
            part(&recent, Outcome::Slow),
        )
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

    /// The next moments at which time alone makes a difference.
    pub(super) fn boundaries(&self) -> Vec<u64> {
        let mut at: Vec<u64> = (self.running.iter())
            .flat_map(|call| [call.started + SLOW, call.started + self.rules.probe_timeout])
            .collect();
        if let Now::Open { until } = self.phase {
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
        if self.phase != Now::Closed {
            self.totals.not_closed += millis;
        }
    }

    pub(super) fn order(&mut self, mode: Mode, forced: usize) {
        if (mode, forced > 0) != (self.mode, self.forced > 0) {
            self.told.push(Told::Mode(mode, forced > 0));
        }
        (self.mode, self.forced) = (mode, forced);
    }

    // Admission

    pub(super) fn acquire(&mut self) -> Result<(), Rejection> {
        if self.forced > 0 {
            self.totals.rejected += 1;
            return Err(Rejection::ForcedOpen);
        }
        self.look(self.generation);
        let kind = match self.mode {
            Mode::Disabled => Kind::Unrecorded,
            _ if self.phase == Now::Closed => self.counted(),
            _ => match self.probe() {
                Ok(kind) => kind,
                Err(rejection) => {
                    self.totals.rejected += 1;
                    if self.mode == Mode::Enforce {
                        return Err(rejection);
                    }
                    Kind::Uncounted
                }
            },
        };
        self.start(kind);
        Ok(())
    }

    pub(super) fn observe(&mut self) {
        self.look(self.generation);
        let kind = match (self.mode, &self.phase) {
            (Mode::Disabled, _) => Kind::Unrecorded,
            (_, Now::Closed) => self.counted(),
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
        self.take_back();
        if let Now::Open { until } = self.phase {
            if self.now < until {
                let retry_after = ms(until - self.now);
                return Err(Rejection::Open { retry_after });
            }
            self.batch(self.rules.probes);
            self.turned(State::Open, Reason::DelayElapsed, &[], None);
            self.renew();
        }
        let Now::HalfOpen { size, results } = &self.phase else {
            return Ok(self.counted());
        };
        let under_way = |call: &Call| match call.kind {
            Kind::Probe { awaited, placed } if awaited => Some((call.started, placed)),
            _ => None,
        };
        let under_way: Vec<_> = self.running.iter().filter_map(under_way).collect();
        let places = under_way.iter().filter(|(_, placed)| *placed).count();
        if places + results.len() >= *size as usize {
            let slow = self.rules.slow_call_rate.map(|_| SLOW);
            let until = under_way.iter().filter_map(|(started, placed)| {
                let loses_place = placed.then_some(self.rules.probe_timeout);
                Some(started + loses_place.into_iter().chain(slow).min()?)
            });
            let retry_after = ms(until.min().unwrap() - self.now);
            return Err(Rejection::HalfOpen { retry_after });
        }
        Ok(Kind::Probe {
            awaited: true,
            placed: true,
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
            self.take_back();
            self.running.pop();
        }
    }

    pub(super) fn abandon(&mut self, index: usize) {
        let call = self.running.remove(index);
        if call.kind == Kind::Unrecorded {
            return;
        }
        self.totals.abandoned += 1;
        self.told.push(Told::Abandoned(ms(self.now - call.started)));
        self.end(call, Ignored, None);
        if call.kind != Kind::Uncounted {
            self.stall(call);
        }
    }

    /// The call was given up: nobody may have been answered for too long.
    fn stall(&mut self, call: Call) {
        let is_open = matches!(self.phase, Now::Open { .. });
        if is_open || self.mode == Mode::Disabled || call.generation != self.generation {
            return;
        }
        self.given_up.push(call.started.max(self.answered));
        let since = *self.given_up.iter().min().unwrap();
        let enough = self.given_up.len() >= self.rules.wanted() as usize;
        if enough && (self.rules.stall).is_some_and(|bound| self.now - since >= bound) {
            let over = match &self.phase {
                Now::HalfOpen { results, .. } => results.clone(),
                _ => self.recent(),
            };
            self.open(Reason::Stalled, &over);
        }
    }

    /// Somebody was answered. An answer in the same moment as one before is the same.
    fn answer(&mut self) {
        if self.now > self.answered {
            self.answered = self.now;
            self.given_up.clear();
        }
    }

    fn end(&mut self, call: Call, verdict: Verdict, took: Option<u64>) {
        let took = took.unwrap_or(self.now - call.started);
        match call.kind {
            Kind::Counted { swept, .. } if call.generation == self.generation => {
                if self.mode != Mode::Disabled {
                    self.record(verdict, took, swept);
                    self.look(call.generation);
                }
            }
            Kind::Probe { .. } => self.end_probe(call, verdict, took),
            Kind::Counted { .. } => self.discard(verdict),
            Kind::Uncounted | Kind::Unrecorded => {}
        }
    }

    fn record(&mut self, verdict: Verdict, took: u64, swept: bool) {
        let coalesced = verdict == Failure && self.now < self.coalesce_until;
        match verdict {
            Failure if !coalesced => {
                self.in_a_row += 1;
                self.coalesce_until = self
                    .rules
                    .coalesce_failures
                    .map_or(0, |span| self.now + span);
            }
            Success => {
                self.in_a_row = 0;
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

    /// Counts the running calls of a generation that have reached the bound as slow.
    fn look(&mut self, generation: u64) {
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
        if overdue > 0 && generation == self.generation {
            self.add_slow(overdue);
            self.trip();
        } else if overdue > 0 {
            // The call that just ended has tripped it: reported, and in no window any more.
            self.tell_slow(overdue);
        }
    }

    fn add_slow(&mut self, calls: u32) {
        self.tell_slow(calls);
        self.results
            .extend((0..calls).map(|_| (self.now, Outcome::Slow)));
    }

    fn tell_slow(&mut self, calls: u32) {
        self.totals.slow += u64::from(calls);
        self.told.push(Told::Slow(calls));
    }

    fn trip(&mut self) {
        let recent = self.recent();
        let enough = recent.len() >= self.rules.minimum as usize;
        let reason = if self.rules.in_a_row.is_some_and(|n| self.in_a_row >= n) {
            Reason::ConsecutiveFailures
        } else if enough && reaches(part(&recent, Outcome::Failure), self.rules.failure_rate) {
            Reason::FailureRate
        } else if enough && reaches(part(&recent, Outcome::Slow), self.rules.slow_call_rate) {
            Reason::SlowRate
        } else {
            return;
        };
        self.open(reason, &recent);
    }

    // Probes

    /// Probes lose their places in time, and are slow in time.
    fn take_back(&mut self) {
        while self.mode != Mode::Disabled {
            let (now, rules) = (self.now, &self.rules);
            let mut slow = None;
            for call in &mut self.running {
                let ran = now - call.started;
                if let Kind::Probe { awaited, placed } = &mut call.kind
                    && *awaited
                {
                    *placed &= ran < rules.probe_timeout;
                    if rules.slow_call_rate.is_some() && ran >= SLOW && slow.is_none() {
                        slow = Some(awaited);
                    }
                }
            }
            let Some(awaited) = slow else {
                return;
            };
            *awaited = false;
            self.add_to_batch(Outcome::Slow);
        }
    }

    fn end_probe(&mut self, call: Call, verdict: Verdict, took: u64) {
        // It may be one of those that are taken back now.
        self.running.push(call);
        self.take_back();
        let call = self.running.pop().unwrap();
        if verdict == Success && call.generation == self.generation && self.mode != Mode::Disabled {
            self.answer();
        }
        if !matches!(call.kind, Kind::Probe { awaited: true, .. }) {
            return self.discard(verdict);
        }
        if let Some(outcome) = self.rules.outcome(verdict, took)
            && self.mode != Mode::Disabled
        {
            self.add_to_batch(outcome);
        }
    }

    fn add_to_batch(&mut self, outcome: Outcome) {
        if outcome == Outcome::Slow {
            self.tell_slow(1);
        }
        let Now::HalfOpen { size, results } = &mut self.phase else {
            unreachable!("probes are awaited only while half-open");
        };
        results.push(outcome);
        let (size, results) = (*size, results.clone());
        let at_end = |of| count(&results, of) / f64::from(size);
        let faulty = match self.rules.failure_rate {
            None => results.contains(&Outcome::Failure),
            threshold => reaches(at_end(Outcome::Failure), threshold),
        };
        if faulty || reaches(at_end(Outcome::Slow), self.rules.slow_call_rate) {
            self.open(Reason::ProbesFailed, &results);
        } else if results.len() < size as usize {
            // The others decide.
        } else if size < self.rules.largest {
            let next = (2 * size).min(self.rules.largest);
            self.batch(next);
            self.told.push(Told::Ramp(next));
        } else {
            self.close(Reason::ProbesSucceeded, &results);
        }
    }

    fn discard(&mut self, verdict: Verdict) {
        self.totals.discarded += 1;
        self.told.push(Told::Discarded(verdict));
    }

    // Changes of state

    fn batch(&mut self, size: u32) {
        self.forget_probes();
        self.phase = Now::HalfOpen {
            size,
            results: Vec::new(),
        };
    }

    fn open(&mut self, reason: Reason, over: &[Outcome]) {
        let from = self.state();
        let delay = DELAYS[self.attempt.min(2) as usize];
        self.attempt += 1;
        self.totals.trips += 1;
        self.phase = Now::Open {
            until: self.now + delay,
        };
        self.turned(from, reason, over, Some(delay));
        self.renew();
    }

    fn close(&mut self, reason: Reason, over: &[Outcome]) {
        let from = self.state();
        self.attempt = 0;
        self.phase = Now::Closed;
        self.turned(from, reason, over, None);
        self.renew();
    }

    fn turned(&mut self, from: State, reason: Reason, over: &[Outcome], delay: Option<u64>) {
        self.told.push(Told::Transition(Transition {
            from,
            to: self.state(),
            reason,
            calls: u32::try_from(over.len()).unwrap(),
            failure_rate: part(over, Outcome::Failure),
            slow_call_rate: part(over, Outcome::Slow),
            attempt: self.attempt,
            retry_after: delay.map(ms),
        }));
    }

    /// A generation with nothing in it.
    fn renew(&mut self) {
        self.results.clear();
        self.in_a_row = 0;
        self.late();
    }

    /// What is under way now will come too late.
    fn late(&mut self) {
        self.generation += 1;
        self.coalesce_until = 0;
        self.answered = self.now;
        self.given_up.clear();
        self.forget_probes();
    }

    fn forget_probes(&mut self) {
        for call in &mut self.running {
            if let Kind::Probe { awaited, .. } = &mut call.kind {
                *awaited = false;
            }
        }
    }

    pub(super) fn reset(&mut self) {
        if self.phase == Now::Closed {
            self.attempt = 0;
            self.renew();
        } else {
            self.close(Reason::Reset, &[]);
        }
    }

    pub(super) fn reconfigure(&mut self, rules: Rules) {
        if rules.recent != self.rules.recent {
            self.results.clear();
        }
        if matches!(self.phase, Now::HalfOpen { .. }) {
            self.batch(rules.probes);
        }
        self.rules = rules;
        self.late();
        self.told.push(Told::Reconfigured);
    }
}
