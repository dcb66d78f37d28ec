//! The state machine. It is pure: it receives the time and a random number, and returns what
//! changed. The shell around it has the clock, the lock and the observer.

use std::time::Duration;

use super::clock::nanos;
use super::settings::Settings;
use super::state::{Reason, State, Transition};
use super::tally::{Counts, Outcome};

/// A state with its data. Times are in nanoseconds on the breaker's clock.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Phase {
    Closed,
    Open { until: u64 },
    HalfOpen(Batch),
}

/// A batch of `size` probes, whose results decide.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Batch {
    pub(super) size: u32,
    pub(super) settled: Counts,
    pub(super) running: Vec<Probe>,
}

/// A probe in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Probe {
    id: u64,
    since: u64,
    /// `false` while the probe waits for its connection.
    is_running: bool,
    /// The probe occupies a probe slot, and not only runs on after `probe_timeout`.
    holds_slot: bool,
}

/// The answer to a request to start a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// The probe with this id may start.
    Probe(u64),
    /// No probe may start before this time.
    NotBefore(u64),
}

/// A change that the machine reports to its shell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Change {
    State(Transition),
    /// The next batch has this many probes.
    Ramp(u32),
    /// A probe counted as slow.
    Slow,
}

/// An opening of the machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opening {
    pub(super) at: u64,
    pub(super) reason: Reason,
    pub(super) counts: Counts,
}

#[derive(Debug)]
pub(super) struct Machine {
    pub(super) phase: Phase,
    /// How often the machine opened, without staying closed for long enough in between.
    pub(super) attempt: u32,
    /// The time at which it last closed.
    closed_since: u64,
    /// How it opened when it was closed last.
    pub(super) tripped_by: Option<Opening>,
    /// How it opened last without having been closed since then.
    pub(super) reopened_by: Option<Opening>,
    next_probe: u64,
}

impl Machine {
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Closed,
            attempt: 0,
            closed_since: 0,
            tripped_by: None,
            reopened_by: None,
            next_probe: 0,
        }
    }

    pub(super) fn state(&self) -> State {
        match self.phase {
            Phase::Closed => State::Closed,
            Phase::Open { .. } => State::Open,
            Phase::HalfOpen(_) => State::HalfOpen,
        }
    }

    /// Opens, because a rule held over the `counts` of a closed breaker, or during a batch.
    pub(super) fn trip(
        &mut self,
        now: u64,
        reason: Reason,
        counts: Counts,
        settings: &Settings,
        random: f64,
    ) -> Change {
        let closed_for = now.saturating_sub(self.closed_since);
        if self.phase == Phase::Closed && closed_for >= nanos(settings.attempt_memory()) {
            self.attempt = 0;
        }
        let counts = self.evidence(counts);
        self.open(now, now, reason, counts, settings, random)
    }

    /// Opens for `duration`, whatever the rules say. `counts`: those of a closed breaker.
    pub(super) fn trip_for(&mut self, now: u64, duration: Duration, counts: Counts) -> Change {
        let counts = match self.phase {
            Phase::Open { .. } => self.opened_by(),
            _ => self.evidence(counts),
        };
        self.attempt = self.attempt.max(1);
        let until = now.saturating_add(nanos(duration));
        self.open_until(until, now, Reason::Manual, counts)
    }

    /// The counts that opened the machine last.
    fn opened_by(&self) -> Counts {
        let last = self.reopened_by.or(self.tripped_by);
        last.map(|opening| opening.counts).unwrap_or_default()
    }

    /// The counts that decide now: those of the batch, or else the `counts` of a closed breaker.
    fn evidence(&self, counts: Counts) -> Counts {
        match &self.phase {
            Phase::HalfOpen(batch) => batch.settled,
            _ => counts,
        }
    }

    /// Turns half-open, because a background probe was answered.
    pub(super) fn half_open(&mut self, settings: &Settings) -> Option<Change> {
        let Phase::Open { .. } = self.phase else {
            return None;
        };
        Some(self.transition(
            Phase::HalfOpen(Batch::of(settings.half_open_probes)),
            Reason::BackendAnswered,
            Counts::default(),
            None,
        ))
    }

    /// Extends the open duration to `until`.
    pub(super) fn postpone(&mut self, until: u64) {
        if let Phase::Open { until: before } = &mut self.phase {
            *before = until.max(*before);
        }
    }

    /// Whether it is half-open, and no probe is in progress.
    pub(super) fn is_idle(&self) -> bool {
        match &self.phase {
            Phase::HalfOpen(batch) => {
                let is_busy = |probe: &Probe| probe.is_running || probe.holds_slot;
                !batch.running.iter().any(is_busy)
            }
            _ => false,
        }
    }

    /// Requests to start a probe. From exactly the end of the open duration on, the machine turns
    /// half-open and admits the first probe in one step. `starts`: the probe runs at once, and does
    /// not wait for a connection first.
    pub(super) fn admit(
        &mut self,
        now: u64,
        starts: bool,
        settings: &Settings,
    ) -> (Admission, Option<Change>) {
        let mut change = None;
        if let Phase::Open { until } = self.phase {
            if now < until {
                return (Admission::NotBefore(until), None);
            }
            change = Some(self.transition(
                Phase::HalfOpen(Batch::of(settings.half_open_probes)),
                Reason::OpenDurationElapsed,
                Counts::default(),
                None,
            ));
        }
        let Phase::HalfOpen(batch) = &mut self.phase else {
            return (Admission::NotBefore(now), None);
        };
        if batch.is_full() {
            return (Admission::NotBefore(batch.full_until(settings)), change);
        }
        let id = self.next_probe;
        self.next_probe += 1;
        batch.running.push(Probe {
            id,
            since: now,
            is_running: starts,
            holds_slot: true,
        });
        (Admission::Probe(id), change)
    }

    /// Ends a probe. Without an outcome it only frees its slot. Returns whether the probe still
    /// counted towards its batch.
    pub(super) fn settle(
        &mut self,
        id: u64,
        now: u64,
        outcome: Option<Outcome>,
        settings: &Settings,
        random: f64,
    ) -> (bool, Option<Change>) {
        let Phase::HalfOpen(batch) = &mut self.phase else {
            return (false, None);
        };
        let Some(index) = batch.running.iter().position(|probe| probe.id == id) else {
            return (false, None);
        };
        batch.running.swap_remove(index);
        let Some(outcome) = outcome else {
            return (true, None);
        };
        batch.settled.add(outcome);
        (true, self.evaluate(now, now, settings, random))
    }

    /// Moves the start of a probe to `at`. The probe runs from then on, and occupies a slot again.
    /// Returns whether the probe still counts towards its batch.
    pub(super) fn restart(&mut self, id: u64, at: u64) -> bool {
        if let Phase::HalfOpen(batch) = &mut self.phase
            && let Some(probe) = batch.running.iter_mut().find(|probe| probe.id == id)
        {
            (probe.since, probe.is_running, probe.holds_slot) = (at, true, true);
            return true;
        }
        false
    }

    /// Frees the slots of probes that have exceeded `probe_timeout`, and counts one slow probe. To
    /// be called until it returns `None`: then no slow probe is left.
    pub(super) fn expire(
        &mut self,
        now: u64,
        settings: &Settings,
        random: f64,
    ) -> Option<Option<Change>> {
        let Phase::HalfOpen(batch) = &mut self.phase else {
            return None;
        };
        let timeout = nanos(settings.probe_timeout);
        for probe in &mut batch.running {
            probe.holds_slot &= now.saturating_sub(probe.since) < timeout;
        }
        let threshold = settings.slow_threshold()?;
        let is_slow =
            |probe: &Probe| probe.is_running && now.saturating_sub(probe.since) >= threshold;
        let running = batch.running.iter().enumerate();
        // In their order in time: the one that decides is the one at whose threshold it opens.
        let (index, since) = (running.filter(|(_, probe)| is_slow(probe)))
            .map(|(index, probe)| (index, probe.since))
            .min_by_key(|(_, since)| *since)?;
        batch.running.swap_remove(index);
        batch.settled.add(Outcome {
            failure: false,
            slow: true,
        });
        Some(self.evaluate(since.saturating_add(threshold), now, settings, random))
    }

    /// Closes, and resets the attempt count.
    pub(super) fn reset(&mut self) -> Option<Change> {
        self.attempt = 0;
        match self.phase {
            Phase::Closed => None,
            _ => Some(self.transition(Phase::Closed, Reason::Reset, Counts::default(), None)),
        }
    }

    /// Starts a half-open batch again, under new settings.
    pub(super) fn restart_batch(&mut self, settings: &Settings) {
        if let Phase::HalfOpen(batch) = &mut self.phase {
            *batch = Batch::of(settings.half_open_probes);
        }
    }

    /// Decides on the batch. `at`: the time of its last result, which may be noticed later.
    fn evaluate(&mut self, at: u64, now: u64, settings: &Settings, random: f64) -> Option<Change> {
        let Phase::HalfOpen(batch) = &mut self.phase else {
            return None;
        };
        let (counts, size) = (batch.settled, batch.size);
        if settings.batch_failed(counts, size) {
            return Some(self.open(at, now, Reason::ProbesFailed, counts, settings, random));
        }
        if !settings.batch_succeeded(counts, size) {
            return None;
        }
        let last = settings.last_batch();
        if size >= last {
            self.closed_since = now;
            return Some(self.transition(Phase::Closed, Reason::ProbesSucceeded, counts, None));
        }
        // The probes that still run belong to the next batch.
        batch.size = size.saturating_mul(2).min(last);
        batch.settled = Counts::default();
        Some(Change::Ramp(batch.size))
    }

    /// Opens for the next open duration, which starts `at` a time up to `now`.
    fn open(
        &mut self,
        at: u64,
        now: u64,
        reason: Reason,
        counts: Counts,
        settings: &Settings,
        random: f64,
    ) -> Change {
        let open_duration = settings.next_open_duration(self.attempt, random);
        self.attempt = self.attempt.saturating_add(1);
        let until = at.saturating_add(nanos(open_duration));
        self.open_until(until, now, reason, counts)
    }

    fn open_until(&mut self, until: u64, now: u64, reason: Reason, counts: Counts) -> Change {
        let opening = Some(Opening {
            at: now,
            reason,
            counts,
        });
        match self.phase {
            Phase::Closed => (self.tripped_by, self.reopened_by) = (opening, None),
            _ => self.reopened_by = opening,
        }
        let retry_after = Duration::from_nanos(until.saturating_sub(now));
        self.transition(Phase::Open { until }, reason, counts, Some(retry_after))
    }

    fn transition(
        &mut self,
        phase: Phase,
        reason: Reason,
        counts: Counts,
        retry_after: Option<Duration>,
    ) -> Change {
        let from = self.state();
        self.phase = phase;
        Change::State(Transition {
            from,
            to: self.state(),
            reason,
            calls: counts.calls,
            failure_rate: counts.failure_rate(),
            slow_call_rate: counts.slow_call_rate(),
            attempt: self.attempt,
            retry_after,
        })
    }
}

impl Batch {
    fn of(size: u32) -> Self {
        Self {
            size,
            ..Self::default()
        }
    }

    /// Whether no slot is free: a probe or a result occupies each.
    pub(super) fn is_full(&self) -> bool {
        self.slot_holders().count() as u64 + u64::from(self.settled.calls) >= u64::from(self.size)
    }

    /// The time at which the first probe frees its slot or counts as slow, if none ends before.
    pub(super) fn full_until(&self, settings: &Settings) -> u64 {
        let timeout = nanos(settings.probe_timeout);
        let next_change = |probe: &Probe| {
            let slot_timeout = probe.holds_slot.then_some(timeout);
            let slow_threshold = settings.slow_threshold().filter(|_| probe.is_running);
            let earliest = slot_timeout.into_iter().chain(slow_threshold).min()?;
            Some(probe.since.saturating_add(earliest))
        };
        self.running
            .iter()
            .filter_map(next_change)
            .min()
            .unwrap_or(0)
    }

    fn slot_holders(&self) -> impl Iterator<Item = &Probe> {
        self.running.iter().filter(|probe| probe.holds_slot)
    }
}
