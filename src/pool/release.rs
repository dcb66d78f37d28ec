//! The return of a leased connection to its pool, or its end.

#[cfg(feature = "sql")]
use std::mem::take;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::adapter::Adapter;
use super::lease::Lease;
use super::session::Session;
use super::shared::Shared;
use crate::breaker::verdict::Class;
#[cfg(feature = "sql")]
use crate::cache::doubt::Doubt;

/// The time to cancel a statement on the backend that was given up here.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(1);

/// The time to return a connection to the pool, or to close it.
///
/// sqlx tests a returned connection without a deadline, and its slot in the pool is lost if the
/// server has gone silently: <https://github.com/transact-rs/sqlx/issues/4349>.
pub(crate) const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);

/// The time in which a connection must show that it is in step. The rows of a stream that was dropped
/// are read for as long; if there are more, the statement is stopped and the connection closed.
const CHECK_TIMEOUT: Duration = Duration::from_millis(200);

// A task that is spawned here occupies the slot of its connection in the pool until it ends, so there
// are never more of these tasks than connections.
impl<A: Adapter> Lease<A> {
    /// Whether the connection may be out of step: an answer may be outstanding, of a stream that was
    /// dropped or of a use past the guard. The next user would be given it.
    fn may_be_out_of_step(&self) -> bool {
        let is_touched = self.state.is_touched() && self.shared.adapter.system().is_some();
        #[cfg(feature = "sql")]
        let is_touched = is_touched || !self.state.doubts.is_empty();
        is_touched || self.state.unread() > 0
    }

    /// Whether the connection returns to the pool only after a check.
    pub(super) fn must_check(&self) -> bool {
        let errors = self.state.read_only_errors();
        self.may_be_out_of_step() || self.shared.role.is_doubtful(errors)
    }

    /// Takes the connection out of this lease, to close it if that is not prevented.
    fn discarded(&self, raw: A::Lease) -> DiscardOnDrop<A> {
        DiscardOnDrop {
            raw: Some(raw),
            session: self.shared.session(&self.state),
            #[cfg(feature = "sql")]
            doubts: self.state.doubts.take(),
            is_touched: self.state.is_touched(),
            shared: Arc::clone(&self.shared),
        }
    }

    pub(super) fn release(&self, raw: A::Lease) {
        let Shared {
            adapter,
            background,
            ..
        } = &*self.shared;
        let Some(runtime) = background.runtime() else {
            // Without a runtime there is no task in which the return could be awaited:
            // https://github.com/transact-rs/sqlx/issues/1396
            return adapter.discard(raw);
        };
        let _inside = runtime.enter();
        let release = adapter.release(raw);
        runtime.spawn(async move {
            let _ = timeout(RELEASE_TIMEOUT, release).await;
        });
    }

    /// Checks that the connection is in step, and whether the server is read-only, and then returns the
    /// connection to the pool. It is closed instead if it is not in step, if the server was demoted, or if
    /// it does not answer in time.
    pub(super) fn release_after_checks(&self, raw: A::Lease) {
        let may_be_out_of_step = self.may_be_out_of_step();
        let is_unread = self.state.unread() > 0;
        let errors = self.state.read_only_errors();
        let mut lease = self.discarded(raw);
        let Some(runtime) = self.shared.background.runtime() else {
            return; // Nothing can be asked, so it is discarded.
        };
        runtime.spawn(async move {
            let shared = Arc::clone(&lease.shared);
            if may_be_out_of_step {
                match timeout(CHECK_TIMEOUT, lease.is_in_step()).await {
                    Ok(true) => lease.end_doubts(),
                    Ok(false) => {
                        shared.gate.closed_connection("out_of_step");
                        return drop(timeout(RELEASE_TIMEOUT, lease.close()).await);
                    }
                    Err(_) => {
                        shared.gate.closed_connection("abandoned");
                        return match is_unread {
                            true => lease.leave_rows().await,
                            false => lease.abandon().await,
                        };
                    }
                }
            }
            let reason = match shared.role.is_doubtful(errors) {
                true => lease.was_demoted(errors).await,
                false => None,
            };
            let end = async {
                match reason {
                    Some(reason) => {
                        shared.gate.closed_connection(reason);
                        lease.close().await;
                    }
                    None => lease.release().await,
                }
            };
            let _ = timeout(RELEASE_TIMEOUT, end).await;
        });
    }

    pub(super) fn close(&self, raw: A::Lease, reason: &'static str) {
        self.shared.gate.closed_connection(reason);
        let (may_run, has_rows) = (self.state.may_run(), self.state.has_rows());
        let mut lease = self.discarded(raw);
        if (may_run || has_rows || A::RELEASE_WAITS)
            && let Some(runtime) = self.shared.background.runtime()
        {
            runtime.spawn(async move {
                match (may_run, has_rows) {
                    (true, _) => lease.abandon().await,
                    (false, true) => lease.leave_rows().await,
                    (false, false) => drop(timeout(RELEASE_TIMEOUT, lease.close()).await),
                }
            });
        }
    }
}

/// A lease that is discarded when it is dropped, unless it was closed before.
struct DiscardOnDrop<A: Adapter> {
    raw: Option<A::Lease>,
    /// The session of the connection, if it is known.
    session: Option<Session>,
    /// The doubts that last until the connection is known to be done with its statements.
    #[cfg(feature = "sql")]
    doubts: Vec<Doubt>,
    /// It was used past the guard, so an answer does not show which statement has ended.
    is_touched: bool,
    shared: Arc<Shared<A>>,
}

impl<A: Adapter> DiscardOnDrop<A> {
    /// Stops the statement that was given up, and closes the connection.
    ///
    /// Cancellation: the connection is closed at once.
    async fn abandon(mut self) {
        // The server is told in any case. The wait for it ends with the pool.
        let is_told = self.tell().await;
        let shared = Arc::clone(&self.shared);
        if shared.adapter.is_closed() {
            return; // Closing the pool waits for this connection.
        }
        shared.background.spawn_if_used(async move {
            let limit = self.shared.gate.limits().query_timeout;
            let has_ended = timeout(limit, self.stop(is_told)).await;
            if has_ended == Ok(true) && !self.is_touched {
                self.end_doubts();
            }
            let _ = timeout(RELEASE_TIMEOUT, self.close()).await;
        });
    }

    /// Stops a statement whose rows are on their way, and closes the connection without reading them. The
    /// server stops at the latest when it cannot send any more.
    ///
    /// Cancellation: the connection is closed at once.
    async fn leave_rows(mut self) {
        self.tell().await;
        let _ = timeout(RELEASE_TIMEOUT, self.close()).await;
    }

    /// Whether the answers on this connection are those to its own statements: it must echo a number that
    /// no earlier statement knew.
    async fn is_in_step(&mut self) -> bool {
        let adapter = Arc::clone(&self.shared.adapter);
        let Some(raw) = &mut self.raw else {
            return false;
        };
        if adapter.system().is_none() {
            return adapter.ping(raw).await.is_ok();
        }
        let number = fastrand::u64(..).to_string();
        let echo = adapter.question(raw, format!("SELECT '{number}'")).await;
        echo.as_deref() == Some(number.as_str())
    }

    /// The reason to close the connection if its server was demoted, or does not answer in time.
    async fn was_demoted(&mut self, errors: u32) -> Option<&'static str> {
        let shared = Arc::clone(&self.shared);
        match timeout(RELEASE_TIMEOUT, self.is_read_only()).await {
            Ok(Some(is_read_only)) => (shared.role)
                .answered(is_read_only, errors, &shared.gate)
                .then_some("read_only"),
            Ok(None) => None,
            Err(_) => Some("abandoned"),
        }
    }

    /// The server has ended all statements of this connection.
    #[cfg_attr(
        not(feature = "sql"),
        expect(clippy::unused_self, reason = "only statements in SQL leave doubts")
    )]
    fn end_doubts(&mut self) {
        #[cfg(feature = "sql")]
        take(&mut self.doubts).into_iter().for_each(Doubt::end);
    }

    /// Stops the statement that was given up, and waits until the server has stopped: until then, the
    /// connection keeps its place in the pool, so that the server never works on more statements than
    /// the pool has connections. The caller bounds the wait. Returns whether the end of the statement is
    /// known: the session may be idle because the statement has not arrived there yet.
    async fn stop(&mut self, mut is_told: bool) -> bool {
        let shared = Arc::clone(&self.shared);
        while !is_told {
            let interval = shared.gate.breaker().probe_interval();
            if let Ok(has_ended) = timeout(interval, self.answer()).await {
                return has_ended;
            }
            is_told = self.tell().await;
        }
        let session = self.session.clone();
        let mut patience = CANCEL_TIMEOUT;
        loop {
            let answer = {
                let answer = pin!(self.answer());
                timeout(patience, shared.gate.unless_starved(answer)).await
            };
            let is_starved = match answer {
                Ok(Some(has_ended)) => return has_ended,
                Ok(None) => true,
                Err(_) => false,
            };
            // The connection may be silent for ever. Where the server cannot be asked, it loses its
            // place when a caller needs it.
            let is_idle = match &session {
                Some(session) => shared.is_idle(session).await,
                None => None,
            };
            if is_idle.unwrap_or(is_starved) {
                return false;
            }
            // A server that was told before the statement reached it has ignored that.
            self.tell().await;
            patience = patience.saturating_mul(2);
        }
    }

    /// Tells the server to stop the statement. Returns `false` if there was no time, because others told
    /// it the same, or while the breaker is open: nothing is sent to a server that may be down.
    async fn tell(&mut self) -> bool {
        if !self.shared.side_connections {
            return true;
        }
        let is_open = self.shared.gate.breaker().rejects();
        !is_open && timeout(CANCEL_TIMEOUT, self.cancel()).await.is_ok()
    }

    /// Waits for an answer after that of the statement. Returns `false` if the connection broke.
    async fn answer(&mut self) -> bool {
        let adapter = &self.shared.adapter;
        let Some(raw) = &mut self.raw else {
            return false;
        };
        // The first errors may be those of the statement.
        for _ in 0..3 {
            match adapter.ping(raw).await {
                Ok(()) => return true,
                Err(error) => match adapter.classify(&error) {
                    Class::Failure | Class::FailureAndClose => return false,
                    _ => {}
                },
            }
        }
        false
    }

    async fn cancel(&mut self) {
        #[cfg(feature = "sqlx")]
        if A::STOPS_BY_SESSION {
            if let Some(session) = &self.session
                && let Some(mut side) = self.shared.side().await
            {
                side.stop(session).await;
                side.close().await;
            }
            return;
        }
        if let Some(raw) = &mut self.raw {
            self.shared.adapter.cancel(raw).await;
        }
    }

    async fn is_read_only(&mut self) -> Option<bool> {
        let adapter = Arc::clone(&self.shared.adapter);
        adapter.is_read_only(self.raw.as_mut()?).await
    }

    async fn release(&mut self) {
        if let Some(raw) = self.raw.take() {
            self.shared.adapter.release(raw).await;
        }
    }

    async fn close(&mut self) {
        if let Some(raw) = self.raw.take() {
            self.shared.adapter.close(raw).await;
        }
    }
}

impl<A: Adapter> Drop for DiscardOnDrop<A> {
    fn drop(&mut self) {
        if let Some(raw) = self.raw.take() {
            self.shared.adapter.discard(raw);
        }
        #[cfg(feature = "sql")]
        (self.shared).keep_in_doubt(self.session.take(), take(&mut self.doubts));
    }
}
