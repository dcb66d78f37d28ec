//! The memory of an idle breaker, a guarded pool and a cached row, as the operating system counts it.

use std::fs;
use std::process::Command;

use benches::block_on;
use benches::pools::guarded;
use fusepool::Breaker;
use fusepool::sqlx::SqlitePoolOptions;

use crate::scale::read;

/// The things that take memory, and how their bytes are measured.
type Measured = (&'static str, fn() -> u64);

/// The things that take memory, and their bytes. Each is measured in a process of its own, since memory
/// that was freed before would be used again.
pub(crate) fn all() -> Vec<(&'static str, u64)> {
    let program = std::env::current_exe().unwrap();
    let measure = |(index, (what, _)): (usize, &Measured)| {
        let of = index.to_string();
        let output = Command::new(&program).args(["--memory", &of]).output();
        let bytes = String::from_utf8(output.unwrap().stdout).unwrap();
        (*what, bytes.trim().parse().unwrap())
    };
    MEASURED.iter().enumerate().map(measure).collect()
}

/// Prints the bytes of what has this index.
pub(crate) fn print(index: &str) {
    println!("{}", MEASURED[index.parse::<usize>().unwrap()].1());
}

const MEASURED: [Measured; 4] = [
    ("an idle breaker", || {
        each(1_000, || Breaker::builder().build().unwrap())
    }),
    ("a guarded deadpool pool, without connections", || {
        each(1_000, guarded)
    }),
    ("a guarded sqlx pool, without connections", || {
        each(1_000, || {
            let options = SqlitePoolOptions::new();
            block_on(async { options.connect_lazy("sqlite::memory:").unwrap() })
        })
    }),
    ("a cached row of one number", || {
        let (pool, mut key) = (guarded(), 0);
        block_on(read(&pool, u64::MAX));
        each(200_000, || {
            key += 1;
            drop(block_on(read(&pool, key)));
        })
    }),
];

/// The bytes that each of `n` takes.
fn each<T>(n: usize, mut make: impl FnMut() -> T) -> u64 {
    drop(make());
    let before = resident();
    let all: Vec<T> = (0..n).map(|_| make()).collect();
    let bytes = resident() - before;
    drop(all);
    bytes / n as u64
}

/// The resident memory of this process in bytes.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.unwrap().trim().trim_end_matches(" kB");
    kilobytes.parse::<u64>().unwrap() * 1024
}
