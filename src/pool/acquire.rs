//! How a connection is leased.

use std::future::Future;
use std::pin::{Pin, pin};
use std::time::Duration;

use super::adapter::Adapter;
use super::lease::Lease;
use super::shared::Shared;
use crate::breaker::verdict::Class;
use crate::outcome::error::GateError;

impl<A: Adapter> Shared<A> {
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
