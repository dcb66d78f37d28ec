//! Measures paths in turns, so that a change of the machine's speed affects all of them.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use benches::Path;

/// The rounds at the start whose results are not used, as a part of all.
const WARM_UP: usize = 10;

/// How often paths are measured, and for how long. Short turns are seldom interrupted by other work.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) threads: usize,
    /// Each path has one turn in a round.
    pub(crate) rounds: usize,
    /// The least duration of a turn.
    pub(crate) turn: Duration,
}

impl Plan {
    pub(crate) const ONE_THREAD: Self = Self {
        threads: 1,
        rounds: 400,
        turn: Duration::from_micros(300),
    };
    /// Longer turns, since two threads do not begin at the same moment.
    pub(crate) const TWO_THREADS: Self = Self {
        threads: 2,
        rounds: 200,
        turn: Duration::from_millis(2),
    };
    /// For queries to a server, and for tasks.
    pub(crate) const RUNTIME: Self = Self {
        threads: 1,
        rounds: 100,
        turn: Duration::from_millis(20),
    };
}

/// The nanoseconds for a call of each path, by path and round.
pub(crate) struct Rounds(Vec<(String, Vec<f64>)>);

impl Rounds {
    /// Measures `paths`, each of which all threads use at once.
    pub(crate) fn measure(paths: &[Path], plan: Plan) -> Self {
        let Plan {
            threads,
            rounds,
            turn,
        } = plan;
        let calls: Vec<u64> = paths
            .iter()
            .map(|path| calls_of_a_turn(path, turn))
            .collect();
        let barrier = Barrier::new(threads);
        let turns = || {
            let mut times = vec![Vec::new(); paths.len()];
            for round in 0..rounds {
                // Each round begins with another path.
                for next in 0..paths.len() {
                    let at = (round + next) % paths.len();
                    barrier.wait();
                    let start = Instant::now();
                    (paths[at].calls)(calls[at]);
                    times[at].push(start.elapsed().as_secs_f64() * 1e9 / calls[at] as f64);
                }
            }
            times
        };
        let of_threads: Vec<Vec<Vec<f64>>> = thread::scope(|scope| {
            let running: Vec<_> = (0..threads).map(|_| scope.spawn(turns)).collect();
            let ended = running.into_iter().map(|thread| thread.join());
            ended.map(Result::unwrap).collect()
        });
        let mean = |at: usize, round: usize| {
            let times = of_threads.iter().map(|times| times[at][round]);
            times.sum::<f64>() / threads as f64
        };
        let times = |at| {
            (rounds / WARM_UP..rounds)
                .map(|round| mean(at, round))
                .collect()
        };
        let names = paths.iter().map(|path| path.name.clone()).enumerate();
        Self(names.map(|(at, name)| (name, times(at))).collect())
    }

    fn of(&self, path: &str) -> &[f64] {
        let found = self.0.iter().find(|(name, _)| name == path);
        &found
            .unwrap_or_else(|| panic!("no path is called {path}"))
            .1
    }

    /// The median of the ratios of the rounds. The times of several paths are added up.
    pub(crate) fn ratio(&self, path: &str, beside: &[&str]) -> f64 {
        let sum = |round: usize| beside.iter().map(|peer| self.of(peer)[round]).sum::<f64>();
        let rounds = self.of(path).iter().enumerate();
        let mut ratios: Vec<_> = rounds.map(|(round, time)| time / sum(round)).collect();
        ratios.sort_by(f64::total_cmp);
        ratios[ratios.len() / 2]
    }
}

fn calls_of_a_turn(path: &Path, turn: Duration) -> u64 {
    let mut calls = 1;
    let time = |calls| {
        let start = Instant::now();
        (path.calls)(calls);
        start.elapsed()
    };
    // The shorter of two times was interrupted by less.
    while time(calls).min(time(calls)) < turn {
        calls *= 2;
    }
    calls
}
