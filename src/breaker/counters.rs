//! Counters for many writers and a rare reader.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crossbeam_utils::CachePadded;

const SHARDS: usize = 16;

/// What is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Count {
    Answered,
    Faults,
    Neutral,
    Abandoned,
    Slow,
    Discarded,
    Rejected,
}

const COUNTS: usize = Count::Rejected as usize + 1;

/// One set of counts a shard, and each thread has its shard, so that cores that count do not
/// contend for one cache line.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    shards: [CachePadded<[AtomicU64; COUNTS]>; SHARDS],
}

impl Counters {
    pub(crate) fn add(&self, what: Count, n: u64) {
        self.shards[shard()][what as usize].fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn get(&self, what: Count) -> u64 {
        let shards = self.shards.iter();
        shards
            .map(|shard| shard[what as usize].load(Ordering::Relaxed))
            .sum()
    }
}

fn shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static SHARD: usize = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
    }
    SHARD.with(|shard| *shard)
}
