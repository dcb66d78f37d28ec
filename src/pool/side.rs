//! A connection beside the pool, over which the server is asked about the sessions of the pool.

use std::time::{Duration, Instant};

use tokio::sync::SemaphorePermit;
use tokio::time::timeout;

use super::adapter::Adapter;
use super::connection_state::ConnectionState;
use super::release::RELEASE_TIMEOUT;
use super::session::{Session, Sessions};
use super::shared::Shared;
use super::target::Fresh;

/// A connection beside the pool. A pool has at most one at a time.
pub(super) struct Side<'s, A: Adapter> {
    connection: Fresh<A>,
    sessions: &'s Sessions,
    /// The server that it reached.
    server: String,
    /// The time that an answer may take.
    limit: Duration,
    /// An answer did not come in time. Nothing more is asked, because all others wait for this
    /// connection.
    is_silent: bool,
    _only: SemaphorePermit<'s>,
}

impl<A: Adapter> Shared<A> {
    /// The session that serves a connection, if it is known.
    pub(super) fn session(&self, state: &ConnectionState) -> Option<Session> {
        self.adapter.sessions()?.find(state.created?)
    }

    /// Opens a connection beside the pool. `None` if another server or a pooler may have answered,
    /// or while the breaker is open.
    pub(super) async fn side(&self) -> Option<Side<'_, A>> {
        let sessions = self.adapter.sessions()?;
        let only = self.side.acquire().await.ok()?;
        if self.gate.breaker().rejects() {
            return None;
        }
        // Bounded, because all others wait for this one.
        let limit = self.gate.acquire_timeout();
        let before = sessions.known();
        let began = Instant::now();
        let open = async {
            let mut connection = Fresh::open(&self.adapter).await.ok()?;
            let answer = connection.question(sessions.question()).await?;
            Some((connection, answer))
        };
        let (connection, answer) = timeout(limit, open).await.ok()??;
        let own = sessions.new_session(&answer, began, &before)?;
        Some(Side {
            connection,
            sessions,
            server: own.server,
            limit,
            is_silent: false,
            _only: only,
        })
    }
}

impl<A: Adapter> Shared<A> {
    /// Asks the server whether this session runs no statement. `None` if it does not know.
    pub(super) async fn is_idle(&self, session: &Session) -> Option<bool> {
        let mut side = self.side().await?;
        let is_idle = side.is_idle(session).await;
        side.close().await;
        is_idle
    }
}

impl<A: Adapter> Side<'_, A> {
    /// Whether the server says that this session runs no statement. `None` if it does not know.
    pub(super) async fn is_idle(&mut self, session: &Session) -> Option<bool> {
        if session.server != self.server {
            return None;
        }
        let system = self.sessions.system;
        let state = self.question(system.state(session)).await?;
        Some(system.is_idle(&state))
    }

    /// Stops the statement that runs in this session.
    #[cfg(feature = "sqlx")]
    pub(super) async fn stop(&mut self, session: &Session) {
        if self.is_idle(session).await == Some(false) {
            let stop = self.sessions.system.stop(session);
            self.question(stop).await;
        }
    }

    /// Ends a session whose connection is closed. Returns whether it is known to be gone.
    #[cfg(feature = "sql")]
    pub(super) async fn ends(&mut self, session: &Session) -> bool {
        let system = self.sessions.system;
        if session.server != self.server {
            return system.is_restarted(&session.server, &self.server);
        }
        match self.question(system.state(session)).await {
            Some(state) if state == "gone" => true,
            Some(_) => {
                self.question(system.end(session)).await;
                false // known with the next question
            }
            None => false,
        }
    }

    async fn question(&mut self, sql: String) -> Option<String> {
        if self.is_silent {
            return None;
        }
        let answer = timeout(self.limit, self.connection.question(sql)).await;
        self.is_silent = answer.is_err();
        answer.ok()?
    }

    pub(super) async fn close(self) {
        let _ = timeout(RELEASE_TIMEOUT, self.connection.close()).await;
    }
}
