//! A stored answer.

use std::any::Any;
use std::fmt;
use std::mem::size_of;
use std::time::Duration;

use super::invalidation::{Generation, Name};

/// The memory of a stored answer besides its value and its names: this struct, the slot in the
/// store, and the overhead of the allocator.
///
/// `tests/cache_bounds.rs` measures it. In a full cache of single numbers, each answer requests 243
/// to 270 bytes from the allocator. 88 of them are counted as the value and its names, and each of
/// the three or four allocations costs up to 16 bytes more.
const OVERHEAD: u64 = 256;

/// An answer of the database with its metadata.
pub(crate) struct Entry {
    value: Box<dyn Any + Send + Sync>,
    /// The time of the query, in nanoseconds on the gate's clock.
    asked_at: u64,
    /// The fraction of the policy's jitter that applies to this answer, from 0 to 1.
    pub(crate) chance: f64,
    pub(crate) names: Box<[Name]>,
    pub(crate) generation: Generation,
    bytes: u64,
}

/// A value returned by the database, and its size.
pub(crate) struct Loaded<T> {
    pub(crate) value: T,
    /// The heap memory that `value` refers to, in bytes.
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

    /// A clone of the value; `None` if it has another type. The type is part of the key, so that
    /// does not happen.
    pub(crate) fn value<T: Clone + 'static>(&self) -> Option<T> {
        self.value.downcast_ref().cloned()
    }

    pub(crate) fn age(&self, now: u64) -> Duration {
        Duration::from_nanos(now.saturating_sub(self.asked_at))
    }

    /// The memory that the entry occupies in all.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

// Does not print the value, which may be private data.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("asked_at", &self.asked_at)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}
