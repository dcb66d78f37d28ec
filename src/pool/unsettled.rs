//! The writes of unknown outcome whose connections are closed.
//!
//! Closing a connection does not stop its statement on the server. So the server is asked about the
//! session of such a connection until it says that the session is gone, and is told to end it: nobody
//! uses it any more. Until then, the answers that the write may change are in doubt.

use std::mem::take;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::adapter::Adapter;
use super::session::Session;
use super::shared::Shared;
use crate::cache::doubt::Doubt;

/// The time from which a write counts as ended if the server cannot be asked about it, for instance
/// behind a pooler or after a failover.
const LONGEST_DOUBT: Duration = Duration::from_secs(3_600);

/// The most writes that are remembered one by one. Beyond that, all answers are in doubt.
const MOST: usize = 1_024;

/// The first and the longest pause between two questions to the server.
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct Unsettled {
    writes: Mutex<Vec<Write>>,
    /// Whether there are writes. It is read without the lock.
    has_any: AtomicBool,
    is_asking: AtomicBool,
}

#[derive(Debug)]
struct Write {
    /// The session in which it runs, if that is known.
    session: Option<Session>,
    since: Instant,
    doubts: Vec<Doubt>,
}

impl Unsettled {
    /// Adds the writes that may still run in a session. Their connection must be closed.
    fn add(&self, session: Option<Session>, doubts: Vec<Doubt>) {
        let mut writes = self.lock();
        let mut write = Write {
            session,
            since: Instant::now(),
            doubts,
        };
        if writes.len() >= MOST
            && let Some(last) = writes.pop()
        {
            let mut doubts = last.doubts.into_iter().chain(write.doubts);
            let all = doubts.next().map(Doubt::about_all);
            doubts.for_each(Doubt::end);
            write.doubts = all.into_iter().collect();
            write.session = None;
        }
        writes.push(write);
        self.has_any.store(true, Ordering::Release);
    }

    /// The sessions of the writes, if they are known.
    fn sessions(&self) -> Vec<Session> {
        let writes = self.lock();
        writes.iter().filter_map(|of| of.session.clone()).collect()
    }

    /// Ends the doubts about writes.
    fn settle(&self, has_ended: impl Fn(&Write) -> bool) {
        let mut writes = self.lock();
        let all = take(&mut *writes);
        for write in all {
            match has_ended(&write) {
                true => write.doubts.into_iter().for_each(Doubt::end),
                false => writes.push(write),
            }
        }
        self.has_any.store(!writes.is_empty(), Ordering::Release);
    }

    fn has_any(&self) -> bool {
        self.has_any.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Write>> {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A: Adapter> Shared<A> {
    /// Keeps the doubts about the statements of a connection that is closed, until the server is known
    /// to have ended them.
    pub(super) fn keep_in_doubt(self: &Arc<Self>, session: Option<Session>, doubts: Vec<Doubt>) {
        if !doubts.is_empty() {
            self.unsettled.add(session, doubts);
            self.settle_doubts();
        }
    }

    /// Starts the task that asks about writes of unknown outcome, if there are any and it does not run.
    /// A task ends with its runtime, so this is called at every lease, too.
    pub(super) fn settle_doubts(self: &Arc<Self>) {
        let unsettled = &self.unsettled;
        if unsettled.has_any() && !unsettled.is_asking.swap(true, Ordering::AcqRel) {
            let asking = Asking(Arc::clone(self));
            self.background
                .spawn_if_used(async move { asking.run().await });
        }
    }
}

/// The task that asks about the writes of unknown outcome.
struct Asking<A: Adapter>(Arc<Shared<A>>);

impl<A: Adapter> Asking<A> {
    async fn run(self) {
        let unsettled = &self.0.unsettled;
        let mut pause = PAUSE;
        while unsettled.has_any() {
            sleep(pause).await;
            self.ask().await;
            unsettled.settle(|write| write.since.elapsed() >= LONGEST_DOUBT);
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }

    async fn ask(&self) {
        let sessions = self.0.unsettled.sessions();
        if sessions.is_empty() {
            return;
        }
        let Some(mut side) = self.0.side().await else {
            return;
        };
        for session in sessions {
            if side.ends(&session).await {
                let is_same = |write: &Write| write.session.as_ref() == Some(&session);
                self.0.unsettled.settle(is_same);
            }
        }
        side.close().await;
    }
}

impl<A: Adapter> Drop for Asking<A> {
    fn drop(&mut self) {
        self.0.unsettled.is_asking.store(false, Ordering::Release);
    }
}
