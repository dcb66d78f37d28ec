//! Finds the statements whose answers an outage took with it.
//!
//! After an outage, connections may stay silent in the middle of their statements, and would occupy
//! the pool until the deadlines. So when the database is well again, and a caller still waits at a
//! full pool, the server is asked about the statements from before the outage. One whose session is
//! gone or idle there has lost its answer, and is given up. One that still runs is left alone, and so is
//! one that the server does not know, for instance after a failover to another server.

use std::future::pending;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::sleep;

use super::adapter::Adapter;
use super::connection_state::ConnectionState;
use super::long_running::Statement;
use super::shared::Shared;
use super::side::Side;

/// The server is asked twice, this long apart: an answer may be on its way, and a statement that takes
/// several round trips is idle between them.
const INTERVAL: Duration = Duration::from_millis(50);

/// The time after which the server is asked again about those that were not found lost.
const RETRY: Duration = Duration::from_millis(200);

/// The shortest time between two searches.
const PAUSE: Duration = Duration::from_secs(1);

impl<A: Adapter> Shared<A> {
    /// Waits until the statement that runs on this connection is found lost. To be polled only once
    /// the statement is a long-running one.
    pub(super) async fn lost(&self, state: &ConnectionState) {
        match self.session(state) {
            // Boxed, because few statements are long-running: it would make all others larger.
            Some(session) => Box::pin(self.long_running.lost(session, self.gate.now())).await,
            None => pending().await,
        }
        state.lose();
    }

    /// Asks the server about the statements from before the last outage, unless another task does.
    async fn search(&self) {
        let Some(_searching) = self.long_running.reserve_search() else {
            return;
        };
        // Again soon, because the server may only just have recovered. A caller asks for this once.
        for pause in [RETRY, RETRY, PAUSE] {
            let silent = self.long_running.since_before(self.gate.well_since());
            if silent.is_empty() {
                return;
            }
            if let Some(mut side) = self.side().await {
                give_up_idle(&mut side, silent).await;
                side.close().await;
            }
            sleep(pause).await;
        }
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
        statement.lose();
    }
}

/// Starts a search, unless there is one.
pub(super) fn search<A: Adapter>(shared: &Weak<Shared<A>>) {
    if let Some(shared) = shared.upgrade()
        && shared.long_running.reserve_search().is_some()
    {
        let searched = Arc::clone(&shared);
        shared
            .background
            .spawn(async move { searched.search().await });
    }
}
