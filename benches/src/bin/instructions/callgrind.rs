//! Measures with callgrind: the program runs itself under `valgrind`, and splits its profile at each
//! call of [`mark`].

use std::hint::black_box;
use std::path;
use std::process::Command;

use benches::Path;

/// The number of calls whose instructions are counted, after as many that are not.
const CALLS: u64 = 2_000;

/// Makes the calls of a path, for callgrind to count.
pub(crate) fn run(path: &Path) {
    for _ in 0..2 {
        mark();
        (path.calls)(CALLS);
    }
    mark();
}

/// Callgrind starts a new profile before each call of this function.
#[inline(never)]
fn mark() {
    black_box(());
}

/// The instructions of one call of each path. Panics if they cannot be measured, since that is no
/// result.
pub(crate) fn under_callgrind(profiles: &path::Path) -> Vec<(String, u64)> {
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg("--dump-before=*callgrind::mark*")
        .arg(format!(
            "--callgrind-out-file={}",
            profiles.join("profile").display()
        ))
        .arg(std::env::current_exe().unwrap())
        .arg("--measured")
        .output()
        .expect("valgrind is not installed: it is Debian's package `valgrind`");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let paths = String::from_utf8(output.stdout).unwrap();
    // Three marks a path: the profile before the third one is that of the calls that count.
    let of_path = |(index, path): (usize, &str)| {
        let profile = profiles.join(format!("profile.{}", 3 * index + 3));
        (path.to_owned(), total(&profile) / CALLS)
    };
    paths.lines().enumerate().map(of_path).collect()
}

/// The instructions in a profile.
fn total(profile: &path::Path) -> u64 {
    let text = std::fs::read_to_string(profile).unwrap();
    let totals = text.lines().find_map(|line| line.strip_prefix("totals: "));
    totals.unwrap().trim().parse().unwrap()
}
