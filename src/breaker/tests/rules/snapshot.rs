use super::rig::{Failure, Ignored, Rig, Success, ms, rules, slow_rules};
use crate::breaker::settings::Window;
use crate::breaker::state::{Mode, State};

#[test]
fn the_counts_of_a_new_breaker_are_zero() {
    let now = Rig::new(rules().name("db")).snapshot();
    assert_eq!(
        (&*now.name, now.state, now.mode),
        ("db", State::Closed, Mode::Enforce)
    );
    assert_eq!((now.window.calls, now.attempt, now.trips), (0, 0, 0));
    assert_eq!(
        (now.window.failure_rate, now.window.slow_call_rate),
        (0.0, 0.0)
    );
    assert_eq!((now.retry_after, now.time_not_closed), (None, ms(0)));
}

#[test]
fn every_call_counts_once() {
    let rig = Rig::new(slow_rules().minimum_calls(10));
    rig.calls([Success, Success, Failure, Ignored, Ignored, Ignored]);
    drop(rig.breaker.try_acquire());
    let call = rig.breaker.try_acquire().unwrap();
    call.settle_after(Success, ms(64));
    let now = rig.snapshot();
    assert_eq!((now.successes, now.failures), (3, 1));
    assert_eq!((now.ignored, now.abandoned, now.slow), (3, 1, 1));
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
    assert_eq!(rig.snapshot().trips, 1);
    rig.pass(100);
    rig.calls([Failure]);
    assert_eq!(rig.snapshot().trips, 2);
}

#[test]
fn the_time_open_and_half_open_adds_up() {
    let rig = Rig::due(rules());
    let probes = [(); 2].map(|()| rig.breaker.try_acquire().unwrap());
    rig.pass(30);
    assert_eq!(rig.snapshot().time_not_closed, ms(130));
    for probe in probes {
        probe.settle(Success);
    }
    rig.pass(1_000);
    assert_eq!(rig.snapshot().time_not_closed, ms(130));
    rig.calls([Failure; 4]);
    rig.pass(7);
    rig.breaker.reset();
    rig.pass(7);
    assert_eq!(rig.snapshot().time_not_closed, ms(137));
}

/// The rates vanished at the moment at which they opened the breaker.
#[test]
fn the_rates_that_opened_the_breaker_are_seen_until_it_is_closed() {
    let rig = Rig::new(rules().window(Window::last(ms(1_000))));
    rig.calls([Success, Failure, Failure, Success]);
    let rates = || {
        let window = rig.snapshot().window;
        (window.calls, window.failure_rate)
    };
    assert_eq!(rates(), (4, 0.5));
    rig.breaker.observe().settle(Success); // a statement of an open transaction
    rig.pass(9_000);
    assert_eq!(rates(), (4, 0.5), "however long ago that was");
    rig.calls([Failure]); // the first probe
    assert_eq!(rates(), (1, 1.0), "the batch that opened it again");
    rig.pass(200);
    rig.calls([Success; 2]);
    assert_eq!(rates(), (0, 0.0));
}
