//! Finds the time at which sqlx created a connection, by which its server session is known.
//!
//! sqlx keeps the number of the session to itself, and has no place for data on a connection. It only
//! tells its hooks how old a connection is. A hook runs in the same poll in which the pool then returns
//! the connection, so the two are joined here, by variables of the thread that is polling.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::time::{Duration, Instant};

use crate::pool::created::Created;

thread_local! {
    /// When the current poll of an acquisition began.
    static POLLED: Cell<Option<Instant>> = const { Cell::new(None) };
    /// The finding of the last hook that ran in this poll.
    static FOUND: Cell<Option<Found>> = const { Cell::new(None) };
}

/// The finding of a hook about its connection.
#[derive(Clone)]
pub(super) enum Found {
    /// It was created between these times.
    Known(Created),
    /// It is about to be created: after this time. This is its session.
    New(Instant, Option<String>),
}

/// Tells the acquisition that is being polled what a hook found. Called at the end of the hook.
pub(super) fn tell(found: Found) {
    FOUND.set(Some(found));
}

/// The time at which a connection of this age was created. Called at the start of a hook.
pub(super) fn since(age: Duration) -> Option<Created> {
    let (from, to) = (POLLED.get()?, Instant::now());
    Some(Created::between(
        from.checked_sub(age)?,
        to.checked_sub(age)?,
    ))
}

/// Awaits an acquisition, and returns what the hooks found out about its connection.
pub(super) async fn watched<T>(acquire: impl Future<Output = T>) -> (T, Option<Found>) {
    let mut acquire = pin!(acquire);
    poll_fn(|context| {
        FOUND.take();
        POLLED.set(Some(Instant::now()));
        let acquired = acquire.as_mut().poll(context);
        POLLED.set(None);
        acquired.map(|acquired| (acquired, FOUND.take()))
    })
    .await
}
