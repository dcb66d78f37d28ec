//! The backend of a pool, as its prober sees it.

use std::sync::{Arc, Weak};

use super::adapter::Adapter;
use super::lease::{Lease, lent};
use super::prober::{self, Backend};
use super::shared::Shared;
use super::tasks::Background;
use crate::breaker::verdict::Class;
use crate::gate::Gate;

impl<A: Adapter> Shared<A> {
    pub(crate) fn start(adapter: A, gate: Gate, active_probing: bool) -> Arc<Self> {
        let shared = Arc::new(Self {
            adapter: Arc::new(adapter),
            gate: Arc::new(gate),
            background: Background::default(),
        });
        if active_probing {
            let weak = Arc::downgrade(&shared);
            (shared.gate).on_open(Box::new(move || probe_in_background(&weak)));
        }
        shared
    }
}

fn probe_in_background<A: Adapter>(shared: &Weak<Shared<A>>) {
    if let Some(shared) = shared.upgrade()
        && !shared.adapter.is_closed()
    {
        let server = Server {
            adapter: Arc::clone(&shared.adapter),
            shared: Arc::downgrade(&shared),
        };
        let recovery = prober::recover(Arc::clone(&shared.gate), server);
        shared.background.spawn(recovery);
        // Or else it may have been closed too early to stop this.
        if shared.adapter.is_closed() {
            shared.background.stop();
        }
    }
}

/// The backend of a pool, as its prober sees it. Does not keep the pool's handles alive.
struct Server<A: Adapter> {
    adapter: Arc<A>,
    shared: Weak<Shared<A>>,
}

/// What is pinged.
enum Probed<A: Adapter> {
    Fresh(Fresh<A>),
    /// No other can be had, perhaps because this very pool has all slots of the backend.
    Leased(Lease<A>),
}

/// A connection outside of the pool, which is taken leave of whenever and wherever it is dropped.
struct Fresh<A: Adapter> {
    raw: Option<A::Connection>,
    adapter: Arc<A>,
}

impl<A: Adapter> Drop for Fresh<A> {
    fn drop(&mut self) {
        if let Some(raw) = self.raw.take() {
            self.adapter.disconnect(raw);
        }
    }
}

impl<A: Adapter> Backend for Server<A> {
    type Connection = Probed<A>;
    type Error = A::Error;

    async fn connect(&self) -> Result<Probed<A>, A::Error> {
        let connection = self.adapter.connect().await?;
        Ok(Probed::Fresh(Fresh {
            raw: Some(connection),
            adapter: Arc::clone(&self.adapter),
        }))
    }

    async fn borrow(&self) -> Option<Probed<A>> {
        let mut lease = Lease::empty(self.shared.upgrade()?);
        lease.put(self.adapter.lease_idle().await?);
        Some(Probed::Leased(lease))
    }

    async fn ping(&self, connection: &mut Probed<A>) -> Result<(), A::Error> {
        match connection {
            Probed::Fresh(fresh) => self.adapter.ping(lent(fresh.raw.as_mut())).await,
            Probed::Leased(lease) => {
                // Dropped at the deadline, the connection is discarded.
                let (raw, health, shared) = lease.parts();
                let in_flight = health.start();
                let pong = shared.adapter.ping(raw).await;
                in_flight.end();
                if pong.is_err() {
                    health.close("broken");
                }
                pong
            }
        }
    }

    async fn close(&self, connection: Probed<A>) {
        drop(connection);
    }

    fn classify(&self, error: &A::Error) -> Class {
        self.adapter.classify(error)
    }

    fn explain<'e>(&self, error: &'e A::Error) -> &'e (dyn std::error::Error + 'static) {
        self.adapter.explain(error)
    }
}
