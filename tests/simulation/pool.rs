//! A plain connection pool, as sqlx and deadpool have it: at most so many connections, opened on demand,
//! for callers in the order of their arrival.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::server::{Connection, DbError, Opener, Server};

#[derive(Clone, Debug)]
pub(crate) struct Pool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    server: Arc<Server>,
    size: u32,
    slots: Arc<Semaphore>,
    idle: Mutex<VecDeque<Connection>>,
    /// Connections that are open or being opened.
    open: AtomicU32,
}

impl Pool {
    pub(crate) fn new(server: Arc<Server>, size: u32) -> Self {
        Self(Arc::new(Shared {
            server,
            size,
            slots: Arc::new(Semaphore::new(size as usize)),
            idle: Mutex::default(),
            open: AtomicU32::new(0),
        }))
    }

    /// Fills the pool with connections that were opened before.
    pub(crate) fn warm_up(&self) {
        let connections = (0..self.0.size).map_while(|_| self.0.server.accept(Opener::Pool).ok());
        self.0.idle.lock().unwrap().extend(connections);
        self.0.open.store(self.idle(), Ordering::Relaxed);
    }

    pub(crate) fn server(&self) -> &Arc<Server> {
        &self.0.server
    }

    pub(crate) fn max_size(&self) -> u32 {
        self.0.size
    }

    pub(crate) fn open(&self) -> u32 {
        self.0.open.load(Ordering::Relaxed)
    }

    pub(crate) fn idle(&self) -> u32 {
        u32::try_from(self.0.idle.lock().unwrap().len()).unwrap()
    }

    /// Leases a connection. One that the driver knows to be closed is replaced.
    pub(crate) async fn lease(&self) -> Result<PoolLease, DbError> {
        let slot = Arc::clone(&self.0.slots).acquire_owned().await.unwrap();
        let opening = loop {
            let idle = self.0.idle.lock().unwrap().pop_front();
            match idle {
                Some(connection) => {
                    let place = Place(Arc::clone(&self.0));
                    if !connection.is_closed() {
                        return Ok(PoolLease::new(connection, slot, place));
                    }
                }
                None => {
                    self.0.open.fetch_add(1, Ordering::Relaxed);
                    break Place(Arc::clone(&self.0));
                }
            }
        };
        let connection = self.0.server.connect(Opener::Pool).await?;
        Ok(PoolLease::new(connection, slot, opening))
    }

    pub(crate) fn lease_idle(&self) -> Option<PoolLease> {
        let slot = Arc::clone(&self.0.slots).try_acquire_owned().ok()?;
        let connection = self.0.idle.lock().unwrap().pop_front()?;
        Some(PoolLease::new(connection, slot, Place(Arc::clone(&self.0))))
    }
}

/// Counts an open connection that is not idle.
struct Place(Arc<Shared>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A leased connection. If it is dropped while a statement runs, it returns to the pool after the answer
/// to that statement.
pub(crate) struct PoolLease(Option<Leased>);

struct Leased {
    connection: Connection,
    slot: OwnedSemaphorePermit,
    place: Place,
}

impl PoolLease {
    fn new(connection: Connection, slot: OwnedSemaphorePermit, place: Place) -> Self {
        Self(Some(Leased {
            connection,
            slot,
            place,
        }))
    }

    /// Closes the connection.
    pub(crate) fn discard(mut self) {
        self.0 = None;
    }
}

impl Leased {
    fn put_back(self) {
        let Self {
            connection,
            slot,
            place,
        } = self;
        if !connection.is_closed() {
            let shared = &place.0;
            shared.open.fetch_add(1, Ordering::Relaxed);
            shared.idle.lock().unwrap().push_back(connection);
        }
        drop((place, slot));
    }
}

impl Drop for PoolLease {
    fn drop(&mut self) {
        let Some(mut leased) = self.0.take() else {
            return;
        };
        if !leased.connection.is_busy() {
            return leased.put_back();
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let _ = leased.connection.answer().await;
                leased.put_back();
            });
        }
    }
}

impl Deref for PoolLease {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0.as_ref().unwrap().connection
    }
}

impl DerefMut for PoolLease {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.0.as_mut().unwrap().connection
    }
}
