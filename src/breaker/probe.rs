//! Admission by a breaker that is not closed, and its probes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::clock::nanos;
use super::epoch::{Epoch, Kind};
use super::error::Rejection;
use super::machine::{Admission, Change, Phase};
use super::snapshot::Count;
use super::state::{Mode, State};
use super::tally::Outcome;
use super::verdict::Verdict;

use super::shell::{Core, Inner};

impl Inner {
    /// Rejects a call if the breaker is open until a later time than `now`. This is the whole way of a
    /// rejected call: it loads no epoch.
    #[inline]
    pub(super) fn rejection_at(&self, now: u64) -> Option<Rejection> {
        let until = self.rejects_until.load(Ordering::Acquire);
        (now < until).then(|| {
            self.count(Count::Rejected, 1);
            let retry_after = Duration::from_nanos(until - now);
            Rejection::Open { retry_after }
        })
    }

    /// Admits a call when the breaker may not be closed. `starts`: the call starts now, not later.
    pub(super) fn admit(&self, now: u64, starts: bool) -> Result<Kind, Rejection> {
        let epoch = self.epoch.load();
        if epoch.forced_open {
            self.count(Count::Rejected, 1);
            return Err(Rejection::ForcedOpen);
        }
        if epoch.mode == Mode::Disabled {
            return Ok(Kind::Unrecorded);
        }
        if epoch.admits() {
            return Ok(epoch.start(now));
        }
        let rejection = match self.probe_rejection(&epoch, now) {
            Some(rejection) => rejection,
            None => match self.start_probe(now, starts) {
                Ok(kind) => return Ok(kind),
                Err(rejection) => rejection,
            },
        };
        if epoch.mode == Mode::Observe {
            self.count(Count::WouldBeRejected, 1);
            return Ok(Kind::Uncounted);
        }
        self.count(Count::Rejected, 1);
        Err(rejection)
    }

    /// The reason why no probe can start at `now`. `None` if only the lock can tell.
    pub(super) fn probe_rejection(&self, epoch: &Epoch, now: u64) -> Option<Rejection> {
        let left = |until: u64| Duration::from_nanos(until.saturating_sub(now));
        match epoch.state {
            State::Open if now < epoch.open_until => Some(Rejection::Open {
                retry_after: left(epoch.open_until),
            }),
            State::HalfOpen => {
                let until = self.full_until.load(Ordering::Acquire);
                (now < until).then(|| Rejection::HalfOpen {
                    retry_after: left(until),
                })
            }
            _ => None,
        }
    }

    pub(super) fn start_probe(&self, now: u64, starts: bool) -> Result<Kind, Rejection> {
        let mut core = self.core();
        let mut changes = self.expire(&mut core, now);
        let settings = Arc::clone(&core.settings);
        let kind = if core.machine.state() == State::Closed {
            // It closed before this thread took the lock.
            Ok(self.epoch.load().start(now))
        } else {
            let (admission, change) = core.machine.admit(now, starts, &settings);
            if change.is_some() {
                self.publish(&mut core, now);
            }
            changes.extend(change);
            let retry_after = |until: u64| Duration::from_nanos(until.saturating_sub(now));
            match (admission, core.machine.state()) {
                (Admission::Probe(id), _) => Ok(Kind::Probe {
                    generation: core.generation,
                    id,
                }),
                (Admission::NotBefore(until), State::Open) => Err(Rejection::Open {
                    retry_after: retry_after(until),
                }),
                (Admission::NotBefore(until), _) => Err(Rejection::HalfOpen {
                    retry_after: retry_after(until),
                }),
            }
        };
        self.note_full(&core);
        drop(core);
        self.report(changes);
        kind
    }

    /// Ends a probe. `None` as verdict: its call was not made.
    pub(super) fn end_probe(
        &self,
        generation: u64,
        id: u64,
        now: u64,
        elapsed: u64,
        verdict: Option<Verdict>,
    ) {
        let mut core = self.core();
        let mut changes = self.expire(&mut core, now);
        let mut awaited = false;
        if generation >= core.counts_from {
            if verdict == Some(Verdict::Success) && core.mode != Mode::Disabled {
                self.epoch.load().ledger.demand.answered(now);
            }
            let settings = Arc::clone(&core.settings);
            let outcome = match core.mode {
                Mode::Disabled => None,
                _ => verdict.and_then(|verdict| Outcome::of(verdict, settings.is_slow(elapsed))),
            };
            let random = core.random.f64();
            let (known, change) = core.machine.settle(id, now, outcome, &settings, random);
            awaited = known;
            if known && outcome.is_some_and(|outcome| outcome.slow) {
                changes.push(Change::Slow);
            }
            if matches!(change, Some(Change::State(_))) {
                self.publish(&mut core, now);
            }
            changes.extend(change);
        }
        self.note_full(&core);
        drop(core);
        self.report(changes);
        if !awaited && let Some(verdict) = verdict {
            self.discard(verdict);
        }
    }

    /// Turns half-open, because a background probe was answered.
    pub(super) fn half_open(&self) {
        let now = self.now();
        let mut core = self.core();
        let settings = Arc::clone(&core.settings);
        let change = core.machine.half_open(&settings);
        if change.is_some() {
            self.publish(&mut core, now);
        }
        drop(core);
        self.report(change);
    }

    /// Extends the open duration by about `delay` from now, with jitter. Returns the actual delay.
    pub(super) fn postpone(&self, delay: Duration) -> Duration {
        let now = self.now();
        let mut core = self.core();
        let random = core.random.f64();
        let delay = core.settings.jittered(delay, random);
        core.machine.postpone(now.saturating_add(nanos(delay)));
        let ledger = Arc::clone(&self.epoch.load().ledger);
        self.store_epoch(core.epoch(ledger));
        delay
    }

    /// Starts a probe at `at`. Returns whether it still counts towards its batch.
    pub(super) fn restart(&self, kind: Kind, at: u64) -> bool {
        let Kind::Probe { generation, id } = kind else {
            return false;
        };
        let mut core = self.core();
        let counts = generation >= core.counts_from && core.machine.restart(id, at);
        self.note_full(&core);
        counts
    }

    /// Handles the probes that have reached their timeout or the slow-call threshold.
    pub(super) fn expire(&self, core: &mut Core, now: u64) -> Vec<Change> {
        let settings = Arc::clone(&core.settings);
        let mut changes = Vec::new();
        while core.mode != Mode::Disabled {
            let random = core.random.f64();
            let Some(change) = core.machine.expire(now, &settings, random) else {
                break;
            };
            changes.push(Change::Slow);
            if matches!(change, Some(Change::State(_))) {
                self.publish(core, now);
            }
            changes.extend(change);
        }
        changes
    }

    /// Publishes until when the batch is full, so that callers are rejected without the lock.
    pub(super) fn note_full(&self, core: &Core) {
        let until = match &core.machine.phase {
            Phase::HalfOpen(batch) if batch.is_full() => batch.full_until(&core.settings),
            _ => 0,
        };
        self.full_until.store(until, Ordering::Release);
    }
}
