//! The network between the pools and the server, which stalls.
//!
//! A stalled server cannot tell which pool opened a connection, and no pool counts the connections
//! of the background probes. So each pool has its own proxy, which counts every connection. All
//! proxies lead to the same server, and stall together.

use std::io;
use std::net::SocketAddr;

use crate::support::proxy::{Fault, Proxy};

/// One proxy for each pool.
pub(crate) struct Network {
    pub(crate) naked: Proxy,
    pub(crate) guarded: Proxy,
    pub(crate) cached: Proxy,
}

/// The number of connections accepted so far, including those that have ended.
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

    /// Stops all traffic.
    pub(crate) fn stall(&self) -> Accepted {
        self.set(Fault::Stall)
    }

    /// Lets the traffic through again, including what was held back.
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
