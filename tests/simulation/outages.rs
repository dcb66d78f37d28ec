//! Outages of the whole database, of 1 to 60 seconds, and what follows them.

use std::time::Duration;

use crate::callers::{Arrivals, Callers};
use crate::fault::Fault;
use crate::figures::check;
use crate::situation::Situation;

const FAULTS: [Fault; 5] = [
    Fault::Down,
    Fault::Stall,
    Fault::Blackhole,
    Fault::Lost,
    Fault::Kill,
];
const SECONDS: [u64; 5] = [1, 3, 10, 45, 60];

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) fn all() -> Vec<Situation> {
    let mut all = Vec::new();
    for fault in FAULTS {
        let lengths = if fault == Fault::Kill {
            &SECONDS[..1]
        } else {
            &SECONDS
        };
        all.extend(lengths.iter().map(|seconds| outage(fault, *seconds)));
    }
    for latency in SLOW_LATENCIES {
        all.push(slow_statements_afterwards(latency));
    }
    all.push(ramp());
    all
}

/// A busy service whose callers wait for at most 2.5 s.
fn outage(fault: Fault, seconds: u64) -> Situation {
    let (name, to) = match fault {
        Fault::Kill => ("Kill".to_owned(), secs(3)),
        _ => (format!("{fault:?} for {seconds} s"), secs(3 + seconds)),
    };
    let calls = Callers::new(Arrivals::PerSecond(40.0), ms(20)).patience(ms(2_500));
    Situation::new(name, 10, to + secs(12))
        .fault(fault.during(secs(3), to))
        .callers(calls)
}

fn check_outages(fault: Fault) {
    check(&SECONDS.map(|seconds| outage(fault, seconds)));
}

#[test]
fn a_server_that_is_down() {
    check_outages(Fault::Down);
}

#[test]
fn a_server_that_stands_still() {
    check_outages(Fault::Stall);
}

#[test]
fn a_network_that_drops_packets() {
    check_outages(Fault::Blackhole);
}

#[test]
fn a_network_that_loses_its_connections() {
    check_outages(Fault::Lost);
}

#[test]
fn a_server_that_resets_all_connections() {
    check(&[outage(Fault::Kill, 0)]);
}

const SLOW_LATENCIES: [Duration; 4] = [
    Duration::from_millis(300),
    Duration::from_millis(950),
    Duration::from_millis(1_200),
    Duration::from_secs(4),
];

/// Healthy statements take this long, before the outage and afterwards.
fn slow_statements_afterwards(latency: Duration) -> Situation {
    let name = format!("statements of {latency:?}, and an outage of 5 s");
    let calls = Callers::new(Arrivals::Workers(8, ms(50)), latency);
    let from = secs(5).max(latency * 3);
    Situation::new(name, 10, from + secs(30))
        .fault(Fault::Down.during(from, from + secs(5)))
        .callers(calls)
}

#[test]
fn healthy_statements_that_are_slow_do_not_keep_it_open() {
    check(&SLOW_LATENCIES.map(slow_statements_afterwards));
}

/// 50 workers come back at once.
fn ramp() -> Situation {
    let calls = Callers::new(Arrivals::Workers(50, ms(50)), ms(100));
    Situation::new("50 workers after an outage", 50, secs(15))
        .fault(Fault::Down.during(secs(3), secs(8)))
        .callers(calls)
}

#[test]
fn recovery_begins_with_a_few_calls_at_once() {
    let situation = ramp();
    check(std::slice::from_ref(&situation));
    let play = crate::play::guarded(&situation);
    let mut after = play.statements.iter().filter(|at| **at >= secs(8));
    let first = *after.next().unwrap();
    let at_once = 1 + after.filter(|at| **at < first + ms(20)).count();
    assert!(at_once <= 15, "{at_once} statements in the first 20 ms");
}
