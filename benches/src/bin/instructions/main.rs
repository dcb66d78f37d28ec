//! Counts the instructions of the hot paths with callgrind, and compares them with `counts.tsv`. A
//! count does not depend on how busy the machine is.
//!
//! ```sh
//! cargo run --release --locked -p benches --bin instructions            # fails if a path of fusepool grew by more than 5 %
//! cargo run --release --locked -p benches --bin instructions -- --renew # writes the table
//! cargo run --release --locked -p benches --bin instructions -- --page  # prints the table of the guide, beside the peers
//! ```
//!
//! It needs valgrind. With `--no-default-features`, only the breaker and the gate are measured, as in
//! `.ci/run`: compiling the drivers takes minutes.
//!
//! The counts belong to one version of the compiler on one kind of machine. With another one they are
//! printed beside the table, and nothing fails. A system call counts as one instruction, and valgrind
//! reads the clock with a system call: `Instant::now` costs more than is counted.

mod callgrind;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/counts.tsv");

fn main() -> ExitCode {
    let argument = std::env::args().nth(1);
    if argument.as_deref() == Some("--measured") {
        for path in benches::groups().iter().flat_map(|(paths, _)| paths) {
            callgrind::run(path);
            println!("{}", path.name);
        }
        return ExitCode::SUCCESS;
    }
    let profiles = profiles();
    let counts = callgrind::under_callgrind(&profiles);
    let compiler = compiler();
    if argument.as_deref() == Some("--renew") {
        if cfg!(not(feature = "drivers")) {
            panic!("the table has the paths of the drivers, too");
        }
        let rows = counts
            .iter()
            .map(|(path, count)| format!("{path}\t{count}\n"));
        let table = format!("{compiler}\n{}", rows.collect::<String>());
        fs::write(TABLE, table).unwrap();
    }
    if argument.as_deref() == Some("--page") {
        page(&counts);
    }
    let has_grown = compare(&counts, &compiler);
    println!("\nThe profiles are in {}.", profiles.display());
    ExitCode::from(u8::from(has_grown))
}

/// Prints the table of the guide.
fn page(counts: &[(String, u64)]) {
    let counts: BTreeMap<_, _> = counts.iter().map(|(path, n)| (path.as_str(), *n)).collect();
    println!("| call | instructions | beside it | ratio |\n|---|---|---|---|");
    for row in benches::groups().iter().flat_map(|(_, rows)| *rows) {
        let count = counts[row.path];
        let beside: u64 = row.beside.iter().map(|peer| counts[peer]).sum();
        let (names, ratio) = (row.beside.join(", and "), count as f64 / beside as f64);
        println!(
            "| {} | {count} | {names}: {beside} | {ratio:.1} |",
            row.path
        );
    }
    println!();
}

/// Prints the counts beside those of the table. Returns whether a path has grown.
fn compare(counts: &[(String, u64)], compiler: &str) -> bool {
    let table = fs::read_to_string(TABLE).unwrap_or_default();
    let (of, rows) = table.split_once('\n').unwrap_or_default();
    let before: BTreeMap<_, u64> = (rows.lines())
        .filter_map(|row| row.split_once('\t'))
        .map(|(path, count)| (path, count.parse().unwrap()))
        .collect();
    let groups = benches::groups();
    let is_own = |path: &str| {
        groups
            .iter()
            .any(|(_, rows)| rows.iter().any(|row| row.path == path))
    };
    let mut has_grown = false;
    println!(
        "{:<58}{:>12}{:>12}",
        "instructions per call", "now", "table"
    );
    for (path, count) in counts {
        let was = before.get(path.as_str()).copied();
        let is_over = was.is_none_or(|was| *count * 100 > was * 105);
        has_grown |= is_over && is_own(path);
        let mark = if is_over { "  more than 5 % over" } else { "" };
        let was = was.map_or("-".to_owned(), |was| was.to_string());
        println!("{path:<58}{count:>12}{was:>12}{mark}");
    }
    if of != compiler {
        println!("\nNot compared: the table is for {of}, and this is {compiler}.");
        return false;
    }
    has_grown
}

/// The directory of the profiles. Those of an earlier run are removed.
fn profiles() -> PathBuf {
    let directory = std::env::current_exe().unwrap().with_file_name("profiles");
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// The version of the compiler and its host.
fn compiler() -> String {
    let rustc = Command::new("rustc").arg("-vV").output().unwrap();
    let version = String::from_utf8(rustc.stdout).unwrap();
    let field = |name| version.lines().find_map(|line| line.strip_prefix(name));
    format!(
        "rustc {} {}",
        field("release: ").unwrap(),
        field("host: ").unwrap()
    )
}
