use super::rig::{Failure, Ignored, Rig, Success, ms, rules, slow_rules};
use crate::breaker::settings::Window;
use crate::breaker::snapshot::Trip;
use crate::breaker::state::{Mode, Reason, State};

#[test]
fn the_counts_of_a_new_breaker_are_zero() {
    let now = Rig::new(rules().name("db")).snapshot();
    assert_eq!(
        (&*now.name, now.state, now.mode),
        ("db", State::Closed, Mode::Enforce)
    );
    assert_eq!((now.window.calls, now.attempt, now.totals.trips), (0, 0, 0));
    assert_eq!(
        (now.window.failure_rate, now.window.slow_call_rate),
        (0.0, 0.0)
    );
    assert_eq!((now.retry_after, now.totals.time_not_closed), (None, ms(0)));
}

#[test]
fn every_call_counts_once() {
    let rig = Rig::new(slow_rules().minimum_calls(10));
    rig.calls([Success, Success, Failure, Ignored, Ignored, Ignored]);
    drop(rig.breaker.try_acquire());
    let call = rig.breaker.try_acquire().unwrap();
    call.settle_after(Success, ms(64));
    let now = rig.snapshot();
    assert_eq!((now.totals.successes, now.totals.failures), (3, 1));
    assert_eq!(
        (now.totals.ignored, now.totals.abandoned, now.totals.slow),
        (3, 1, 1)
    );
    assert_eq!(
        (
            now.window.calls,
            now.window.failure_rate,
            now.window.slow_call_rate
        ),
        (4, 0.25, 0.25)
    );
}

#[test]
fn trips_count_each_opening() {
    let rig = Rig::open(rules());
    rig.breaker.reconfigure(rules()).unwrap();
    assert_eq!(rig.snapshot().totals.trips, 1);
    rig.pass(100);
    rig.calls([Failure]);
    assert_eq!(rig.snapshot().totals.trips, 2);
}

#[test]
fn the_time_open_and_half_open_adds_up() {
    let rig = Rig::due(rules());
    let probes = [(); 2].map(|()| rig.breaker.try_acquire().unwrap());
    rig.pass(30);
    assert_eq!(rig.snapshot().totals.time_not_closed, ms(130));
    for probe in probes {
        probe.settle(Success);
    }
    rig.pass(1_000);
    assert_eq!(rig.snapshot().totals.time_not_closed, ms(130));
    rig.calls([Failure; 4]);
    rig.pass(7);
    rig.breaker.reset();
    rig.pass(7);
    assert_eq!(rig.snapshot().totals.time_not_closed, ms(137));
}

/// The rates vanished at the moment at which they opened the breaker.
#[test]
fn the_rates_that_opened_the_breaker_are_seen_until_it_is_closed() {
    let rig = Rig::new(rules().window(Window::last(ms(1_000))));
    rig.calls([Success, Failure, Failure, Success]);
    let seen = |trip: Option<Trip>| {
        let Trip { reason, rates, ago } = trip?;
        Some((reason, rates.failures, rates.calls, ago))
    };
    let tripped_by = || seen(rig.snapshot().tripped_by);
    let reopened_by = || seen(rig.snapshot().reopened_by);
    let rate = Reason::FailureRate;
    assert_eq!(tripped_by(), Some((rate, 2, 4, ms(0))));
    rig.breaker.observe().settle(Success); // a statement of an open transaction
    rig.pass(9_000);
    assert_eq!(tripped_by(), Some((rate, 2, 4, ms(9_000))), "long ago");
    assert_eq!((rig.snapshot().window.calls, reopened_by()), (0, None));
    rig.calls([Failure]); // the first probe
    let batch = (Reason::ProbesFailed, 1, 1);
    assert_eq!(reopened_by(), Some((batch.0, batch.1, batch.2, ms(0))));
    assert_eq!(tripped_by(), Some((rate, 2, 4, ms(9_000))), "why it began");
    rig.pass(200);
    rig.calls([Success; 2]);
    assert_eq!(rig.state(), State::Closed);
    assert_eq!(rig.snapshot().window.calls, 0);
    assert_eq!(
        tripped_by(),
        Some((rate, 2, 4, ms(9_200))),
        "for afterwards"
    );
    rig.calls([Failure; 4]);
    assert_eq!(tripped_by(), Some((rate, 4, 4, ms(0))));
    assert_eq!(reopened_by(), None);
}

/// The rates of an observing breaker were those of the last calls only, and the calls that it would have
/// refused were counted as refused.
#[test]
fn an_observing_breaker_tells_what_would_have_opened_it_and_how_many_calls_it_would_have_refused() {
    let rig = Rig::new(rules().mode(Mode::Observe));
    rig.calls([Failure; 4]);
    rig.calls([Success; 7]);
    let now = rig.snapshot();
    let trip = now.tripped_by.unwrap();
    assert_eq!(
        (trip.reason, trip.rates.failure_rate),
        (Reason::FailureRate, 1.0)
    );
    assert_eq!((now.totals.would_be_rejected, now.totals.rejected), (7, 0));
    let _held = rig.breaker.force_open();
    rig.breaker.try_acquire().unwrap_err();
    let totals = rig.snapshot().totals;
    assert_eq!((totals.would_be_rejected, totals.rejected), (7, 1));
}
