//! Which versions were written, when, and so which may be served.

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::Duration;

/// The history of one item, whose version only increases.
#[derive(Default)]
pub struct History(Mutex<Writes>);

#[derive(Default)]
struct Writes {
    last: i64,
    /// The versions that were never committed, or never sent.
    void: HashSet<i64>,
    /// The oldest version that may be served to a caller that asks now: its write invalidated the cache.
    floor: i64,
    /// The times at which the commit of a version became known, ordered by time.
    committed: Vec<(Duration, i64)>,
    seen: HashSet<i64>,
}

impl History {
    /// A version that was not used yet.
    pub fn next(&self) -> i64 {
        let mut writes = self.0.lock().unwrap();
        writes.last += 1;
        writes.last
    }

    /// The version will not be committed, or was not.
    pub fn void(&self, version: i64) {
        self.0.lock().unwrap().void.insert(version);
    }

    /// The version was committed before `now`.
    pub fn committed(&self, version: i64, now: Duration) {
        self.0.lock().unwrap().committed.push((now, version));
    }

    /// The version was committed, and its write invalidated the cache.
    pub fn published(&self, version: i64) {
        let mut writes = self.0.lock().unwrap();
        writes.floor = writes.floor.max(version);
    }

    /// The oldest version that may be served to a caller that asks now.
    pub fn floor(&self) -> i64 {
        self.0.lock().unwrap().floor
    }

    /// The highest version that was known to be committed at `time`.
    pub fn known_at(&self, time: Duration) -> i64 {
        let writes = self.0.lock().unwrap();
        let known = writes.committed.iter().filter(|(at, _)| *at <= time);
        known.map(|(_, version)| *version).max().unwrap_or(0)
    }

    /// A caller was served this version.
    pub fn seen(&self, version: i64) {
        let mut writes = self.0.lock().unwrap();
        assert!(version <= writes.last, "{version} was never written");
        writes.seen.insert(version);
    }

    /// No caller was served a version that was not committed.
    pub fn assert_only_committed(&self) {
        let writes = self.0.lock().unwrap();
        let void: Vec<_> = writes.seen.intersection(&writes.void).collect();
        assert!(void.is_empty(), "served, but never committed: {void:?}");
    }
}
