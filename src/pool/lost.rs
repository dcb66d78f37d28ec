//! Finds the statements whose answers an outage took with it.
//!
//! After an outage, connections may stay silent in the middle of their statements, and would occupy
//! the pool until the deadlines. So when the database is well again, and a caller still waits at a
//! full pool, the server is asked about the statements from before the outage. One whose session is
//! gone or idle there has lost its answer, and is given up. One that still runs is left alone, and so is
//! one that the server does not know, for instance after a failover to another server.

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

use super::adapter::Adapter;
use super::connection_state::ConnectionState;
use super::session::Session;
use super::shared::Shared;
use super::side::Side;

/// The server is asked twice, this long apart: an answer may be on its way, and a statement that takes
/// several round trips is idle between them.
const INTERVAL: Duration = Duration::from_millis(50);

/// The shortest time between two searches.
const PAUSE: Duration = Duration::from_secs(1);

/// The long-running statements of a pool whose sessions are known.
#[derive(Debug, Default)]
pub(crate) struct LongRunning {
    statements: Mutex<Vec<Arc<Statement>>>,
    is_searching: AtomicBool,
}

#[derive(Debug)]
struct Statement {
    session: Session,
    /// It began before this time, in nanoseconds on the breaker's clock.
    began_before: u64,
    is_lost: Notify,
}

/// Removes the statement when it ends.
struct Entry<'l> {
    running: &'l LongRunning,
    statement: Arc<Statement>,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let is_other = |other: &Arc<Statement>| !Arc::ptr_eq(other, &self.statement);
        lock(&self.running.statements).retain(is_other);
    }
}

impl<A: Adapter> Shared<A> {
    /// Waits until the statement that runs on this connection is found lost. To be polled only once
    /// the statement is a long-running one.
    pub(super) async fn lost(&self, state: &ConnectionState) {
        match self.session(state) {
            // Boxed, because few statements are long-running: it would make all others larger.
            Some(session) => Box::pin(self.lost_in(session)).await,
            None => pending().await,
        }
        state.lose();
    }

    async fn lost_in(&self, session: Session) {
        let statement = Arc::new(Statement {
            session,
            began_before: self.gate.now(),
            is_lost: Notify::new(),
        });
        lock(&self.long_running.statements).push(Arc::clone(&statement));
        let entry = Entry {
            running: &self.long_running,
            statement,
        };
        entry.statement.is_lost.notified().await;
    }

    /// Asks the server about the statements from before the last outage.
    async fn search(&self) {
        let since = self.gate.well_since();
        let mut silent: Vec<_> = lock(&self.long_running.statements).clone();
        silent.retain(|statement| statement.began_before < since);
        if silent.is_empty() {
            return;
        }
        let Some(mut side) = self.side().await else {
            return;
        };
        give_up_idle(&mut side, silent).await;
        side.close().await;
        sleep(PAUSE).await;
    }
}

async fn give_up_idle<A: Adapter>(side: &mut Side<'_, A>, mut silent: Vec<Arc<Statement>>) {
    for round in 0..2 {
        if round > 0 {
            sleep(INTERVAL).await;
        }
        let mut idle = Vec::new();
        for statement in silent {
            if side.is_idle(&statement.session).await == Some(true) {
                idle.push(statement);
            }
        }
        silent = idle;
    }
    for statement in silent {
        statement.is_lost.notify_one();
    }
}

/// Starts a search, unless there is one.
pub(super) fn search<A: Adapter>(shared: &Weak<Shared<A>>) {
    let Some(shared) = shared.upgrade() else {
        return;
    };
    if shared
        .long_running
        .is_searching
        .swap(true, Ordering::AcqRel)
    {
        return;
    }
    let searching = Searching(Arc::clone(&shared));
    shared
        .background
        .spawn(async move { searching.0.search().await });
}

/// Allows the next search when it is dropped.
struct Searching<A: Adapter>(Arc<Shared<A>>);

impl<A: Adapter> Drop for Searching<A> {
    fn drop(&mut self) {
        (self.0.long_running.is_searching).store(false, Ordering::Release);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
