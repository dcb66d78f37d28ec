//! Leases connections.

use std::future::Future;
use std::pin::{Pin, pin};
use std::time::Duration;

use super::adapter::Adapter;
use super::lease::Lease;
use super::shared::Shared;
use crate::breaker::verdict::Class;
use crate::outcome::error::GateError;

impl<A: Adapter> Shared<A> {
    /// Acquires a connection and puts it into an empty lease. If the breaker is half-open, the first
    /// statement on it is a probe.
    ///
    /// The connection is stored in place, because some are large: moving them from call to call
    /// would cost more than leasing them.
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
        let is_full = || self.adapter.status().is_full();
        let ((), probe) = self.gate.acquire(limit, is_full, classify, fill).await?;
        if let Some(slot) = probe {
            lease.state.reserve(slot);
        }
        Ok(())
    }
}
