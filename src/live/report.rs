//! The JSON that the page reads.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::watch::{Seen, Watched};
use crate::telemetry::recent::{Change, Fallback, History, Second};

/// The number of seconds of which the latencies are summed up.
const LATELY: usize = 10;

#[derive(Serialize)]
pub(super) struct Report {
    now: f64,
    pools: Vec<Pool>,
}

#[derive(Serialize)]
struct Pool {
    name: String,
    state: &'static str,
    mode: &'static str,
    /// When the breaker came into this state; `None` if that was before it was watched.
    since: Option<f64>,
    retry_after: Option<f64>,
    window: Window,
    connections: Option<Connections>,
    waiting: u32,
    latency: Latency,
    /// Since the pool was built.
    totals: Totals,
    /// Since the pool is watched.
    refusals: Vec<Refusals>,
    fallbacks: Vec<Stale>,
    cache: Option<Cache>,
    changes: Vec<Transition>,
    history: Seconds,
}

#[derive(Serialize)]
struct Window {
    calls: u32,
    failure_rate: f64,
    slow_call_rate: f64,
    minimum_calls: u32,
    failure_rate_threshold: Option<f64>,
    slow_call_rate_threshold: Option<f64>,
    slow_call_threshold: Option<f64>,
}

#[derive(Serialize)]
struct Connections {
    used: u32,
    idle: u32,
    max: u32,
}

/// Of the calls of the last ten seconds.
#[derive(Serialize)]
struct Latency {
    p50: Option<f64>,
    p99: Option<f64>,
}

#[derive(Serialize)]
struct Totals {
    successes: u64,
    failures: u64,
    ignored: u64,
    abandoned: u64,
    slow: u64,
    rejected: u64,
    saturated: u64,
    deadlines: u64,
    lost_answers: u64,
    probes: u64,
    closed_connections: u64,
    trips: u64,
    time_not_closed: f64,
}

#[derive(Serialize)]
struct Refusals {
    reason: &'static str,
    calls: u64,
}

/// The last fallback that was served for a policy.
#[derive(Serialize)]
struct Stale {
    policy: Option<&'static str>,
    source: &'static str,
    reason: Option<&'static str>,
    age: Option<f64>,
    at: f64,
}

#[derive(Serialize)]
struct Cache {
    entries: usize,
    bytes: u64,
    max_bytes: u64,
    hits: u64,
    misses: u64,
    stale: u64,
    evictions: u64,
}

#[derive(Serialize)]
struct Transition {
    at: f64,
    from: &'static str,
    to: &'static str,
    reason: &'static str,
    calls: Option<u32>,
    failure_rate: Option<f64>,
    slow_call_rate: Option<f64>,
}

#[derive(Serialize)]
struct Seconds {
    answered: Vec<u32>,
    failed: Vec<u32>,
    ignored: Vec<u32>,
    refused: Vec<u32>,
    fallbacks: Vec<u32>,
    p50: Vec<Option<f64>>,
    p99: Vec<Option<f64>>,
}

impl Report {
    pub(super) fn of(watched: &[Watched]) -> Self {
        let pools = watched.iter();
        let pools = pools.filter_map(|pool| Some(Pool::of(pool.see()?, &pool.recent.history())));
        Self {
            now: unix(SystemTime::now()),
            pools: pools.collect(),
        }
    }

    pub(super) fn json(&self) -> String {
        // It fails only for keys that are no strings. There are none.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Pool {
    fn of(seen: Seen, history: &History) -> Self {
        let (gate, breaker, rules) = (&seen.gate, &seen.gate.breaker, &seen.rules);
        let last = history.changes.last();
        let since = last.filter(|change| change.to == breaker.state);
        Self {
            name: without_secrets(&breaker.name),
            state: breaker.state.as_str(),
            mode: breaker.mode.as_str(),
            since: since.map(|change| unix(change.at)),
            retry_after: breaker.retry_after.map(seconds),
            window: Window {
                calls: breaker.window.calls,
                failure_rate: breaker.window.failure_rate,
                slow_call_rate: breaker.window.slow_call_rate,
                minimum_calls: rules.get_minimum_calls(),
                failure_rate_threshold: rules.get_failure_rate(),
                slow_call_rate_threshold: rules.get_slow_call_rate(),
                slow_call_threshold: breaker.slow_call_threshold.map(seconds),
            },
            connections: seen.connections.map(|pool| Connections {
                used: pool.size.saturating_sub(pool.idle),
                idle: pool.idle,
                max: pool.max_connections,
            }),
            waiting: gate.waiting,
            latency: lately(history),
            totals: Totals {
                successes: breaker.totals.successes,
                failures: breaker.totals.failures,
                ignored: breaker.totals.ignored,
                abandoned: breaker.totals.abandoned,
                slow: breaker.totals.slow,
                rejected: breaker.totals.rejected,
                saturated: gate.totals.saturated,
                deadlines: gate.totals.deadlines,
                lost_answers: gate.totals.lost_answers,
                probes: gate.totals.probes,
                closed_connections: gate.totals.closed_connections,
                trips: breaker.totals.trips,
                time_not_closed: seconds(breaker.totals.time_not_closed),
            },
            refusals: (history.refusals.iter())
                .map(|&(reason, calls)| Refusals { reason, calls })
                .collect(),
            fallbacks: history.fallbacks.iter().map(Stale::of).collect(),
            cache: cache(&seen),
            changes: history.changes.iter().map(Transition::of).collect(),
            history: Seconds::of(history),
        }
    }
}

impl Stale {
    fn of(fallback: &Fallback) -> Self {
        Self {
            policy: fallback.policy,
            source: fallback.source.as_str(),
            reason: fallback.source.reason(),
            age: fallback.source.age().map(seconds),
            at: unix(fallback.at),
        }
    }
}

impl Transition {
    fn of(change: &Change) -> Self {
        let transition = change.transition.as_ref();
        Self {
            at: unix(change.at),
            from: change.from.as_str(),
            to: change.to.as_str(),
            reason: transition.map_or("operator", |transition| transition.reason.as_str()),
            calls: transition.map(|transition| transition.calls),
            failure_rate: transition.map(|transition| transition.failure_rate),
            slow_call_rate: transition.map(|transition| transition.slow_call_rate),
        }
    }
}

impl Seconds {
    fn of(history: &History) -> Self {
        let all: Vec<Second> = history.seconds().collect();
        let each = |count: fn(&Second) -> u32| all.iter().map(count).collect();
        Self {
            answered: each(|second| second.answered),
            failed: each(|second| second.failed),
            ignored: each(|second| second.ignored),
            refused: each(|second| second.refused),
            fallbacks: each(|second| second.fallbacks),
            p50: all.iter().map(|second| second.latency(0.5)).collect(),
            p99: all.iter().map(|second| second.latency(0.99)).collect(),
        }
    }
}

fn lately(history: &History) -> Latency {
    let mut all = history.seconds().rev().take(LATELY);
    let mut sum = all.next();
    if let Some(sum) = &mut sum {
        all.for_each(|second| sum.add_latencies(&second));
    }
    let latency = |fraction| sum.and_then(|sum| sum.latency(fraction));
    Latency {
        p50: latency(0.5),
        p99: latency(0.99),
    }
}

#[cfg(feature = "cache")]
fn cache(seen: &Seen) -> Option<Cache> {
    seen.cache.as_ref().map(|cache| Cache {
        entries: cache.entries,
        bytes: cache.bytes,
        max_bytes: cache.max_bytes,
        hits: cache.totals.hits,
        misses: cache.totals.misses,
        stale: cache.totals.revalidating + cache.totals.stale,
        evictions: cache.totals.evictions,
    })
}

#[cfg(not(feature = "cache"))]
fn cache(_: &Seen) -> Option<Cache> {
    None
}

/// A name that is a URL, without its user, password and parameters. Some programs name their pools so.
fn without_secrets(name: &str) -> String {
    let Some((scheme, rest)) = name.split_once("://") else {
        return name.to_owned();
    };
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    format!("{scheme}://{host}")
}

fn unix(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).map_or(0.0, seconds)
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}
