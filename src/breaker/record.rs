//! Counts calls when they end, when they turn slow, and when none succeeds.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::clock::nanos;
use super::epoch::{Epoch, Kind};
use super::event::Event;
use super::normal::LONG;
use super::settings::SlowCall;
use super::snapshot::Count;
use super::state::{Mode, Reason, State};
use super::tally::{Counts, Outcome};
use super::verdict::Verdict;

use super::shell::Inner;

impl Inner {
    pub(super) fn settle(
        &self,
        kind: Kind,
        started: u64,
        verdict: Verdict,
        took: Option<Duration>,
    ) {
        if matches!(kind, Kind::Unrecorded) {
            return;
        }
        let count = match verdict {
            Verdict::Failure => Count::Failures,
            Verdict::Success => Count::Successes,
            Verdict::Ignored => Count::Ignored,
        };
        self.count(count, 1);
        self.end(kind, started, verdict, took);
    }

    /// Records that the backend answers, without a call that counts.
    pub(super) fn is_alive(&self) {
        let epoch = self.epoch.load();
        if epoch.mode != Mode::Disabled {
            epoch.ledger.demand.alive(self.now());
        }
    }

    /// Ends a call whose success is an answer, but no evidence that other calls succeed.
    pub(super) fn settle_trivial(&self, kind: Kind, started: u64) {
        let (epoch, now) = (self.epoch.load(), self.now());
        match kind {
            Kind::Counted { generation, slot }
                if generation == epoch.generation
                    && !epoch.settings.is_slow(now.saturating_sub(started)) =>
            {
                self.count(Count::Successes, 1);
                epoch.ledger.demand.alive(now);
                if let Some(slot) = slot {
                    epoch.ledger.running.finish(slot);
                }
            }
            _ => self.settle(kind, started, Verdict::Success, None),
        }
    }

    /// Ends a call that is not made after all. Nothing is counted.
    pub(super) fn withdraw(&self, kind: Kind) {
        match kind {
            Kind::Counted { generation, slot } => {
                let epoch = self.epoch.load();
                if epoch.generation == generation
                    && let Some(slot) = slot
                {
                    epoch.ledger.running.finish(slot);
                }
            }
            Kind::Probe { generation, id } => self.end_probe(generation, id, self.now(), 0, None),
            Kind::Uncounted | Kind::Unrecorded => {}
        }
    }

    pub(super) fn abandon(&self, kind: Kind, started: u64, has_own_deadline: bool) {
        if matches!(kind, Kind::Unrecorded) {
            return;
        }
        self.count(Count::Abandoned, 1);
        let held = self.now().saturating_sub(started);
        let held = Duration::from_nanos(held);
        self.emit(&Event::Abandoned { held });
        self.end(kind, started, Verdict::Ignored, None);
        if !has_own_deadline && let Some(generation) = kind.generation() {
            self.unanswered(Some(generation), started, true);
        }
    }

    /// Records a call that began at `started` and has no answer, or was given up, and opens the
    /// breaker if that makes a stall. A call of an older generation does not count.
    pub(super) fn unanswered(&self, generation: Option<u64>, started: u64, given_up: bool) {
        let now = self.now();
        let counts = |epoch: &Epoch| {
            epoch.may_stall() && generation.is_none_or(|own| own >= epoch.counts_from)
        };
        let mut epoch = self.epoch.load();
        if counts(&epoch) && self.sweep(&epoch, now) {
            epoch = self.epoch.load();
        }
        if !counts(&epoch) {
            return;
        }
        let stall = epoch.ledger.demand.unanswered(started, given_up);
        let waiting = self.waiting.load(Ordering::Acquire);
        let elapsed = now.saturating_sub(stall.since);
        let silent = now.saturating_sub(stall.silent_since);
        let calls = stall.calls.saturating_add(waiting);
        let mut may_answer = false;
        if epoch.settings.is_stalling(silent, calls) {
            let told = epoch.ledger.demand.told(now);
            if told.is_none() {
                self.emit(&Event::Stalling);
            }
            may_answer = now
                < told
                    .unwrap_or(now)
                    .saturating_add(self.time_to_answer(&epoch));
        }
        if epoch.settings.is_stall(elapsed, silent, calls) && !may_answer {
            let counts = epoch.ledger.recent.counts(now);
            self.trip(&epoch, now, Reason::Stalled, counts);
        }
    }

    /// The time that a backend has to answer when it is asked, because a stall is near. It may have to
    /// open a connection first. 0 if nobody asks it.
    pub(super) fn time_to_answer(&self, epoch: &Epoch) -> u64 {
        if !self.is_asked.load(Ordering::Relaxed) {
            return 0;
        }
        let settings = &epoch.settings;
        let stall_after = nanos(settings.stall_after().unwrap_or(settings.usual_limit()));
        let connecting = self.connecting.load(Ordering::Relaxed);
        (stall_after / 4).max(connecting.saturating_add(connecting / 4))
    }

    pub(super) fn end(&self, kind: Kind, started: u64, verdict: Verdict, took: Option<Duration>) {
        let now = self.now();
        let elapsed = took.map_or_else(|| now.saturating_sub(started), nanos);
        let may_learn = elapsed >= LONG || self.is_learning.load(Ordering::Relaxed);
        if verdict == Verdict::Success && may_learn {
            self.learn(now, elapsed);
        }
        match kind {
            Kind::Unrecorded => {}
            Kind::Uncounted => {
                let slow = self.observed(now, elapsed, verdict);
                self.note_slow(u32::from(slow));
            }
            Kind::Counted { generation, slot } => {
                let epoch = self.epoch.load();
                if generation < epoch.counts_from {
                    self.discard(verdict);
                    return;
                }
                // If a sweep has taken the slot, the call was counted as slow.
                let slot = slot.filter(|_| generation == epoch.generation);
                let counted = slot.is_some_and(|slot| !epoch.ledger.running.finish(slot));
                self.record(&epoch, now, elapsed, verdict, counted);
                self.sweep(&epoch, now);
            }
            Kind::Probe { generation, id } => {
                self.observed(now, elapsed, verdict);
                self.end_probe(generation, id, now, elapsed, Some(verdict));
            }
        }
    }

    /// Learns from the duration of a success, and changes the slow-call threshold if necessary.
    #[cold]
    fn learn(&self, now: u64, elapsed: u64) {
        let epoch = self.epoch.load();
        let settings = &epoch.settings;
        let (SlowCall::Learned(before), Some(share)) =
            (settings.slow_call, settings.slow_call_rate)
        else {
            return;
        };
        if elapsed == u64::MAX {
            return self.normal.leave_out(); // ended by the server, so that its duration is unknown
        }
        if elapsed < LONG && before.is_some() && !self.normal.is_due(now) {
            return;
        }
        let successes = self.counters.get(Count::Successes as usize);
        let least = settings.minimum_calls;
        let learned = (self.normal).learn(now, elapsed, successes, least, share);
        if learned != before {
            self.adapt(now, learned);
        }
    }

    /// Counts a call in the window of a breaker that is not closed and only observes, so that its
    /// rates can be seen. They change no state. Returns whether it counted as slow.
    fn observed(&self, now: u64, elapsed: u64, verdict: Verdict) -> bool {
        let epoch = self.epoch.load();
        if epoch.mode != Mode::Observe || epoch.state == State::Closed {
            return false;
        }
        let outcome = epoch.outcome(verdict, elapsed);
        if let Some(outcome) = outcome {
            epoch.ledger.recent.record(now, outcome);
        }
        outcome.is_some_and(|outcome| outcome.slow)
    }

    pub(super) fn record(
        &self,
        epoch: &Epoch,
        now: u64,
        elapsed: u64,
        verdict: Verdict,
        counted: bool,
    ) {
        if epoch.mode == Mode::Disabled {
            return;
        }
        let (ledger, settings) = (&epoch.ledger, &epoch.settings);
        if verdict == Verdict::Success {
            ledger.demand.answered(now);
        }
        let coalesced = verdict == Verdict::Failure && ledger.coalesces(settings, now);
        let streak = if coalesced {
            ledger.streak()
        } else {
            ledger.count_consecutive(verdict)
        };
        // A slow call counts even if its failure is coalesced, as a sweep would have counted it.
        let outcome = (epoch.outcome(verdict, elapsed))
            .filter(|outcome| !counted && (outcome.slow || !coalesced));
        let counts = match outcome {
            Some(outcome) => {
                self.note_slow(u32::from(outcome.slow));
                ledger.recent.record(now, outcome)
            }
            None => ledger.recent.counts(now),
        };
        if let Some(reason) = settings.tripped(counts, streak) {
            self.trip(epoch, now, reason, counts);
        }
    }

    /// Counts the running calls that have reached the slow-call threshold. Returns whether there
    /// were any: the epoch may then be out of date.
    #[inline]
    pub(super) fn sweep(&self, epoch: &Epoch, now: u64) -> bool {
        epoch.sweeps() && epoch.ledger.running.is_due(now) && self.count_overdue(epoch, now)
    }

    #[cold]
    fn count_overdue(&self, epoch: &Epoch, now: u64) -> bool {
        let ledger = &epoch.ledger;
        let overdue = ledger.running.sweep(now);
        if overdue == 0 {
            return false;
        }
        self.note_slow(overdue);
        let slow = Outcome {
            failure: false,
            slow: true,
        };
        let mut counts = ledger.recent.counts(now);
        for _ in 0..overdue {
            counts = ledger.recent.record(now, slow);
        }
        if let Some(reason) = epoch.settings.tripped(counts, ledger.streak()) {
            self.trip(epoch, now, reason, counts);
        }
        true
    }

    pub(super) fn trip(&self, epoch: &Epoch, now: u64, reason: Reason, counts: Counts) {
        let mut core = self.core();
        if epoch.generation < core.counts_from {
            return; // another thread was first
        }
        let random = core.random.f64();
        let change = (core.machine).trip(now, reason, counts, &epoch.settings, random);
        self.publish(&mut core, now);
        drop(core);
        self.report([change]);
    }

    pub(super) fn note_slow(&self, calls: u32) {
        if calls > 0 {
            self.count(Count::Slow, u64::from(calls));
            self.emit(&Event::Slow { calls });
        }
    }

    pub(super) fn discard(&self, verdict: Verdict) {
        self.count(Count::Discarded, 1);
        self.emit(&Event::Discarded { verdict });
    }
}
