//! The stream of changes of a pool's breaker.

use std::sync::OnceLock;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, Sender};

use crate::breaker::event::Event;
use crate::breaker::state::{Mode, Transition};

/// The number of changes that are kept for a receiver that is late.
const KEPT: usize = 64;

/// A change of a breaker that decides which calls it admits.
///
/// ```
/// use fusepool::telemetry::Change;
///
/// fn note(change: &Change) {
///     match change {
///         Change::Transition(transition) => println!("now {}", transition.to.as_str()),
///         other => println!("{other:?}"),
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Change {
    /// The state changed.
    Transition(Transition),
    /// An operator changed the mode, or started or stopped holding the breaker open.
    Mode {
        /// The new mode.
        mode: Mode,
        /// Whether the breaker is now held open.
        forced_open: bool,
    },
}

/// The changes of the breaker of a pool or a gate, from [`Gate::events`](crate::Gate::events).
///
/// It holds the last 64 changes. If the receiver is later than that, the oldest ones are lost, and
/// [`lost`](Self::lost) counts them.
#[derive(Debug)]
pub struct Events {
    receiver: Receiver<Change>,
    lost: u64,
}

impl Events {
    /// Waits for the next change. `None` when the pool and all handles of its breaker are dropped.
    ///
    /// Cancellation: no change is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<Change> {
        loop {
            match self.receiver.recv().await {
                Ok(change) => return Some(change),
                Err(RecvError::Lagged(changes)) => self.lost += changes,
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// The number of changes that were lost because this receiver was late, as far as
    /// [`next`](Self::next) has found out.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

/// Sends the changes to those who asked for them.
#[derive(Default)]
pub(super) struct Changes(OnceLock<Sender<Change>>);

impl Changes {
    pub(super) fn subscribe(&self) -> Events {
        Events {
            receiver: self.0.get_or_init(|| Sender::new(KEPT)).subscribe(),
            lost: 0,
        }
    }

    pub(super) fn send(&self, event: &Event<'_>) {
        let Some(sender) = self.0.get() else { return };
        let change = match *event {
            Event::Transition(transition) => Change::Transition(*transition),
            Event::Mode { mode, forced_open } => Change::Mode { mode, forced_open },
            _ => return,
        };
        let _ = sender.send(change); // without receivers, nobody misses it
    }
}
