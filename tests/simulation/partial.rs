//! Faults of a part of the database.

use std::time::Duration;

use crate::callers::{Arrivals, Callers};
use crate::fault::Fault;
use crate::figures::check;
use crate::situation::Situation;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) fn all() -> Vec<Situation> {
    vec![
        statements_fail(),
        statements_hang(),
        one_statement_fails(),
        one_statement_is_locked(),
        slow_by_ten(),
    ]
}

/// Pings succeed, statements fail: read-only servers, full disks.
fn statements_fail() -> Situation {
    let calls = Callers::new(Arrivals::Workers(20, ms(200)), ms(5));
    Situation::new("pings succeed, statements fail", 10, secs(45))
        .fault(Fault::Fails(None).during(secs(2), secs(32)))
        .callers(calls)
}

#[test]
fn it_does_not_flap_while_pings_succeed_and_statements_fail() {
    check(&[statements_fail()]);
}

fn statements_hang() -> Situation {
    let calls = Callers::new(Arrivals::PerSecond(20.0), ms(5)).patience(ms(900));
    Situation::new("pings succeed, statements hang", 10, secs(45))
        .fault(Fault::Locked(None).during(secs(2), secs(32)))
        .callers(calls)
}

#[test]
fn it_does_not_flap_while_pings_succeed_and_statements_hang() {
    check(&[statements_hang()]);
}

fn other(kind: u8, calls: Callers) -> Callers {
    Callers { kind, ..calls }
}

/// One statement of ten fails.
fn one_statement_fails() -> Situation {
    let good = Callers::new(Arrivals::PerSecond(30.0), ms(5));
    let bad = other(1, Callers::new(Arrivals::PerSecond(3.0), ms(5)));
    Situation::new("one statement of ten fails", 10, secs(20))
        .fault(Fault::Fails(Some(1)).during(secs(2), secs(12)))
        .callers(good)
        .callers(bad)
}

#[test]
fn one_bad_statement_is_not_a_bad_database() {
    check(&[one_statement_fails()]);
}

/// Two workers write to a locked table; the others read others.
fn one_statement_is_locked() -> Situation {
    let good = Callers::new(Arrivals::PerSecond(30.0), ms(5));
    let locked = other(1, Callers::new(Arrivals::Workers(4, ms(100)), ms(5)));
    Situation::new("one table is locked", 10, secs(20))
        .fault(Fault::Locked(Some(1)).during(secs(2), secs(12)))
        .callers(good)
        .callers(locked.patience(secs(2)))
}

#[test]
fn one_locked_table_is_not_a_bad_database() {
    check(&[one_statement_is_locked()]);
}

/// Ten times as slow, and still in time.
fn slow_by_ten() -> Situation {
    let calls = Callers::new(Arrivals::PerSecond(30.0), ms(20)).patience(secs(1));
    Situation::new("ten times as slow", 10, secs(20))
        .fault(Fault::Slow(10.0).during(secs(2), secs(12)))
        .callers(calls)
}

#[test]
fn a_slower_database_that_answers_in_time_is_well() {
    check(&[slow_by_ten()]);
}
