//! Doubt about answers, after a write whose outcome is not known.
//!
//! A write that was given up may still take effect, at any time until the server has ended it. A read
//! before that returns the old rows. So while a doubt lasts, no answer that depends on
//! its names is fresh, whenever it was loaded: such an answer is only served if the database cannot
//! answer. It makes no difference to the answers that are loaded after the end of the doubt.

use std::mem::take;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::cache::answers::Answers;
use crate::cache::invalidation::Name;

/// A doubt. It lasts until its [`end`](Self::end): if it is dropped before, it lasts as long as the
/// cache.
#[derive(Debug)]
#[must_use]
pub(crate) struct Doubt {
    answers: Arc<Answers>,
    names: Vec<Name>,
}

impl Doubt {
    pub(crate) fn begin(answers: &Arc<Answers>, names: Vec<Name>) -> Self {
        for name in &names {
            answers.generations.begin_doubt(*name);
        }
        Self {
            answers: Arc::clone(answers),
            names,
        }
    }

    /// The write has ended, with whatever result.
    pub(crate) fn end(self) {
        for name in self.names {
            self.answers.generations.end_doubt(name);
        }
    }

    /// Replaces this doubt by one about all answers.
    pub(crate) fn about_all(self) -> Self {
        let all = Self::begin(&self.answers, vec![Name::ALL]);
        self.end();
        all
    }
}

/// The doubts that the statements on a connection left. Boxed, because every lease has them, and few
/// have any.
#[derive(Debug, Default)]
pub(crate) struct Doubts(OnceLock<Box<Mutex<Vec<Doubt>>>>);

impl Doubts {
    fn lock(&self) -> MutexGuard<'_, Vec<Doubt>> {
        let doubts = self.0.get_or_init(Box::default);
        doubts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, doubt: Doubt) {
        self.lock().push(doubt);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.get().is_none() || self.lock().is_empty()
    }

    pub(crate) fn take(&self) -> Vec<Doubt> {
        match self.is_empty() {
            true => Vec::new(),
            false => take(&mut self.lock()),
        }
    }
}
