//! The backend of a pool, as its prober sees it.

use std::sync::{Arc, Weak};

use super::adapter::Adapter;
use super::lease::{Lease, lent};
use super::shared::Shared;

/// What is probed. Does not keep the pool's handles alive.
pub(crate) struct Target<A: Adapter> {
    pub(super) adapter: Arc<A>,
    shared: Weak<Shared<A>>,
}

/// What is pinged.
pub(super) enum Probed<A: Adapter> {
    Fresh(Fresh<A>),
    /// No other can be had, perhaps because this very pool has all slots of the backend.
    Borrowed(Lease<A>),
}

/// A connection outside of the pool, which is taken leave of whenever and wherever it is dropped.
pub(super) struct Fresh<A: Adapter> {
    raw: Option<A::Connection>,
    adapter: Arc<A>,
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
            shared: Arc::downgrade(shared),
        }
    }

    /// Opens a connection outside of the pool.
    pub(super) async fn connect(&self) -> Result<Probed<A>, A::Error> {
        let connection = self.adapter.connect().await?;
        Ok(Probed::Fresh(Fresh {
            raw: Some(connection),
            adapter: Arc::clone(&self.adapter),
        }))
    }

    /// Takes an idle connection out of the pool, if there is one.
    pub(super) async fn borrow(&self) -> Option<Probed<A>> {
        let mut lease = Lease::empty(self.shared.upgrade()?);
        lease.put(self.adapter.lease_idle().await?);
        Some(Probed::Borrowed(lease))
    }
}

impl<A: Adapter> Probed<A> {
    /// Asks for an answer.
    ///
    /// Cancellation: dropped in flight, a borrowed connection is closed instead of given back.
    pub(super) async fn ping(&mut self) -> Result<(), A::Error> {
        match self {
            Self::Fresh(fresh) => fresh.adapter.ping(lent(fresh.raw.as_mut())).await,
            Self::Borrowed(lease) => {
                let (raw, watch) = lease.parts();
                let in_flight = watch.state.start();
                let pong = watch.shared.adapter.ping(raw).await;
                in_flight.end();
                if pong.is_err() {
                    watch.state.close("broken");
                }
                pong
            }
        }
    }

    /// Takes leave of a fresh connection; gives a borrowed one back.
    pub(super) async fn close(self) {
        if let Self::Fresh(mut fresh) = self
            && let Some(raw) = fresh.raw.take()
        {
            fresh.adapter.disconnect(raw).await;
        }
    }
}
