//! Counts calls when they end, when they turn slow, and when none succeeds.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::clock::nanos;
use super::epoch::{Epoch, Kind};
use super::event::Event;
use super::snapshot::Count;
use super::state::{Mode, Reason};
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

    /// Ends a call whose success is an answer, but no evidence that other calls succeed.
    pub(super) fn settle_trivial(&self, kind: Kind, started: u64) {
        let (epoch, now) = (self.epoch.load(), self.now());
        match kind {
            Kind::Counted { generation, slot }
                if generation == epoch.generation
                    && !epoch.settings.is_slow(now.saturating_sub(started)) =>
            {
                self.count(Count::Successes, 1);
                epoch.ledger.demand.answered(now);
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
            epoch.may_stall() && generation.is_none_or(|own| own == epoch.generation)
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
        if (epoch.settings).is_stall(elapsed, stall.calls.saturating_add(waiting)) {
            let counts = epoch.ledger.recent.counts(now);
            self.trip(&epoch, now, Reason::Stalled, counts);
        }
    }

    pub(super) fn end(&self, kind: Kind, started: u64, verdict: Verdict, took: Option<Duration>) {
        let now = self.now();
        let elapsed = took.map_or_else(|| now.saturating_sub(started), nanos);
        match kind {
            Kind::Unrecorded | Kind::Uncounted => {}
            Kind::Counted { generation, slot } => {
                let epoch = self.epoch.load();
                if epoch.generation != generation {
                    self.discard(verdict);
                    return;
                }
                // If a sweep has taken the slot, the call was counted as slow.
                let counted = slot.is_some_and(|slot| !epoch.ledger.running.finish(slot));
                self.record(&epoch, now, elapsed, verdict, counted);
                self.sweep(&epoch, now);
            }
            Kind::Probe { generation, id } => {
                self.end_probe(generation, id, now, elapsed, Some(verdict));
            }
        }
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
        let outcome = (settings.outcome(verdict, elapsed))
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
    pub(super) fn sweep(&self, epoch: &Epoch, now: u64) -> bool {
        if !epoch.sweeps() {
            return false;
        }
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
        if core.generation != epoch.generation {
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
