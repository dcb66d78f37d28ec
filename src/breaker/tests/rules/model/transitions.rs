//! The transitions of the model, and its batches of probes.

use super::*;

impl Model {
    pub(super) fn trip(&mut self) {
        let recent = self.recent();
        let enough = recent.len() >= self.rules.minimum as usize;
        let reason = if self
            .rules
            .consecutive_failures
            .is_some_and(|n| self.consecutive_failures >= n)
        {
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

    /// Frees the slots of probes past their timeout, and counts the slow probes.
    pub(super) fn expire_probes(&mut self) {
        while self.mode != Mode::Disabled {
            let (now, rules) = (self.now, &self.rules);
            let mut slow = None;
            for call in &mut self.running {
                let ran = now - call.started;
                if let Kind::Probe { awaited, has_slot } = &mut call.kind
                    && *awaited
                {
                    *has_slot &= ran < rules.probe_timeout;
                    let earlier = (slow.as_ref()).is_none_or(|&(since, _)| call.started < since);
                    if rules.slow_call_rate.is_some() && ran >= SLOW && earlier {
                        slow = Some((call.started, awaited));
                    }
                }
            }
            let Some((since, awaited)) = slow else {
                return;
            };
            *awaited = false;
            self.add_to_batch(Outcome::Slow, since + SLOW);
        }
    }

    pub(super) fn end_probe(&mut self, call: Call, verdict: Verdict, took: u64) {
        // It may itself expire now.
        self.running.push(call);
        self.expire_probes();
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
            self.add_to_batch(outcome, self.now);
        }
    }

    /// `at`: the time of the result, which may be noticed later.
    pub(super) fn add_to_batch(&mut self, outcome: Outcome, at: u64) {
        if outcome == Outcome::Slow {
            self.report_slow(1);
        }
        let Phase::HalfOpen { size, results } = &mut self.phase else {
            unreachable!("probes are awaited only while half-open");
        };
        results.push(outcome);
        let (size, results) = (*size, results.clone());
        let fails = |results: &[Outcome]| {
            let at_end = |of| count(results, of) / f64::from(size);
            let failed = match self.rules.failure_rate {
                None => results.contains(&Outcome::Failure),
                threshold => reaches(at_end(Outcome::Failure), threshold),
            };
            failed || reaches(at_end(Outcome::Slow), self.rules.slow_call_rate)
        };
        // The rest of the batch may fail or be slow.
        let may_fail = [Outcome::Failure, Outcome::Slow].map(|worst| {
            let mut at_worst = results.clone();
            at_worst.resize(size as usize, worst);
            fails(&at_worst)
        });
        if fails(&results) {
            self.open_at(at, Reason::ProbesFailed, &results);
        } else if may_fail != [false, false] {
            // The other probes decide.
        } else if size < self.rules.largest {
            let next = (2 * size).min(self.rules.largest);
            self.phase = Phase::HalfOpen {
                size: next,
                results: Vec::new(),
            };
            self.events.push(Seen::Ramp(next));
        } else {
            self.close(Reason::ProbesSucceeded, &results);
        }
    }

    pub(super) fn discard(&mut self, verdict: Verdict) {
        self.totals.discarded += 1;
        self.events.push(Seen::Discarded(verdict));
    }

    // Changes of state

    pub(super) fn batch(&mut self, size: u32) {
        self.forget_probes();
        self.phase = Phase::HalfOpen {
            size,
            results: Vec::new(),
        };
    }

    pub(super) fn open(&mut self, reason: Reason, over: &[Outcome]) {
        let closed_for = self.now - self.closed_since;
        if self.phase == Phase::Closed && closed_for >= self.rules.attempt_memory() {
            self.attempt = 0;
        }
        self.open_at(self.now, reason, over);
    }

    fn open_at(&mut self, at: u64, reason: Reason, over: &[Outcome]) {
        let from = self.underlying_state();
        let delay = DELAYS[self.attempt.min(2) as usize];
        self.attempt += 1;
        self.totals.trips += 1;
        let until = at + delay;
        self.phase = Phase::Open { until };
        let opening = Some((reason, rates(over)));
        match from {
            State::Closed => (self.tripped_by, self.reopened_by) = (opening, None),
            _ => self.reopened_by = opening,
        }
        self.transition(from, reason, over, Some(until.saturating_sub(self.now)));
        self.new_generation();
    }

    pub(super) fn close(&mut self, reason: Reason, over: &[Outcome]) {
        let from = self.underlying_state();
        self.closed_since = self.now;
        self.phase = Phase::Closed;
        self.transition(from, reason, over, None);
        self.new_generation();
    }

    pub(super) fn transition(
        &mut self,
        from: State,
        reason: Reason,
        over: &[Outcome],
        delay: Option<u64>,
    ) {
        self.events.push(Seen::Transition(Transition {
            from,
            to: self.underlying_state(),
            reason,
            calls: u32::try_from(over.len()).unwrap(),
            failure_rate: part(over, Outcome::Failure),
            slow_call_rate: part(over, Outcome::Slow),
            attempt: self.attempt,
            retry_after: delay.map(ms),
        }));
    }

    /// Starts a generation with empty counts; the window is kept until the breaker is closed.
    pub(super) fn new_generation(&mut self) {
        if self.phase == Phase::Closed {
            self.results.clear();
        }
        self.consecutive_failures = 0;
        self.discard_in_progress();
    }

    /// Starts a generation: the results of calls in progress will come too late.
    pub(super) fn discard_in_progress(&mut self) {
        self.generation += 1;
        self.coalesce_until = 0;
        self.answered = self.now;
        self.given_up.clear();
        self.told = false;
        self.forget_probes();
    }

    pub(super) fn forget_probes(&mut self) {
        for call in &mut self.running {
            if let Kind::Probe { awaited, .. } = &mut call.kind {
                *awaited = false;
            }
        }
    }
}
