//! The network between the pools and the server, which stalls.
//!
//! A stalled server cannot tell whose connections it gets, and the breaker's own probes make some
//! that no pool counts. So each pool has a door of its own, where everything it opens is counted;
//! all lead to the same server, and stall together.

use std::io;
use std::net::SocketAddr;

use crate::support::proxy::{Fault, Proxy};

/// One door for each pool.
pub(crate) struct Network {
    pub(crate) naked: Proxy,
    pub(crate) guarded: Proxy,
    pub(crate) cached: Proxy,
}

/// Connections accepted so far, whatever became of them.
pub(crate) struct Accepted {
    pub(crate) naked: u64,
    pub(crate) guarded: u64,
    pub(crate) cached: u64,
}

impl Network {
    pub(crate) async fn before(server: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            naked: Proxy::start(server).await?,
            guarded: Proxy::start(server).await?,
            cached: Proxy::start(server).await?,
        })
    }

    /// From now on, nothing comes through.
    pub(crate) fn stall(&self) -> Accepted {
        self.set(Fault::Stall)
    }

    /// What was held comes through now, and all that follows.
    pub(crate) fn heal(&self) -> Accepted {
        self.set(Fault::None)
    }

    fn set(&self, fault: Fault) -> Accepted {
        self.naked.set(fault);
        self.guarded.set(fault);
        self.cached.set(fault);
        Accepted {
            naked: self.naked.accepted(),
            guarded: self.guarded.accepted(),
            cached: self.cached.accepted(),
        }
    }
}
