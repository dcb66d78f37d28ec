use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

use super::rig::{Failure, Ignored, Rig, Seen, Success, ms, rules, slow_rules};
use crate::breaker::clock::ManualClock;
use crate::breaker::error::{CallError, Rejection};
use crate::breaker::event::Event;
use crate::breaker::handle::Breaker;
use crate::breaker::state::State;
use crate::breaker::verdict::Class;

#[test]
fn a_call_returns_its_value_its_error_or_the_rejection() {
    let rig = Rig::new(rules().minimum_calls(1));
    assert_eq!(rig.breaker.call(|| Ok::<_, ()>(1)), Ok(1));
    let failed = rig.breaker.call(|| Err::<(), _>("no"));
    assert_eq!(failed, Err(CallError::Failed("no")));
    let rejected = rig
        .breaker
        .call(|| -> Result<(), ()> { panic!("was called") });
    let rejection = Rejection::Open {
        retry_after: ms(100),
    };
    assert_eq!(rejected, Err(CallError::Refused(rejection)));
}

#[test]
fn the_class_of_an_error_decides_how_it_counts() {
    for (class, counts) in [
        (Class::Failure, (0, 1, 0)),
        (Class::FailureAndClose, (0, 1, 0)),
        (Class::Starved, (0, 1, 0)),
        (Class::Slow, (1, 0, 0)),
        (Class::Success, (1, 0, 0)),
        (Class::ReadOnly, (1, 0, 0)),
        (Class::Ignored, (0, 0, 1)),
        (Class::Denied, (0, 0, 1)),
    ] {
        let rig = Rig::new(rules());
        let _ = rig.breaker.call_with(|()| class, || Err::<(), _>(()));
        let now = rig.snapshot();
        assert_eq!(
            (
                now.totals.successes,
                now.totals.failures,
                now.totals.ignored
            ),
            counts,
            "{class:?}"
        );
    }
}

#[test]
fn a_panic_is_one_failure_and_propagates() {
    let rig = Rig::new(rules());
    let call = || {
        rig.breaker
            .call(|| -> Result<(), ()> { panic!("in the call") })
    };
    let panic = catch_unwind(AssertUnwindSafe(call)).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"in the call"));
    let now = rig.snapshot();
    assert_eq!(
        (now.totals.failures, now.totals.abandoned, now.window.calls),
        (1, 0, 1)
    );
}

#[test]
fn a_permit_dropped_by_a_panic_is_a_failure() {
    let rig = Rig::new(rules());
    let call = || {
        let _permit = rig.breaker.try_acquire().unwrap();
        panic!("while holding it");
    };
    assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
    assert_eq!(rig.snapshot().totals.failures, 1);
}

/// A statement that was admitted and then refused counted as both.
#[test]
fn a_withdrawn_permit_counts_as_no_call() {
    let rig = Rig::new(slow_rules());
    let early = rig.breaker.try_acquire().unwrap();
    rig.breaker.try_acquire().unwrap().withdraw();
    rig.breaker.observe().withdraw();
    rig.breaker.reset();
    rig.log.take();
    early.withdraw();
    rig.pass(64);
    rig.calls([Success]);
    let now = rig.snapshot();
    assert_eq!(
        (now.window.calls, now.totals.successes, now.totals.slow),
        (1, 1, 0)
    );
    assert_eq!(
        (
            now.totals.ignored,
            now.totals.abandoned,
            now.totals.discarded
        ),
        (0, 0, 0)
    );
    assert_eq!(rig.log.take(), []);
}

/// Such a probe was reported as discarded.
#[test]
fn a_probe_that_is_withdrawn_after_its_batch_has_failed_is_not_reported() {
    let rig = Rig::due(rules());
    let [one, two] = [(); 2].map(|()| rig.breaker.try_acquire().unwrap());
    one.settle(Failure);
    assert!(rig.is_open());
    rig.log.take();
    two.withdraw();
    assert_eq!(rig.log.take(), []);
    assert_eq!(rig.snapshot().totals.discarded, 0);
}

#[test]
fn a_withdrawn_probe_frees_its_slot() {
    let rig = Rig::due(rules().half_open_probes(1));
    rig.breaker.try_acquire().unwrap().withdraw();
    let probe = rig.breaker.try_acquire().unwrap();
    assert!(probe.is_probe());
    probe.settle(Success);
    assert_eq!(rig.state(), State::Closed);
    assert_eq!(rig.snapshot().totals.ignored, 0);
}

#[test]
fn an_abandoned_permit_is_reported_with_how_long_it_was_held() {
    let rig = Rig::new(slow_rules());
    let permit = rig.breaker.try_acquire().unwrap();
    rig.pass(5);
    drop(permit);
    assert_eq!(rig.log.take(), [Seen::Abandoned(ms(5))]);
    assert_eq!(
        (rig.snapshot().totals.abandoned, rig.snapshot().window.calls),
        (1, 0)
    );
}

/// An observer that calls the breaker.
#[derive(Clone, Default)]
struct Reentrant(Arc<OnceLock<Breaker>>);

impl Reentrant {
    fn call_back(&self) {
        let breaker = self.0.get().unwrap();
        let _ = (breaker.snapshot(), breaker.state(), breaker.rejection());
        breaker.set_mode(breaker.mode());
        drop(breaker.force_open());
    }
}

#[test]
fn an_observer_may_call_the_breaker() {
    let (clock, reentrant) = (ManualClock::new(), Reentrant::default());
    let builder = rules()
        .slow_call_rate(0.9)
        .ramp(crate::breaker::Ramp::UpTo(4));
    let breaker = builder
        .clock(clock.clone())
        .on_event({
            let reentrant = reentrant.clone();
            move |event| match event {
                Event::Mode { .. } => {} // the observer itself causes these
                _ => reentrant.call_back(),
            }
        })
        .build()
        .unwrap();
    reentrant.0.set(breaker.clone()).unwrap();
    let call = |verdict| breaker.try_acquire().unwrap().settle(verdict);

    let hung = breaker.try_acquire().unwrap();
    clock.advance(ms(64));
    (0..3).for_each(|_| call(Failure)); // slow, and a transition
    hung.settle(Success); // discarded
    clock.advance(ms(100));
    drop(breaker.try_acquire()); // half-open, abandoned
    let _hung = breaker.try_acquire().unwrap();
    clock.advance(ms(64));
    call(Success); // slow, and open again
}

#[test]
fn an_owned_permit_outlives_its_handle_and_counts_like_any_other() {
    let rig = Rig::new(slow_rules());
    let breaker = rig.breaker.clone();
    let [success, failure, ignored, slow, withdrawn, abandoned] =
        [(); 6].map(|()| breaker.try_acquire_owned().unwrap());
    drop(breaker);
    assert!(!success.is_probe());
    std::thread::spawn(move || success.settle(Success))
        .join()
        .unwrap();
    failure.settle_class(Class::Failure);
    ignored.settle(Ignored);
    slow.settle_after(Success, ms(64));
    withdrawn.withdraw();
    drop(abandoned);
    let now = rig.snapshot();
    assert_eq!(
        (
            now.totals.successes,
            now.totals.failures,
            now.totals.ignored
        ),
        (2, 1, 1)
    );
    assert_eq!(
        (now.totals.slow, now.totals.abandoned, now.window.calls),
        (1, 1, 3)
    );
}

#[test]
fn an_owned_permit_dropped_by_a_panic_is_a_failure() {
    let rig = Rig::new(rules());
    let call = || {
        let _permit = rig.breaker.try_acquire_owned().unwrap();
        panic!("while holding it");
    };
    assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
    assert_eq!(
        (
            rig.snapshot().totals.failures,
            rig.snapshot().totals.abandoned
        ),
        (1, 0)
    );
}

#[test]
fn an_owned_permit_may_be_a_probe_and_is_refused_like_any_other() {
    let rig = Rig::open(rules().half_open_probes(1));
    assert!(rig.breaker.try_acquire_owned().is_err());
    rig.pass(100);
    let probe = rig.breaker.try_acquire_owned().unwrap();
    assert!(probe.is_probe());
    probe.settle(Success);
    assert_eq!(rig.state(), State::Closed);
}
