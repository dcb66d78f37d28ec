//! A breaker with a manual clock and a log of its events.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::breaker::builder::Builder;
use crate::breaker::clock::ManualClock;
use crate::breaker::event::Event;
use crate::breaker::handle::Breaker;
use crate::breaker::settings::{Ramp, Window};
use crate::breaker::snapshot::Snapshot;
use crate::breaker::state::{Mode, Reason, State, Transition};
use crate::breaker::verdict::Verdict;

pub(super) use crate::breaker::verdict::Verdict::{Failure, Ignored, Success};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Seen {
    Transition(Transition),
    Mode(Mode, bool),
    Reconfigured,
    Ramp(u32),
    Stalling,
    Adapted(Option<Duration>),
    Slow(u32),
    Abandoned(Duration),
    Discarded(Verdict),
}

/// Keeps the events of a breaker.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<Seen>>>);

impl Log {
    fn push(&self, event: Seen) {
        self.0.lock().unwrap().push(event);
    }

    /// Removes and returns the events.
    pub(super) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Log {
    fn observe(&self, event: &Event<'_>) {
        self.push(match *event {
            Event::Transition(transition) => Seen::Transition(*transition),
            Event::Mode { mode, forced_open } => Seen::Mode(mode, forced_open),
            Event::Reconfigured => Seen::Reconfigured,
            Event::Ramp { places } => Seen::Ramp(places),
            Event::Stalling => Seen::Stalling,
            Event::Adapted {
                slow_call_threshold,
            } => Seen::Adapted(slow_call_threshold),
            Event::Slow { calls } => Seen::Slow(calls),
            Event::Abandoned { held } => Seen::Abandoned(held),
            Event::Discarded { verdict } => Seen::Discarded(verdict),
        });
    }
}

/// Only the failure rate, over 10 calls, from 4 on; open for 100 ms, 2 probes, no ramp, no jitter.
pub(super) fn rules() -> Builder {
    Breaker::builder()
        .window(Window::calls(10))
        .minimum_calls(4)
        .failure_rate(0.5)
        .slow_call_rate(None)
        .slow_call_threshold(ms(64))
        .consecutive_failures(None)
        .open_duration(ms(100))
        .max_open_duration(ms(400))
        .jitter(0.0)
        .half_open_probes(2)
        .ramp(Ramp::Off)
}

/// The same, with the slow-call rate instead of the failure rate.
pub(super) fn slow_rules() -> Builder {
    rules().failure_rate(None).slow_call_rate(0.5)
}

pub(super) struct Rig {
    pub(super) breaker: Breaker,
    pub(super) clock: ManualClock,
    pub(super) log: Log,
}

impl Rig {
    pub(super) fn new(builder: Builder) -> Self {
        let (clock, log) = (ManualClock::new(), Log::default());
        let observer = log.clone();
        let builder = builder
            .clock(clock.clone())
            .on_event(move |event| observer.observe(event));
        Self {
            breaker: builder.build().unwrap(),
            clock,
            log,
        }
    }

    /// A breaker that has just opened.
    pub(super) fn open(builder: Builder) -> Self {
        let rig = Self::new(builder);
        rig.calls([Failure; 4]);
        assert_eq!(rig.state(), State::Open);
        rig.log.take();
        rig
    }

    /// An open breaker whose open duration is over.
    pub(super) fn due(builder: Builder) -> Self {
        let rig = Self::open(builder);
        rig.pass(100);
        rig
    }

    /// Makes consecutive calls that take no time.
    pub(super) fn calls<const N: usize>(&self, verdicts: [Verdict; N]) {
        for verdict in verdicts {
            self.breaker.try_acquire().unwrap().settle(verdict);
        }
    }

    /// Advances the clock.
    pub(super) fn pass(&self, millis: u64) {
        self.clock.advance(ms(millis));
    }

    pub(super) fn state(&self) -> State {
        self.breaker.state()
    }

    pub(super) fn is_open(&self) -> bool {
        self.state() == State::Open
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        self.breaker.snapshot()
    }

    /// Makes a call and returns its `retry_after`; `None` if the call is admitted, and then
    /// abandoned.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        self.breaker.try_acquire().err()?.retry_after()
    }

    /// Removes all events and returns the changes of state among them.
    pub(super) fn transitions(&self) -> Vec<(State, State, Reason)> {
        let events = self.log.take().into_iter();
        events
            .filter_map(|event| match event {
                Seen::Transition(it) => Some((it.from, it.to, it.reason)),
                _ => None,
            })
            .collect()
    }
}

pub(super) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
