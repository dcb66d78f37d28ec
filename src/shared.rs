//! What the handles of one guarded pool share: how a connection is leased, and how its backend is
//! probed.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::adapter::Adapter;
use crate::background::Background;
use crate::error::GateError;
use crate::gate::Gate;
use crate::lease::{Lease, lent};
use crate::prober::{self, Backend};
use crate::verdict::Class;

pub(crate) struct Shared<A: Adapter> {
    pub(crate) adapter: Arc<A>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) background: Background,
}

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

    /// A connection for whatever the caller will do with it, put into an empty lease: some are
    /// large, and to hand them up from call to call would cost more than to lease them. What the
    /// caller does may take its time, so a probe is settled by a ping first.
    pub(crate) async fn fill(
        &self,
        lease: &mut Lease<A>,
        limit: Duration,
        classify: impl FnOnce(&A::Error) -> Class,
        acquire: Pin<&mut impl Future<Output = Result<A::Lease, A::Error>>>,
    ) -> Result<(), GateError<A::Error>> {
        let fill = pin!(async { acquire.await.map(|raw| lease.put(raw)) });
        if self.adapter.is_closed() {
            return fill.await.map_err(GateError::Failed);
        }
        self.background.remember_runtime();
        let is_full = || self.adapter.is_full();
        match self.gate.acquire(limit, is_full, classify, fill).await? {
            ((), None) => Ok(()),
            ((), Some(probe)) if self.gate.is_proving(&probe) => lease.prove(probe, limit).await,
            ((), Some(permit)) => {
                permit.withdraw();
                Ok(())
            }
        }
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
