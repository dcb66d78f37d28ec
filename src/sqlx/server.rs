//! The server behind a pool, as its prober sees it.

use std::sync::{Arc, Weak};

use sqlx::{ConnectOptions, Connection, Database, Error};

use super::connection::GuardedConnection;
use super::driver::Traits;
use super::shared::Shared;
use crate::breaker::verdict::{Class, Classify};
use crate::pool::prober::{self, Backend};

/// Has a pool's server probed whenever its breaker opens.
pub(super) fn probe_when_open<DB: Database>(shared: &Arc<Shared<DB>>) {
    let weak = Arc::downgrade(shared);
    shared
        .gate
        .on_open(Box::new(move || probe_in_background(&weak)));
}

fn probe_in_background<DB: Database>(shared: &Weak<Shared<DB>>) {
    let Some(shared) = shared.upgrade() else {
        return;
    };
    if shared.raw.is_closed() {
        return;
    }
    let database = Server {
        shared: Arc::downgrade(&shared),
        traits: shared.options.traits(),
        classify: Arc::clone(&shared.classify),
    };
    shared
        .background
        .spawn(prober::recover(Arc::clone(&shared.gate), database));
    // Or else it may have been closed too early to stop this.
    if shared.raw.is_closed() {
        shared.background.stop();
    }
}

/// The server behind a pool, as its prober sees it. Does not keep the pool alive.
struct Server<DB: Database> {
    shared: Weak<Shared<DB>>,
    traits: Traits<DB>,
    classify: Arc<dyn Classify<Error>>,
}

/// What is pinged.
enum Probed<DB: Database> {
    Fresh(DB::Connection),
    /// No other can be had, perhaps because this very pool has all slots of the server.
    Leased(GuardedConnection<DB>),
}

impl<DB: Database> Server<DB> {
    fn shared(&self) -> Result<Arc<Shared<DB>>, Error> {
        self.shared.upgrade().ok_or(Error::PoolClosed)
    }
}

impl<DB: Database> Backend for Server<DB> {
    type Connection = Probed<DB>;
    type Error = Error;

    async fn connect(&self) -> Result<Probed<DB>, Error> {
        let options = self.shared()?.raw.connect_options();
        options.connect().await.map(Probed::Fresh)
    }

    async fn borrow(&self) -> Option<Probed<DB>> {
        let shared = self.shared.upgrade()?;
        let idle = shared.raw.try_acquire()?;
        Some(Probed::Leased(GuardedConnection::new(idle, shared)))
    }

    async fn ping(&self, connection: &mut Probed<DB>) -> Result<(), Error> {
        match connection {
            Probed::Fresh(connection) => (self.traits.ask)(connection).await,
            Probed::Leased(lease) => {
                let (raw, health, shared) = lease.parts();
                // Dropped at the deadline, the connection is closed.
                let in_flight = health.start();
                let pong = (self.traits.ask)(raw).await;
                in_flight.end();
                if let Err(error) = &pong {
                    health.note(shared.diagnose(error));
                }
                pong
            }
        }
    }

    async fn close(&self, connection: Probed<DB>) {
        match connection {
            // What matters has been answered.
            Probed::Fresh(connection) => drop(connection.close().await),
            Probed::Leased(lease) => drop(lease),
        }
    }

    fn classify(&self, error: &Error) -> Class {
        self.classify.classify(error)
    }
    fn explain<'e>(&self, error: &'e Error) -> &'e (dyn std::error::Error + 'static) {
        error
    }
}
