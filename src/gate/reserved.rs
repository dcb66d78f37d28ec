//! Work that only one task may do at a time.

use std::sync::atomic::{AtomicBool, Ordering};

/// Reserves a work of one task until it is dropped.
#[derive(Debug)]
pub(crate) struct Reserved<'f>(&'f AtomicBool);

impl<'f> Reserved<'f> {
    /// `None` if it is reserved already.
    pub(crate) fn of(flag: &'f AtomicBool) -> Option<Self> {
        let is_taken = flag.swap(true, Ordering::AcqRel);
        // Lazily: one that is dropped would free what another task has reserved.
        (!is_taken).then(|| Self(flag))
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
