//! A breaker on a clock that stands still, and all it told its observer.

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
pub(super) enum Told {
    Transition(Transition),
    Mode(Mode, bool),
    Reconfigured,
    Ramp(u32),
    Slow(u32),
    Abandoned(Duration),
    Discarded(Verdict),
}

/// Remembers what it is told.
#[derive(Clone, Default)]
pub(super) struct Memory(Arc<Mutex<Vec<Told>>>);

impl Memory {
    fn note(&self, told: Told) {
        self.0.lock().unwrap().push(told);
    }

    /// What it was told since it was last asked.
    pub(super) fn take(&self) -> Vec<Told> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Memory {
    fn observe(&self, event: &Event<'_>) {
        self.note(match *event {
            Event::Transition(transition) => Told::Transition(*transition),
            Event::Mode { mode, forced_open } => Told::Mode(mode, forced_open),
            Event::Reconfigured => Told::Reconfigured,
            Event::Ramp { places } => Told::Ramp(places),
            Event::Slow { calls } => Told::Slow(calls),
            Event::Abandoned { held } => Told::Abandoned(held),
            Event::Discarded { verdict } => Told::Discarded(verdict),
        });
    }
}

/// The failure rate alone, over 10 calls, from 4 on; 100 ms open, 2 probes, no ramp, no jitter.
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

/// The same with the slow-call rate in place of the failure rate.
pub(super) fn slow_rules() -> Builder {
    rules().failure_rate(None).slow_call_rate(0.5)
}

pub(super) struct Rig {
    pub(super) breaker: Breaker,
    pub(super) clock: ManualClock,
    pub(super) memory: Memory,
}

impl Rig {
    pub(super) fn new(builder: Builder) -> Self {
        let (clock, memory) = (ManualClock::new(), Memory::default());
        let observer = memory.clone();
        let builder = builder
            .clock(clock.clone())
            .on_event(move |event| observer.observe(event));
        Self {
            breaker: builder.build().unwrap(),
            clock,
            memory,
        }
    }

    /// A breaker that has just opened.
    pub(super) fn open(builder: Builder) -> Self {
        let rig = Self::new(builder);
        rig.calls([Failure; 4]);
        assert_eq!(rig.state(), State::Open);
        rig.memory.take();
        rig
    }

    /// An open breaker whose first delay is over.
    pub(super) fn due(builder: Builder) -> Self {
        let rig = Self::open(builder);
        rig.pass(100);
        rig
    }

    /// Calls one after another that take no time.
    pub(super) fn calls<const N: usize>(&self, verdicts: [Verdict; N]) {
        for verdict in verdicts {
            self.breaker.try_acquire().unwrap().settle(verdict);
        }
    }

    /// Lets so many milliseconds pass.
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

    /// When a call is told to come back; `None` if it is admitted, and given up.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        self.breaker.try_acquire().err()?.retry_after()
    }

    /// The changes of state since the observer was last asked.
    pub(super) fn transitions(&self) -> Vec<(State, State, Reason)> {
        let told = self.memory.take().into_iter();
        told.filter_map(|told| match told {
            Told::Transition(it) => Some((it.from, it.to, it.reason)),
            _ => None,
        })
        .collect()
    }
}

pub(super) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
