//! The primitives of the lock-free parts, replaced by those of loom in its tests.

#[cfg(all(test, fusepool_loom))]
pub(super) use loom::sync::{
    Mutex,
    atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering},
};
#[cfg(not(all(test, fusepool_loom)))]
pub(super) use std::sync::{
    Mutex,
    atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering},
};
