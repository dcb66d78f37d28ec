use std::time::Duration;

use super::rig::{Failure, Rig, Success, rules};
use crate::breaker::settings::Window;
use crate::breaker::verdict::Verdict;

/// A breaker that opens only if all calls in the window failed.
fn with(window: Window) -> Rig {
    Rig::new(rules().window(window).minimum_calls(1).failure_rate(1.0))
}

fn failures(rig: &Rig) -> (u32, f64) {
    let now = rig.snapshot();
    (now.window.calls, now.window.failure_rate)
}

#[test]
fn a_call_window_holds_exactly_the_last_calls() {
    for size in [1_u32, 2, 3, 100] {
        let rig = with(Window::calls(size));
        let mut last: Vec<Verdict> = Vec::new();
        for n in 0..3 * size {
            // Never all failures, which would open the breaker.
            let verdict = if size > 1 && n % size % 3 == 1 {
                Failure
            } else {
                Success
            };
            rig.calls([verdict]);
            last.push(verdict);
            let recent = &last[last.len().saturating_sub(size as usize)..];
            let bad = recent.iter().filter(|&&it| it == Failure).count();
            let rate = bad as f64 / recent.len() as f64;
            assert_eq!(failures(&rig), (recent.len() as u32, rate), "{n} of {size}");
        }
    }
}

#[test]
fn a_window_of_one_call_trips_at_the_first_failure() {
    let rig = with(Window::calls(1));
    rig.calls([Success; 5]);
    rig.calls([Failure]);
    assert!(rig.is_open());
}

#[test]
fn a_time_window_expires_bucket_by_bucket() {
    let rig = with(Window::last(Duration::from_millis(30)).buckets(3));
    rig.calls([Success]);
    rig.pass(10);
    rig.calls([Success, Success, Failure]);
    rig.pass(19);
    assert_eq!(failures(&rig), (4, 0.25));
    rig.pass(1); // 30: the first bucket leaves
    assert_eq!(failures(&rig), (3, 1.0 / 3.0));
    rig.pass(9);
    assert_eq!(failures(&rig), (3, 1.0 / 3.0));
    rig.pass(1); // 40: the second leaves
    assert_eq!(failures(&rig), (0, 0.0));
}

#[test]
fn a_time_window_is_empty_after_any_idle_period() {
    let year = Duration::from_secs(365 * 24 * 60 * 60);
    for idle in [
        Duration::from_secs(10),
        Duration::from_secs(61),
        year,
        100 * year,
    ] {
        let rig = with(Window::last(Duration::from_secs(10)));
        rig.calls([Success, Failure]);
        rig.clock.advance(idle);
        assert_eq!(failures(&rig), (0, 0.0), "{idle:?}");
        rig.calls([Success]);
        assert_eq!(failures(&rig), (1, 0.0), "{idle:?}");
    }
}

#[test]
fn old_failures_do_not_trip_together_with_new_ones() {
    let window = Window::last(Duration::from_secs(10));
    let rig = Rig::new(rules().window(window).minimum_calls(4));
    rig.calls([Failure; 3]);
    rig.clock.advance(Duration::from_secs(10));
    rig.calls([Failure; 3]);
    assert!(!rig.is_open());
    rig.calls([Failure]);
    assert!(rig.is_open());
}
