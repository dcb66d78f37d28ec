//! How calls are counted: when they end, when they turn slow, and when nobody is answered.

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

    /// The call is not made after all, and counts as none.
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

    pub(super) fn abandon(&self, kind: Kind, started: u64, is_patient: bool) {
        if matches!(kind, Kind::Unrecorded) {
            return;
        }
        self.count(Count::Abandoned, 1);
        let held = self.now().saturating_sub(started);
        let held = Duration::from_nanos(held);
        self.emit(&Event::Abandoned { held });
        self.end(kind, started, Verdict::Ignored, None);
        if !is_patient && let Some(generation) = kind.generation() {
            self.unanswered(Some(generation), started, true);
        }
    }

    /// A call that began at `started` has no answer yet, or was given up without one: opens the
    /// breaker if nobody was answered for too long. A generation that is over does not count.
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
                // A swept call has been counted already.
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
            ledger.count_in_a_row(verdict)
        };
        // A slow call counts however it ends: a sweep a moment ago would have counted it, too.
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

    /// Counts the calls that have reached the slow bound while running. True if there were any, and
    /// the epoch may have been superseded.
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
            return; // another call was first
        }
        let random = core.random.f64();
        let change = (core.machine).trip(now, reason, counts, &epoch.settings, random);
        self.publish(&mut core, now);
        drop(core);
        self.tell([change]);
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
