//! Opens connections to the end, although their callers leave.
//!
//! A pool opens a connection in the future of the caller that needs it. A caller with little patience
//! would drop that connection half opened, and the next caller would have another one opened: one for
//! each call while a database hangs, and no call would ever be served if opening takes longer than
//! callers wait. So a task opens the connection, and returns it to the pool if its caller has left.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::adapter::Adapter;
use super::lease::Lease;
use super::shared::Shared;
use super::snapshot::PoolStatus;
use crate::gate::unless::unless;

/// A place in the pool for a connection that is being opened.
pub(super) struct Opening<A: Adapter> {
    shared: Arc<Shared<A>>,
}

impl<A: Adapter> Opening<A> {
    /// Takes a place, if the pool has room and no idle connection: then it would open one.
    pub(super) fn begin(shared: &Arc<Shared<A>>) -> Option<Self> {
        let PoolStatus {
            size,
            idle,
            max_connections,
        } = shared.adapter.status();
        if idle > 0 || size >= max_connections {
            return None;
        }
        let free = max_connections.saturating_sub(shared.gate.leased());
        let more = |opening| (opening < free).then_some(opening + 1);
        shared
            .opening
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, more)
            .ok()?;
        Some(Self {
            shared: Arc::clone(shared),
        })
    }

    /// Opens the connection in a task. `None` if the task was stopped, with its pool or its runtime.
    ///
    /// Cancellation: the task goes on for at most `limit`, unless the breaker opens.
    pub(super) async fn open(
        self,
        limit: Duration,
        open: impl Future<Output = Result<A::Lease, A::Error>> + Send + 'static,
    ) -> Option<Result<A::Lease, A::Error>> {
        let (mut caller, opened) = oneshot::channel();
        let shared = Arc::clone(&self.shared);
        shared.background.spawn_call(async move {
            let began = Instant::now();
            let Shared { adapter, gate, .. } = &*self.shared;
            let given_up = async {
                caller.closed().await;
                // Created first, so that it does not miss the breaker opening.
                let opened = gate.opened.notified();
                if !gate.breaker().rejects() {
                    let _ = timeout(limit, opened).await;
                }
            };
            let Some(opened) = unless(given_up, open).await else {
                return;
            };
            let opened = opened.map(|raw| {
                // If the caller is gone, the drop of the lease returns the connection to the pool.
                let mut lease = Lease::empty(Arc::clone(&self.shared));
                lease.put(raw);
                lease
            });
            if let Err(Err(error)) = caller.send(opened) {
                gate.failed_to_open(limit, began.elapsed(), adapter.classify(&error));
            }
        });
        let opened = opened.await.ok()?;
        Some(opened.map(Lease::into_inner))
    }
}

impl<A: Adapter> Drop for Opening<A> {
    fn drop(&mut self) {
        self.shared.opening.fetch_sub(1, Ordering::AcqRel);
    }
}

/// [Leases](Adapter::lease) a connection in a future of its own.
pub(crate) async fn open<A: Adapter>(adapter: Arc<A>) -> Result<A::Lease, A::Error> {
    adapter.lease().await
}
