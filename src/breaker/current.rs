//! The epoch that is in effect.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::epoch::Epoch;

/// The number of epochs that a thread remembers. A thread that uses more breakers loses the ones whose
/// numbers have the same remainder, and looks them up again.
const REMEMBERED: usize = 32;

/// An epoch with its number. No other epoch of the process has that number.
type Numbered<E> = (u64, E);

thread_local! {
    static SEEN: RefCell<[Option<Numbered<Rc<Arc<Epoch>>>>; REMEMBERED]> =
        const { RefCell::new([const { None }; REMEMBERED]) };
}

/// The epoch that is in effect. Each thread remembers the epochs that it has seen by their numbers. So
/// most readings are one atomic load, and write nothing that other cores contend for. The first reading
/// of a thread after a change takes a lock.
pub(super) struct Current {
    /// The number of the epoch in effect. It changes only under the lock, so that a thread that reads
    /// the new number finds the new epoch.
    number: AtomicU64,
    epoch: Mutex<Numbered<Arc<Epoch>>>,
}

impl Current {
    pub(super) fn new(epoch: Epoch) -> Self {
        let number = next_number();
        Self {
            number: AtomicU64::new(number),
            epoch: Mutex::new((number, Arc::new(epoch))),
        }
    }

    pub(super) fn store(&self, epoch: Epoch) {
        let new = (next_number(), Arc::new(epoch));
        let mut epoch = self.lock();
        self.number.store(new.0, Ordering::Release);
        *epoch = new;
    }

    pub(super) fn load(&self) -> Rc<Arc<Epoch>> {
        let number = self.number.load(Ordering::Acquire);
        let remembered = SEEN.try_with(|seen| match &seen.borrow()[place(number)] {
            Some((seen, epoch)) if *seen == number => Some(Rc::clone(epoch)),
            _ => None,
        });
        remembered.ok().flatten().unwrap_or_else(|| self.look_up())
    }

    #[cold]
    fn look_up(&self) -> Rc<Arc<Epoch>> {
        let (number, epoch) = self.lock().clone();
        let epoch = Rc::new(epoch);
        let newest = Some((number, Rc::clone(&epoch)));
        // Not while the thread ends. The old epoch is dropped after the borrow.
        let _ =
            SEEN.try_with(|seen| std::mem::replace(&mut seen.borrow_mut()[place(number)], newest));
        epoch
    }

    fn lock(&self) -> MutexGuard<'_, Numbered<Arc<Epoch>>> {
        self.epoch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place(number: u64) -> usize {
    number as usize % REMEMBERED
}

fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
