use std::time::Duration;

use super::rig::{ms, rules};
use crate::breaker::builder::Builder;
use crate::breaker::config::LONGEST;
use crate::breaker::error::{CallError, Rejection};
use crate::breaker::handle::Breaker;
use crate::breaker::settings::{
    LARGEST_BATCH, LARGEST_WINDOW, LONGEST_WINDOW, MOST_BUCKETS, Ramp, Window,
};

#[track_caller]
fn refused(builder: Builder, field: &str, value: &str, rule: &str) {
    let error = builder.build().unwrap_err();
    assert_eq!(
        (error.field(), error.value(), error.rule()),
        (field, value, rule)
    );
}

#[test]
fn the_defaults_and_the_extremes_are_accepted() {
    Breaker::builder().build().unwrap();
    let largest = rules()
        .window(Window::calls(LARGEST_WINDOW))
        .minimum_calls(LARGEST_WINDOW)
        .failure_rate(1.0)
        .slow_call_rate(f64::MIN_POSITIVE)
        .slow_call_threshold(LONGEST)
        .coalesce_failures(LONGEST)
        .open_duration(LONGEST)
        .max_open_duration(LONGEST)
        .open_duration_multiplier(f64::MAX)
        .jitter(0.999)
        .half_open_probes(LARGEST_BATCH)
        .probe_timeout(LONGEST)
        .ramp(Ramp::UpTo(LARGEST_BATCH));
    largest.clone().build().unwrap();
    let longest = Window::last(LONGEST_WINDOW).buckets(MOST_BUCKETS);
    largest.window(longest).build().unwrap();
}

#[test]
fn rates_are_above_zero_and_at_most_one() {
    const RULE: &str = "greater than 0 and at most 1";
    for (rate, value) in [
        (0.0, "0.0"),
        (-0.5, "-0.5"),
        (1.000_001, "1.000001"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
    ] {
        refused(rules().failure_rate(rate), "failure_rate", value, RULE);
        refused(rules().slow_call_rate(rate), "slow_call_rate", value, RULE);
    }
}

#[test]
fn durations_are_longer_than_zero_and_at_most_a_day() {
    type Setter = fn(Builder, Duration) -> Builder;
    let setters: [(&str, Setter); 5] = [
        ("slow_call_threshold", Builder::slow_call_threshold),
        ("coalesce_failures", |builder, span| {
            builder.coalesce_failures(span)
        }),
        ("open_duration", Builder::open_duration),
        ("max_open_duration", Builder::max_open_duration),
        ("probe_timeout", Builder::probe_timeout),
    ];
    let rule = "longer than zero and at most 86400s";
    for (field, set) in setters {
        for duration in [Duration::ZERO, LONGEST + ms(1), Duration::MAX] {
            refused(
                set(rules(), duration),
                field,
                &format!("{duration:?}"),
                rule,
            );
        }
    }
}

#[test]
fn a_window_is_neither_empty_nor_too_large() {
    let calls = |n| rules().window(Window::calls(n)).minimum_calls(1);
    let rule = "between 1 and 65536";
    refused(calls(0).minimum_calls(0), "window", "0", rule);
    refused(calls(LARGEST_WINDOW + 1), "window", "65537", rule);

    let last = |length| rules().window(Window::last(length));
    let rule = "longer than zero and at most 3600s";
    refused(last(Duration::ZERO), "window", "0ns", rule);
    let longer = LONGEST_WINDOW + ms(1);
    refused(last(longer), "window", &format!("{longer:?}"), rule);
    let value = format!("{:?}", Duration::MAX);
    refused(last(Duration::MAX), "window", &value, rule);

    let rule = "at least one nanosecond per bucket";
    refused(last(Duration::from_nanos(9)), "window", "9ns", rule);
    let buckets = |n| rules().window(Window::last(ms(1)).buckets(n));
    let rule = "between 1 and 1024";
    refused(buckets(0), "window.buckets", "0", rule);
    refused(buckets(MOST_BUCKETS + 1), "window.buckets", "1025", rule);
}

#[test]
fn minimum_calls_fits_the_window() {
    let rule = "at most the 10 calls of the window";
    refused(rules().minimum_calls(11), "minimum_calls", "11", rule);
    refused(rules().minimum_calls(0), "minimum_calls", "0", "at least 1");
    let last = rules().window(Window::last(ms(10))).minimum_calls(u32::MAX);
    last.build().unwrap();
}

#[test]
fn counts_are_at_least_one() {
    let none = rules().consecutive_failures(0);
    refused(none, "consecutive_failures", "0", "at least 1");
    let rule = "between 1 and 65536";
    refused(rules().half_open_probes(0), "half_open_probes", "0", rule);
    refused(
        rules().half_open_probes(LARGEST_BATCH + 1),
        "half_open_probes",
        "65537",
        rule,
    );
}

#[test]
fn the_largest_batch_is_not_smaller_than_the_first() {
    let ramp = |size| rules().ramp(Ramp::UpTo(size));
    let rule = "between 2 and 65536";
    refused(ramp(0), "ramp", "0", rule);
    refused(ramp(1), "ramp", "1", rule);
    refused(ramp(LARGEST_BATCH + 1), "ramp", "65537", rule);
    ramp(2).build().unwrap();
}

#[test]
fn the_open_duration_does_not_shrink() {
    let short = rules().max_open_duration(ms(99));
    refused(
        short,
        "max_open_duration",
        "99ms",
        "at least the `open_duration`, 100ms",
    );
    for (multiplier, value) in [
        (0.999, "0.999"),
        (0.0, "0.0"),
        (-2.0, "-2.0"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "inf"),
    ] {
        let builder = rules().open_duration_multiplier(multiplier);
        refused(
            builder,
            "open_duration_multiplier",
            value,
            "finite and at least 1",
        );
    }
}

#[test]
fn jitter_is_less_than_one() {
    for (jitter, value) in [
        (1.0, "1.0"),
        (-0.1, "-0.1"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "inf"),
    ] {
        refused(
            rules().jitter(jitter),
            "jitter",
            value,
            "at least 0 and less than 1",
        );
    }
}

#[test]
fn a_breaker_without_any_rule_is_refused() {
    let error = rules().failure_rate(None).build().unwrap_err();
    assert_eq!((error.field(), error.value()), ("failure_rate", "None"));
    assert!(error.rule().contains("no failure would trip the breaker"));
}

#[test]
fn errors_and_rejections_have_clear_messages() {
    let error = rules().half_open_probes(0).build().unwrap_err();
    let text = "`half_open_probes` is 0, but it must be between 1 and 65536";
    assert_eq!(error.to_string(), text);

    let retry_after = ms(1_500);
    let open = Rejection::Open { retry_after };
    let text = "the circuit is open; retry in 1.5s";
    assert_eq!(open.to_string(), text);
    assert_eq!(CallError::<std::io::Error>::Refused(open).to_string(), text);
    let full = Rejection::HalfOpen { retry_after };
    let text = "the circuit is half-open and its probes are under way; retry in 1.5s or sooner";
    assert_eq!(full.to_string(), text);
    let text = "the circuit is held open by an operator";
    assert_eq!(Rejection::ForcedOpen.to_string(), text);
    let failed = CallError::Failed(error);
    assert_eq!(failed.to_string(), "the call failed");
}
