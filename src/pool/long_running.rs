//! The long-running statements of a pool, which the server can be asked about.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::session::Session;
use crate::gate::reserved::Reserved;

/// The long-running statements of a pool whose sessions are known.
#[derive(Debug, Default)]
pub(crate) struct LongRunning {
    statements: Mutex<Vec<Arc<Statement>>>,
    is_searching: AtomicBool,
}

#[derive(Debug)]
pub(super) struct Statement {
    pub(super) session: Session,
    /// It began before this time, in nanoseconds on the breaker's clock.
    began_before: u64,
    is_lost: Notify,
}

impl Statement {
    /// Reports that its answer was lost.
    pub(super) fn lose(&self) {
        self.is_lost.notify_one();
    }
}

impl LongRunning {
    /// Waits until the statement that runs in this session, and began before `now`, is found lost.
    pub(super) async fn lost(&self, session: Session, now: u64) {
        let statement = Arc::new(Statement {
            session,
            began_before: now,
            is_lost: Notify::new(),
        });
        self.lock().push(Arc::clone(&statement));
        let entry = Entry {
            running: self,
            statement,
        };
        entry.statement.is_lost.notified().await;
    }

    /// The statements that began before this time.
    pub(super) fn since_before(&self, time: u64) -> Vec<Arc<Statement>> {
        let statements = self.lock();
        let before = statements.iter().filter(|of| of.began_before < time);
        before.cloned().collect()
    }

    /// Reserves the search for lost statements until the guard is dropped. `None` if it is reserved.
    pub(super) fn reserve_search(&self) -> Option<Reserved<'_>> {
        Reserved::of(&self.is_searching)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Statement>>> {
        (self.statements.lock()).unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes the statement when it ends.
struct Entry<'l> {
    running: &'l LongRunning,
    statement: Arc<Statement>,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let is_other = |other: &Arc<Statement>| !Arc::ptr_eq(other, &self.statement);
        self.running.lock().retain(is_other);
    }
}
