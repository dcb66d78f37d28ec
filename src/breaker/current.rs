//! The epoch that is in effect.

use std::cell::RefCell;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::epoch::Epoch;

/// The number of epochs that a thread remembers. Each stays in memory, some 1.5 KiB, until another one
/// takes its place: a thread that uses more breakers looks some of them up again.
const REMEMBERED: usize = 32;

thread_local! {
    static SEEN: RefCell<[Option<Rc<Numbered>>; REMEMBERED]> =
        const { RefCell::new([const { None }; REMEMBERED]) };
}

/// An epoch with its number. No other epoch of the process has that number.
#[derive(Clone)]
pub(super) struct Numbered {
    number: u64,
    epoch: Arc<Epoch>,
}

/// The epoch that is in effect. Each thread remembers the epochs that it has seen by their numbers. So
/// most readings are one atomic load, and write nothing that other cores contend for. The first reading
/// of a thread after a change takes a lock.
pub(super) struct Current {
    /// The number of the epoch in effect. It changes only under the lock, so that a thread that reads
    /// the new number finds the new epoch.
    number: AtomicU64,
    epoch: Mutex<Numbered>,
}

impl Current {
    pub(super) fn new(epoch: Epoch) -> Self {
        let epoch = Numbered::new(epoch);
        Self {
            number: AtomicU64::new(epoch.number),
            epoch: Mutex::new(epoch),
        }
    }

    pub(super) fn store(&self, epoch: Epoch) {
        let new = Numbered::new(epoch);
        let mut epoch = self.lock();
        self.number.store(new.number, Ordering::Release);
        *epoch = new;
    }

    pub(super) fn load(&self) -> Rc<Numbered> {
        let number = self.number.load(Ordering::Acquire);
        let remembered = SEEN.try_with(|seen| match &seen.borrow()[place(number)] {
            Some(epoch) if epoch.number == number => Some(Rc::clone(epoch)),
            _ => None,
        });
        remembered.ok().flatten().unwrap_or_else(|| self.look_up())
    }

    #[cold]
    fn look_up(&self) -> Rc<Numbered> {
        let epoch = Rc::new(self.lock().clone());
        let newest = Some(Rc::clone(&epoch));
        let place = place(epoch.number);
        // Not while the thread ends. The old epoch is dropped after the borrow.
        let _ = SEEN.try_with(|seen| std::mem::replace(&mut seen.borrow_mut()[place], newest));
        epoch
    }

    fn lock(&self) -> MutexGuard<'_, Numbered> {
        self.epoch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Numbered {
    fn new(epoch: Epoch) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            epoch: Arc::new(epoch),
        }
    }
}

impl Deref for Numbered {
    type Target = Epoch;

    fn deref(&self) -> &Epoch {
        &self.epoch
    }
}

fn place(number: u64) -> usize {
    number as usize % REMEMBERED
}
