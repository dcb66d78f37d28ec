//! The database is well, though slow, busy or used in an unusual way.

use std::time::Duration;

use crate::callers::{Arrivals, Callers};
use crate::fault::Fault;
use crate::figures::check;
use crate::latency::Latency;
use crate::situation::Situation;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) fn all() -> Vec<Situation> {
    let mut all = vec![
        reporting_pool(),
        burst(),
        writers_on_one_connection(),
        standstill(),
        hedged_reads(),
        pool_held_by_long_work(),
        long_statements_alone(),
        heavy_tail(),
        pooler_is_full(),
        pooler_waits(),
        aborted_requests(),
        more_than_the_database_can_do(),
    ];
    for connect in SLOW_CONNECTS {
        all.push(slow_connect(connect));
    }
    all
}

const SLOW_CONNECTS: [Duration; 3] = [ms(900), ms(1_200), ms(1_900)];

/// Four workers, whose every query takes 2 s, as ever.
fn reporting_pool() -> Situation {
    let workers = Callers::new(Arrivals::Workers(4, ms(10)), secs(2));
    Situation::new("reporting pool", 4, secs(40)).callers(workers)
}

#[test]
fn a_reporting_pool_whose_every_query_takes_two_seconds_is_well() {
    check(&[reporting_pool()]);
}

fn burst() -> Situation {
    let burst = Callers::new(Arrivals::Bursts(200, secs(2)), ms(2));
    Situation::new("burst of 200 on a pool of 10", 10, secs(5)).callers(burst)
}

#[test]
fn a_burst_that_the_pool_works_off_in_time_is_not_refused() {
    check(&[burst()]);
}

fn writers_on_one_connection() -> Situation {
    let burst = Callers::new(Arrivals::Bursts(20, secs(2)), ms(2));
    Situation::new("20 writers on a pool of 1", 1, secs(5)).callers(burst)
}

#[test]
fn writers_on_one_connection_wait_for_each_other() {
    check(&[writers_on_one_connection()]);
}

/// CPU throttling, or a handler that computes, while ten statements of 50 ms are in flight.
fn standstill() -> Situation {
    let calls = Callers::new(Arrivals::Bursts(10, secs(12)), ms(50));
    Situation::new("the process stands still for 1.2 s", 10, secs(20))
        .fault(Fault::Standstill.during(ms(12_025), ms(13_225)))
        .callers(calls)
}

#[test]
fn a_process_that_stands_still_does_not_blame_the_database() {
    check(&[standstill()]);
}

/// Several tasks drop a query of 30 ms after 10 ms, and another caller waits.
fn hedged_reads() -> Situation {
    let hedges = Callers::new(Arrivals::PerSecond(40.0), ms(30)).patience(ms(10));
    let patient = Callers::new(Arrivals::Workers(1, ms(50)), ms(1_500));
    Situation::new("hedged reads beside a patient caller", 10, secs(10))
        .callers(hedges)
        .callers(patient)
}

#[test]
fn hedged_reads_that_are_dropped_are_no_outage() {
    check(&[hedged_reads()]);
}

/// All connections are busy with statements of 1.8 s, and quick ones wait for them.
fn pool_held_by_long_work() -> Situation {
    let long = Callers::new(Arrivals::Workers(5, ms(5)), ms(1_800));
    let quick = Callers::new(Arrivals::PerSecond(2.0), ms(5));
    Situation::new("a pool held by long work while others wait", 5, secs(30))
        .callers(long)
        .callers(quick)
}

#[test]
fn a_pool_that_is_held_by_long_work_is_saturated_and_not_down() {
    check(&[pool_held_by_long_work()]);
}

fn long_statements_alone() -> Situation {
    let long = Callers::new(Arrivals::Workers(8, ms(500)), ms(2_500));
    Situation::new("8 long statements and nobody else", 20, secs(20)).callers(long)
}

#[test]
fn long_statements_on_a_pool_with_free_connections_are_no_outage() {
    check(&[long_statements_alone()]);
}

fn heavy_tail() -> Situation {
    let mut calls = Callers::new(Arrivals::PerSecond(40.0), ms(20));
    calls.latency = Latency::HeavyTail(ms(50));
    Situation::new("heavy tail", 20, secs(20)).callers(calls)
}

#[test]
fn a_heavy_tail_is_no_outage() {
    check(&[heavy_tail()]);
}

/// A pooler accepts fewer connections than the pool may have.
fn pooler_is_full() -> Situation {
    let calls = Callers::new(Arrivals::PerSecond(60.0), ms(50));
    let mut situation = Situation::new("pooler full", 10, secs(10))
        .callers(calls)
        .cold();
    situation.machine.clients = Some(6);
    situation
}

#[test]
fn a_pooler_that_is_full_is_saturated_and_not_down() {
    check(&[pooler_is_full()]);
}

/// A pooler with few server connections ends what waits longer than 0.5 s for one.
fn pooler_waits() -> Situation {
    let calls = Callers::new(Arrivals::Workers(20, ms(5)), ms(120));
    let mut situation = Situation::new("query_wait_timeout", 20, secs(10)).callers(calls);
    situation.machine.capacity = 3;
    situation.machine.query_wait = Some(ms(500));
    situation
}

#[test]
fn a_pooler_whose_queue_times_out_is_saturated_and_not_down() {
    check(&[pooler_waits()]);
}

fn slow_connect(connect: Duration) -> Situation {
    let calls = Callers::new(Arrivals::PerSecond(20.0), ms(20));
    let name = format!("connecting takes {connect:?}, then an outage of 3 s");
    let mut situation = Situation::new(name, 5, secs(25))
        .fault(Fault::Stall.during(secs(5), secs(8)))
        .callers(calls)
        .cold();
    situation.machine.connect = connect;
    situation
}

#[test]
fn slow_connects_do_not_keep_it_open() {
    check(&SLOW_CONNECTS.map(slow_connect));
}

/// Clients hang up after 50 ms; their statements of 1 s run on.
fn aborted_requests() -> Situation {
    let aborted = Callers::new(Arrivals::PerSecond(20.0), secs(1)).patience(ms(50));
    Situation::new("aborted requests", 5, secs(6)).callers(aborted)
}

#[test]
fn aborted_statements_do_not_pile_up() {
    check(&[aborted_requests()]);
}

fn more_than_the_database_can_do() -> Situation {
    let calls = Callers::new(Arrivals::PerSecond(60.0), ms(100)).patience(secs(1));
    let mut situation = Situation::new("more is asked than it can do", 10, secs(15)).callers(calls);
    situation.machine.capacity = 4;
    situation
}

#[test]
fn a_database_with_too_much_work_is_not_down() {
    check(&[more_than_the_database_can_do()]);
}
