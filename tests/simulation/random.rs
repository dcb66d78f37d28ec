//! Random situations by the hundred, and the table of all the others.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;

use crate::callers::{Arrivals, Callers};
use crate::fault::Fault;
use crate::figures::{HEAD, judged, listed};
use crate::known::BROKEN_OF_THOUSAND;
use crate::latency::Latency;
use crate::laws::Broken;
use crate::situation::Situation;
use crate::{healthy, outages, partial, patience};

/// Most calls of one group in a situation.
const MOST_CALLS: f64 = 600.0;
const PATIENCE: [u64; 8] = [50, 300, 500, 900, 1_100, 1_500, 1_900, 2_500];

fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().expect(name))
}

/// A value between two bounds whose logarithm is evenly distributed.
fn log_uniform(random: &mut Rng, least: f64, most: f64) -> f64 {
    least * (most / least).powf(random.f64())
}

fn seconds(random: &mut Rng, least: f64, most: f64) -> Duration {
    Duration::from_secs_f64(log_uniform(random, least, most))
}

fn one_in(random: &mut Rng, n: u32) -> bool {
    random.u32(0..n) == 0
}

fn random_situation(seed: u64) -> Situation {
    let random = &mut Rng::with_seed(seed);
    let pool = log_uniform(random, 1.0, 101.0) as u32;
    let (fault, from) = (random_fault(random), Duration::from_secs(4));
    let to = match fault {
        Some(Fault::Kill) | None => from,
        Some(Fault::Standstill) => from + seconds(random, 0.3, 3.0),
        _ => from + seconds(random, 0.2, 15.0),
    };
    let mut situation = Situation::new(format!("seed {seed}"), pool, to + Duration::from_secs(12));
    situation.seed = seed;
    situation
        .script
        .0
        .extend(fault.map(|fault| fault.during(from, to)));
    situation.warm = random.bool();
    situation.cancels = random.bool();
    situation.machine.connect = match one_in(random, 5) {
        true => seconds(random, 0.05, 1.9),
        false => seconds(random, 0.001, 0.05),
    };
    if one_in(random, 6) {
        situation.machine.capacity = pool.div_ceil(2);
    }
    let calls = random_callers(random, &situation);
    situation = situation.callers(calls);
    if one_in(random, 3) {
        let mut others = random_callers(random, &situation);
        others.kind = 1;
        if let Arrivals::PerSecond(rate) = &mut others.arrivals {
            *rate /= 4.0;
        }
        situation = situation.callers(others);
    }
    situation
}

fn random_fault(random: &mut Rng) -> Option<Fault> {
    match random.u32(0..20) {
        0..=3 => None,
        4..=6 => Some(Fault::Stall),
        7..=8 => Some(Fault::Blackhole),
        9..=10 => Some(Fault::Lost),
        11..=13 => Some(Fault::Down),
        14 => Some(Fault::Kill),
        15 => Some(Fault::Slow(log_uniform(random, 2.0, 50.0))),
        16 => Some(Fault::Fails(random.bool().then_some(1))),
        17 => Some(Fault::Locked(random.bool().then_some(1))),
        18 => Some(Fault::NoConnect),
        _ => Some(Fault::Standstill),
    }
}

fn random_callers(random: &mut Rng, situation: &Situation) -> Callers {
    let is_beside = !situation.callers.is_empty();
    let median = match one_in(random, 4) {
        true => seconds(random, 0.1, 5.0),
        false => seconds(random, 0.001, 0.1),
    };
    let (latency, mean) = match random.u32(0..3) {
        0 => (Latency::Constant(median), median),
        1 => (Latency::Uniform(median / 2, median * 3 / 2), median),
        _ => (Latency::HeavyTail(median), median * 2),
    };
    let mut calls = Callers::new(Arrivals::PerSecond(1.0), median);
    calls.latency = latency;
    if one_in(random, 3) {
        calls.statements = random.u32(2..5);
        calls.hold = seconds(random, 0.001, 0.05);
    }
    if one_in(random, 3) {
        calls.retries = random.u32(1..4);
    }
    // Most callers are more patient than the database usually takes.
    let takes = (mean + calls.hold) * calls.statements;
    let patience = random.choice(PATIENCE).map(Duration::from_millis);
    calls.patience = patience.filter(|patience| {
        let reconnects = *patience > situation.machine.connect * 2;
        // Hedged reads are dropped, beside callers that wait.
        reconnects && (*patience > takes * 2 || is_beside && one_in(random, 6))
    });
    if one_in(random, 4) {
        calls.patience = None;
    }
    let places = situation.pool.min(situation.machine.capacity);
    let length = situation.length.as_secs_f64();
    let busy = f64::from(places) * log_uniform(random, 0.03, 0.7);
    let rate = (busy / takes.as_secs_f64())
        .min(MOST_CALLS / length)
        .max(0.2);
    calls.arrivals = match random.u32(0..6) {
        0..=2 => Arrivals::PerSecond(rate),
        3..=4 => {
            let workers = random.u32(1..=(busy * 2.0) as u32 + 1);
            let pause = Duration::from_secs_f64(f64::from(workers) / rate);
            Arrivals::Workers(workers, pause.saturating_sub(takes))
        }
        _ => {
            let interval = log_uniform(random, 1.0, 5.0);
            let size = (rate * interval).min(200.0) as u32 + 1;
            Arrivals::Bursts(size, Duration::from_secs_f64(interval))
        }
    };
    calls
}

/// Simpler variants of a situation.
fn simpler(situation: &Situation) -> Vec<Situation> {
    let simplify: [fn(&mut Situation); 7] = [
        |situation| situation.callers.truncate(1),
        |situation| {
            situation
                .callers
                .iter_mut()
                .for_each(|calls| calls.retries = 0)
        },
        |situation| {
            for calls in &mut situation.callers {
                (calls.statements, calls.hold) = (1, Duration::ZERO);
            }
        },
        |situation| {
            for calls in &mut situation.callers {
                if let Latency::Uniform(_, time) | Latency::HeavyTail(time) = calls.latency {
                    calls.latency = Latency::Constant(time);
                }
            }
        },
        |situation| {
            situation
                .callers
                .iter_mut()
                .for_each(|calls| calls.patience = None)
        },
        |situation| situation.machine = Default::default(),
        |situation| situation.warm = true,
    ];
    let variants = simplify.iter().map(|simplify| {
        let mut variant = situation.clone();
        simplify(&mut variant);
        variant
    });
    variants.collect()
}

/// The simplest variant found that breaks the same law.
fn shrunk(mut situation: Situation, law: &str) -> Situation {
    for step in 0..simpler(&situation).len() {
        let variant = simpler(&situation).swap_remove(step);
        if judged(&variant).1.iter().any(|broken| broken.law == law) {
            situation = variant;
        }
    }
    situation
}

#[test]
fn every_random_situation_keeps_the_laws() {
    if let Some(seed) = variable("SEED") {
        return replay(seed);
    }
    let count = variable("SITUATIONS").unwrap_or(1_000);
    let (next, failures) = (AtomicU64::new(0), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= count {
                        return;
                    }
                    for broken in judged(&random_situation(seed)).1 {
                        let mut failures = failures.lock().unwrap();
                        let of_law: &mut Vec<_> = failures.entry(broken.law).or_default();
                        of_law.push((seed, broken.how));
                    }
                }
            });
        }
    });
    let mut report = String::new();
    for (law, mut broken) in failures.into_inner().unwrap() {
        let known = BROKEN_OF_THOUSAND.iter().find(|(known, _)| *known == law);
        if known
            .is_some_and(|(_, most)| broken.len() as u64 <= (*most as u64 * count).div_ceil(1_000))
        {
            println!("{law}: {} of {count}, which is known", broken.len());
            continue;
        }
        broken.sort();
        report += &format!("{law}: {} of {count}\n", broken.len());
        for (seed, how) in broken.iter().take(8) {
            report += &format!("    SEED={seed}: {how}\n");
        }
        let simple = shrunk(random_situation(broken[0].0), law);
        report += &format!(
            "    simplest of SEED={}: {}\n",
            broken[0].0,
            described(&simple)
        );
    }
    assert!(report.is_empty(), "{report}");
}

fn described(situation: &Situation) -> String {
    let Situation {
        pool,
        warm,
        cancels,
        machine,
        script,
        callers,
        ..
    } = situation;
    format!(
        "pool {pool}, warm {warm}, cancels {cancels}, {machine:?}, {:?}, {callers:?}",
        script.0
    )
}

/// Prints one random situation, its figures and its transitions, and judges it.
fn replay(seed: u64) {
    let situation = random_situation(seed);
    let broken = show(&situation);
    for law in broken.iter().map(|broken| broken.law) {
        println!(
            "simplest that breaks `{law}`: {}",
            described(&shrunk(situation.clone(), law))
        );
    }
    assert!(broken.is_empty(), "{}", listed(&broken));
}

/// Prints a situation, its figures, the laws that are broken, the transitions, and the first calls after
/// the last fault.
fn show(situation: &Situation) -> Vec<Broken> {
    let (figures, broken) = judged(situation);
    println!("{}\n{figures}{}", described(situation), listed(&broken));
    let play = crate::play::guarded(situation);
    for (at, change) in &play.transitions {
        let (from, to, reason) = (
            change.from.as_str(),
            change.to.as_str(),
            change.reason.as_str(),
        );
        println!(
            "{at:>9.3?}: {from} to {to}, {reason}, attempt {}",
            change.attempt
        );
    }
    let heal = situation.script.0.iter().map(|episode| episode.to).max();
    let after = (play.records.iter()).filter(|record| heal.is_some_and(|heal| record.end >= heal));
    for record in after.take(12) {
        println!(
            "{:>9.3?} to {:>9.3?}: {:?}",
            record.start, record.end, record.ending
        );
    }
    broken
}

/// The table of all situations that are not random; `--nocapture` shows it. With `SITUATION`, only those
/// whose names contain its value, in detail.
#[test]
fn table_of_situations() {
    println!("{HEAD}");
    let wanted = std::env::var("SITUATION").ok();
    let all = [
        healthy::all(),
        outages::all(),
        patience::all(),
        partial::all(),
    ];
    for situation in all.concat() {
        match &wanted {
            None => println!("{}", judged(&situation).0),
            Some(wanted) if situation.name.contains(wanted) => drop(show(&situation)),
            Some(_) => {}
        }
    }
}
