//! Compares the breaker with the [`Model`] after every step of random sequences.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::model::{Model, Totals};
use super::rig::{Failure, Ignored, Rig, Success, ms};
use super::settings::{Recent, Rules};
use crate::breaker::operator::ForcedOpen;
use crate::breaker::permit::Permit;
use crate::breaker::snapshot::{Rates, Trip};
use crate::breaker::state::Mode;
use crate::breaker::verdict::Verdict;

#[derive(Clone, Debug)]
enum Step {
    Acquire,
    Observe,
    Settle(usize, Verdict),
    SettleAfter(usize, Verdict, u64),
    Withdraw(usize),
    Drop(usize),
    Pass(u64),
    /// Advances to exactly one of [`Model::boundaries`].
    PassToBoundary(usize),
    Mode(Mode),
    ForceOpen,
    Release,
    Reset,
    Reconfigure(Rules),
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![5 => Just(Failure), 5 => Just(Success), 1 => Just(Ignored)]
}

fn rules() -> impl Strategy<Value = Rules> {
    let recent = select(vec![
        Recent::Calls(1),
        Recent::Calls(2),
        Recent::Calls(3),
        Recent::Calls(100),
        Recent::Buckets { width: 50, n: 1 },
        Recent::Buckets { width: 20, n: 3 },
        Recent::Buckets { width: 100, n: 10 },
    ]);
    let rate = || select(vec![None, Some(0.3), Some(0.5), Some(1.0)]);
    let consecutive_failures = select(vec![None, Some(1), Some(3)]);
    let coalesce_failures = select(vec![None, None, Some(15)]);
    let stall = select(vec![None, Some(20), Some(64), Some(200)]);
    let probes = (1..4_u32, select(vec![30, 64, 150]), 0..5_u32);
    (
        recent,
        1..6_u32,
        rate(),
        rate(),
        consecutive_failures,
        stall,
        coalesce_failures,
        probes,
    )
        .prop_map(
            |(
                recent,
                minimum,
                failure_rate,
                slow_call_rate,
                consecutive_failures,
                stall,
                coalesce_failures,
                probes,
            )| {
                let no_rule = failure_rate.is_none()
                    && slow_call_rate.is_none()
                    && consecutive_failures.is_none();
                Rules {
                    recent,
                    minimum: match recent {
                        Recent::Calls(n) => minimum.min(n),
                        Recent::Buckets { .. } => minimum,
                    },
                    failure_rate: if no_rule { Some(0.5) } else { failure_rate },
                    slow_call_rate,
                    consecutive_failures,
                    stall,
                    coalesce_failures,
                    probes: probes.0,
                    probe_timeout: probes.1,
                    largest: probes.0 + probes.2,
                }
            },
        )
}

fn step() -> impl Strategy<Value = Step> {
    let call = || 0..8_usize;
    let idle = select(vec![1_000, 3_600_000, 365 * 24 * 3_600_000]);
    let mode = select(vec![
        Mode::Enforce,
        Mode::Enforce,
        Mode::Observe,
        Mode::Disabled,
    ]);
    prop_oneof![
        30 => Just(Step::Acquire),
        3 => Just(Step::Observe),
        25 => (call(), verdict()).prop_map(|(call, verdict)| Step::Settle(call, verdict)),
        5 => (call(), verdict(), 0..130_u64)
            .prop_map(|(call, verdict, took)| Step::SettleAfter(call, verdict, took)),
        3 => call().prop_map(Step::Withdraw),
        6 => call().prop_map(Step::Drop),
        10 => (1..40_u64).prop_map(Step::Pass),
        10 => (0..20_usize).prop_map(Step::PassToBoundary),
        1 => idle.prop_map(Step::Pass),
        2 => mode.prop_map(Step::Mode),
        1 => Just(Step::ForceOpen),
        2 => Just(Step::Release),
        1 => Just(Step::Reset),
        1 => rules().prop_map(Step::Reconfigure),
    ]
}

/// The breaker, the model, and the permits and handles that the steps hold.
struct Pair<'rig> {
    rig: &'rig Rig,
    model: Model,
    permits: Vec<Permit<'rig>>,
    handles: Vec<ForcedOpen>,
}

impl Pair<'_> {
    /// The index of one of the running calls, if any.
    fn pick(&self, call: usize) -> Option<usize> {
        call.checked_rem(self.permits.len())
    }

    fn pass(&mut self, millis: u64) {
        self.model.pass(millis);
        self.rig.pass(millis);
    }

    fn take(&mut self, step: Step) {
        let (breaker, model) = (&self.rig.breaker, &mut self.model);
        match step {
            Step::Acquire => {
                let predicted = breaker.rejection();
                let (real, expected) = (breaker.try_acquire(), model.acquire());
                assert_eq!(real.as_ref().err(), expected.as_ref().err());
                assert!(predicted.is_none() || predicted == expected.err());
                self.permits.extend(real);
            }
            Step::Observe => {
                self.permits.push(breaker.observe());
                model.observe();
            }
            Step::Settle(call, verdict) => {
                if let Some(call) = self.pick(call) {
                    self.permits.remove(call).settle(verdict);
                    self.model.settle(call, verdict, None);
                }
            }
            Step::SettleAfter(call, verdict, took) => {
                if let Some(call) = self.pick(call) {
                    self.permits.remove(call).settle_after(verdict, ms(took));
                    self.model.settle(call, verdict, Some(took));
                }
            }
            Step::Withdraw(call) => {
                if let Some(call) = self.pick(call) {
                    self.permits.remove(call).withdraw();
                    self.model.withdraw(call);
                }
            }
            Step::Drop(call) => {
                if let Some(call) = self.pick(call) {
                    drop(self.permits.remove(call));
                    self.model.abandon(call);
                }
            }
            Step::Pass(millis) => self.pass(millis),
            Step::PassToBoundary(which) => {
                let boundaries = self.model.boundaries();
                if let Some(which) = which.checked_rem(boundaries.len()) {
                    self.pass(boundaries[which] - self.model.now);
                }
            }
            Step::Mode(mode) => {
                breaker.set_mode(mode);
                model.operate(mode, model.forced);
            }
            Step::ForceOpen => {
                self.handles.push(breaker.force_open());
                model.operate(model.mode, self.handles.len());
            }
            Step::Release => {
                self.handles.pop();
                model.operate(model.mode, self.handles.len());
            }
            Step::Reset => {
                breaker.reset();
                model.reset();
            }
            Step::Reconfigure(rules) => {
                breaker.reconfigure(rules.builder()).unwrap();
                model.reconfigure(rules);
            }
        }
    }

    fn compare(&mut self) {
        let (now, model) = (self.rig.snapshot(), &mut self.model);
        assert_eq!(self.rig.log.take(), std::mem::take(&mut model.events));
        assert_eq!((now.state, now.mode), (model.state(), model.mode));
        assert_eq!(self.rig.state(), model.state());
        let rates = |rates: Rates| {
            (
                rates.calls as usize,
                rates.failure_rate,
                rates.slow_call_rate,
            )
        };
        assert_eq!(rates(now.window), model.window());
        let opening = |trip: Trip| (trip.reason, rates(trip.rates));
        let openings = (now.tripped_by.map(opening), now.reopened_by.map(opening));
        assert_eq!(openings, (model.tripped_by, model.reopened_by));
        assert_eq!(
            (now.consecutive_failures, now.attempt),
            (model.consecutive_failures, model.attempt)
        );
        assert_eq!(now.retry_after, model.retry_after().map(ms));
        let totals = Totals {
            successes: now.totals.successes,
            failures: now.totals.failures,
            ignored: now.totals.ignored,
            abandoned: now.totals.abandoned,
            slow: now.totals.slow,
            discarded: now.totals.discarded,
            rejected: now.totals.rejected,
            would_be_rejected: now.totals.would_be_rejected,
            trips: now.totals.trips,
            not_closed: millis(now.totals.time_not_closed),
        };
        assert_eq!(totals, model.totals);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_breaker_does_what_the_model_does(rules in rules(), steps in vec(step(), 1..60)) {
        let rig = Rig::new(rules.builder());
        let mut pair = Pair {
            rig: &rig,
            model: Model::new(rules),
            permits: Vec::new(),
            handles: Vec::new(),
        };
        for step in steps {
            pair.take(step);
            pair.compare();
        }
    }
}
