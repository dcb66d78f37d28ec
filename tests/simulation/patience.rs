//! Callers with timeouts of their own do not hide an outage.

use std::time::Duration;

use crate::callers::{Arrivals, Callers};
use crate::fault::Fault;
use crate::figures::check;
use crate::situation::Situation;

const PATIENCE: [Option<u64>; 9] = [
    Some(50),
    Some(300),
    Some(500),
    Some(900),
    Some(1_100),
    Some(1_500),
    Some(1_900),
    Some(2_500),
    None,
];

pub(crate) fn all() -> Vec<Situation> {
    [
        Fault::Stall,
        Fault::Lost,
        Fault::Blackhole,
        Fault::NoConnect,
    ]
    .into_iter()
    .flat_map(of)
    .collect()
}

/// A hang of 10 s for every patience, with all connections open or none.
fn of(fault: Fault) -> Vec<Situation> {
    let mut situations = Vec::new();
    for patience in PATIENCE {
        for warm in [false, true] {
            let temper = if warm { "warm" } else { "cold" };
            let patience = patience.map(Duration::from_millis);
            let name = format!("{fault:?}, {temper}, patience {patience:.1?}");
            let calls = Callers::new(Arrivals::PerSecond(20.0), Duration::from_millis(10));
            let from = Duration::from_secs(if warm { 2 } else { 0 });
            let to = from + Duration::from_secs(10);
            let mut situation = Situation::new(name, 5, to + Duration::from_secs(10))
                .fault(fault.during(from, to))
                .callers(calls.patience(patience));
            situation.warm = warm;
            situations.push(situation);
        }
    }
    situations
}

#[test]
fn a_stall_opens_it_for_every_patience() {
    check(&of(Fault::Stall));
}

#[test]
fn lost_connections_open_it_for_every_patience() {
    check(&of(Fault::Lost));
}

#[test]
fn a_blackhole_opens_it_for_every_patience() {
    check(&of(Fault::Blackhole));
}

#[test]
fn a_blackhole_of_new_connections_is_judged_by_what_works() {
    check(&of(Fault::NoConnect));
}
