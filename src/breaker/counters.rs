//! Counters with many writers and few reads.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crossbeam_utils::CachePadded;

const SHARDS: usize = 16;

/// `N` counters, sharded by thread, so that cores do not contend for one cache line. A read sums up
/// the shards.
#[derive(Debug)]
pub(crate) struct Counters<const N: usize> {
    shards: [CachePadded<[AtomicU64; N]>; SHARDS],
}

impl<const N: usize> Counters<N> {
    pub(crate) fn new() -> Self {
        let zeros = || CachePadded::new(std::array::from_fn(|_| AtomicU64::new(0)));
        Self {
            shards: std::array::from_fn(|_| zeros()),
        }
    }

    pub(crate) fn add(&self, index: usize, n: u64) {
        self.shards[shard() % SHARDS][index].fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn get(&self, index: usize) -> u64 {
        let shards = self.shards.iter();
        shards
            .map(|shard| shard[index].load(Ordering::Relaxed))
            .sum()
    }
}

/// The number of this thread.
fn shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        // A constant at first, which is cheaper to read.
        static SHARD: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    match SHARD.get() {
        usize::MAX => {
            SHARD.set(NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS);
            SHARD.get()
        }
        shard => shard,
    }
}
