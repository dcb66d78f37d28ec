//! Checks a running pool, and asks its server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::adapter::Adapter;
use super::release::RELEASE_TIMEOUT;
use super::shared::Shared;
use super::target::Fresh;
use crate::lint::{Load, Plan, Room, Warning, check, check_probe, check_room};
use crate::outcome::error::{Awaited, GateError};

/// The answer of a server.
struct Seen {
    /// The connections that it allows. `None` if it cannot be asked.
    room: Option<Room>,
    /// The time that it took to connect.
    connect: Duration,
    /// The time that a probe took. `None`: it did not end in its time.
    ping: Option<Duration>,
}

impl<A: Adapter> Shared<A> {
    /// All warnings about this pool.
    ///
    /// Cancellation: may be dropped at any await. The connection beside the pool is then closed.
    pub(super) async fn lint(&self, load: &Load) -> Result<Vec<Warning>, GateError<A::Error>> {
        let plan = self.plan();
        let mut warnings = check(&plan, load);
        warnings.extend(self.lint_server(&plan, load).await?);
        Ok(warnings)
    }

    /// Asks the server in the background, if the load says how many instances there are. To be called
    /// once, inside a runtime.
    pub(super) fn lint_in_background(self: &Arc<Self>) {
        if self.load.replicas.is_none() || !self.side_connections || self.adapter.system().is_none()
        {
            return;
        }
        let shared = Arc::clone(self);
        self.background.spawn(async move {
            let plan = shared.plan();
            // If the server cannot be reached, there are other events that tell.
            if let Ok(warnings) = shared.lint_server(&plan, &shared.load).await {
                shared.gate.warn(warnings);
            }
        });
    }

    fn plan(&self) -> Plan {
        Plan {
            connections: self.adapter.status().max_connections, // a pool of deadpool can be resized
            ..self.gate.plan()
        }
    }

    async fn lint_server(
        &self,
        plan: &Plan,
        load: &Load,
    ) -> Result<Vec<Warning>, GateError<A::Error>> {
        let slow = |seen: &Seen| check_probe(plan, seen.connect, seen.ping);
        let mut seen = self.look_at_server().await?;
        if slow(&seen).is_some() {
            seen = self.look_at_server().await?; // it may have been a hiccup
        }
        let room = seen.room.and_then(|room| check_room(plan, load, room));
        Ok(room.into_iter().chain(slow(&seen)).collect())
    }

    async fn look_at_server(&self) -> Result<Seen, GateError<A::Error>> {
        let _only = self.side.acquire().await; // never closed
        let limit = self.gate.acquire_timeout();
        let began = Instant::now();
        let opened = timeout(limit, Fresh::open(&self.adapter)).await;
        let connect = began.elapsed();
        let mut connection = opened
            .map_err(|_| self.gate.missed(limit, Awaited::Connection))?
            .map_err(GateError::Failed)?;
        let room = match self.adapter.system() {
            Some(system) => {
                let answer = connection.question(system.room().to_owned());
                let answer = timeout(limit, answer).await.ok().flatten();
                answer.and_then(|answer| Room::parse(&answer))
            }
            None => None,
        };
        let began = Instant::now();
        let pong = connection.ping(self.probe_query.as_deref());
        let ping = match timeout(self.gate.breaker().probe_timeout(), pong).await {
            Ok(pong) => {
                pong.map_err(GateError::Failed)?;
                Some(began.elapsed())
            }
            Err(_) => None,
        };
        let _ = timeout(RELEASE_TIMEOUT, connection.close()).await;
        Ok(Seen {
            room,
            connect,
            ping,
        })
    }
}
