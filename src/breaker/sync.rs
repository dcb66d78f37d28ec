//! The primitives of what is lock-free here, so that loom can check its interleavings.

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
