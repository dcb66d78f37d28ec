//! The interface between a pool and its prober.

use std::sync::{Arc, Weak};

use tokio::time::timeout;

use super::adapter::Adapter;
use super::lease::{Lease, present};
use super::role::Role;
use super::shared::Shared;
use crate::gate::Gate;

/// A pool to probe. It keeps the adapter alive, but not the shared state of the pool.
pub(crate) struct Target<A: Adapter> {
    pub(super) adapter: Arc<A>,
    role: Arc<Role>,
    probe_query: Option<Arc<str>>,
    shared: Weak<Shared<A>>,
}

/// A connection to ping.
pub(super) enum Probed<A: Adapter> {
    /// A new connection outside the pool.
    Fresh(Fresh<A>),
    /// An idle connection of the pool, for when no new connection can be opened, perhaps because
    /// this pool itself has all slots of the backend.
    Borrowed(Lease<A>),
}

/// A connection outside the pool. Dropping it calls [`Adapter::disconnect`] without waiting.
pub(super) struct Fresh<A: Adapter> {
    raw: Option<A::Connection>,
    adapter: Arc<A>,
}

impl<A: Adapter> Fresh<A> {
    pub(super) async fn open(adapter: &Arc<A>) -> Result<Self, A::Error> {
        Ok(Self {
            raw: Some(adapter.connect().await?),
            adapter: Arc::clone(adapter),
        })
    }

    /// Runs a statement that returns one text.
    pub(super) async fn question(&mut self, sql: String) -> Option<String> {
        let connection = present(self.raw.as_mut());
        self.adapter.question(connection, sql).await
    }

    /// Asks the backend by the `query`, or else by a ping.
    pub(super) async fn ping(&mut self, query: Option<&str>) -> Result<(), A::Error> {
        let raw = present(self.raw.as_mut());
        ping(&*self.adapter, raw, query).await
    }

    pub(super) async fn close(mut self) {
        if let Some(raw) = self.raw.take() {
            self.adapter.disconnect(raw).await;
        }
    }
}

impl<A: Adapter> Drop for Fresh<A> {
    fn drop(&mut self) {
        if let Some(raw) = self.raw.take() {
            drop(self.adapter.disconnect(raw));
        }
    }
}

impl<A: Adapter> Target<A> {
    pub(crate) fn of(shared: &Arc<Shared<A>>) -> Self {
        Self {
            adapter: Arc::clone(&shared.adapter),
            role: Arc::clone(&shared.role),
            probe_query: shared.probe_query.clone(),
            shared: Arc::downgrade(shared),
        }
    }

    /// Opens a connection outside the pool.
    pub(super) async fn connect(&self) -> Result<Probed<A>, A::Error> {
        Ok(Probed::Fresh(Fresh::open(&self.adapter).await?))
    }

    /// Whether the breaker opened because the server is read-only, and this one still is. If it does
    /// not answer in time, it counts as read-only. Its connection is then closed.
    pub(super) async fn is_still_read_only(&self, gate: &Gate, probed: &mut Probed<A>) -> bool {
        if !self.role.awaits_writable() {
            return false;
        }
        let limit = gate.breaker().probe_timeout();
        let is_read_only = timeout(limit, probed.is_read_only())
            .await
            .unwrap_or(Some(true));
        let stays = is_read_only.is_some_and(|is| self.role.answered(is, 0, gate));
        if stays && let Probed::Borrowed(lease) = probed {
            lease.state.close("read_only");
        }
        stays
    }

    /// Asks the backend whether it is well: by the `probe_query`, or else by a ping.
    ///
    /// Cancellation: if this is dropped in progress, a borrowed connection is closed instead of
    /// returned to the pool.
    pub(super) async fn ping(&self, probed: &mut Probed<A>) -> Result<(), A::Error> {
        probed.ping(self.probe_query.as_deref()).await
    }

    /// Takes an idle connection out of the pool, if there is one.
    pub(super) async fn borrow(&self) -> Option<Probed<A>> {
        let mut lease = Lease::empty(self.shared.upgrade()?);
        lease.put(self.adapter.lease_idle().await?);
        Some(Probed::Borrowed(lease))
    }
}

impl<A: Adapter> Probed<A> {
    /// Asks the backend by the `query`, or else by a ping.
    async fn ping(&mut self, query: Option<&str>) -> Result<(), A::Error> {
        match self {
            Self::Fresh(fresh) => fresh.ping(query).await,
            Self::Borrowed(lease) => {
                let (raw, watch) = lease.parts();
                let in_flight = watch.state.start();
                let pong = ping(&*watch.shared.adapter, raw, query).await;
                in_flight.end();
                if pong.is_err() {
                    watch.state.close("broken");
                }
                pong
            }
        }
    }

    async fn is_read_only(&mut self) -> Option<bool> {
        match self {
            Self::Fresh(fresh) => {
                let raw = present(fresh.raw.as_mut());
                fresh.adapter.is_read_only(raw).await
            }
            Self::Borrowed(lease) => {
                let (raw, watch) = lease.parts();
                let in_flight = watch.state.start();
                let answer = watch.shared.adapter.is_read_only(raw).await;
                in_flight.end();
                answer
            }
        }
    }

    /// Closes a new connection; returns a borrowed one to the pool.
    pub(super) async fn close(self) {
        if let Self::Fresh(fresh) = self {
            fresh.close().await;
        }
    }
}

async fn ping<A: Adapter>(
    adapter: &A,
    connection: &mut A::Connection,
    query: Option<&str>,
) -> Result<(), A::Error> {
    match query {
        Some(sql) => adapter.probe(connection, sql).await,
        None => adapter.ping(connection).await,
    }
}
