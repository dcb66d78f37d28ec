//! One answer, kept.

use std::any::Any;
use std::fmt;
use std::mem::size_of;
use std::time::Duration;

use super::invalidation::{Generation, Name};

/// What keeping an answer takes besides the answer: this struct, its names, its place in the store,
/// and what an allocator adds. `tests/cache_bounds.rs` measures it: a full cache of single numbers
/// asks the allocator for 243 to 270 bytes an answer in all, 88 of which are reckoned for the value and its
/// names; and each of three or four allocations costs up to 16 more.
const OVERHEAD: u64 = 256;

/// An answer of the database, and what is known about it.
pub(crate) struct Entry {
    value: Box<dyn Any + Send + Sync>,
    /// When the database was asked for it, in nanoseconds on the gate's clock.
    asked_at: u64,
    /// Its share of the jitter, from 0 to 1.
    pub(crate) chance: f64,
    pub(crate) names: Box<[Name]>,
    pub(crate) generation: Generation,
    bytes: u64,
}

/// What the database answered, and how much memory it takes.
pub(crate) struct Loaded<T> {
    pub(crate) value: T,
    /// All that `value` refers to, on the heap.
    pub(crate) bytes: u64,
}

impl Entry {
    pub(crate) fn new<T: Send + Sync + 'static>(
        loaded: Loaded<T>,
        asked_at: u64,
        names: Box<[Name]>,
        generation: Generation,
    ) -> Self {
        let own = OVERHEAD + (size_of::<T>() + size_of_val(&*names)) as u64;
        Self {
            bytes: loaded.bytes.saturating_add(own),
            value: Box::new(loaded.value),
            asked_at,
            chance: fastrand::f64(),
            names,
            generation,
        }
    }

    pub(crate) fn is<T: 'static>(&self) -> bool {
        self.value.is::<T>()
    }

    /// `None` if it is of another type, which another key would have had.
    pub(crate) fn value<T: Clone + 'static>(&self) -> Option<T> {
        self.value.downcast_ref().cloned()
    }

    pub(crate) fn age(&self, now: u64) -> Duration {
        Duration::from_nanos(now.saturating_sub(self.asked_at))
    }

    /// The memory it takes, all included.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

// What is kept may be anybody's data.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("asked_at", &self.asked_at)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}
