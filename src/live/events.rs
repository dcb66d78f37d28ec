//! The stream of what the page shows.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::Live;

/// How often the stream looks for a change of a state.
const LOOK: Duration = Duration::from_millis(100);

/// The longest time between two events.
const REFRESH: Duration = Duration::from_secs(1);

/// The time after which the stream ends.
const END: Duration = Duration::from_secs(60);

/// Server-sent events, from [`Live::events`]. It never fails: the `Result` is what web frameworks expect
/// of a body.
pub struct Events {
    live: Live,
    looks: Interval,
    ends: Instant,
    /// The time of the next event, if no state changes before.
    next: Instant,
    version: u64,
}

impl Events {
    pub(super) fn new(live: Live) -> Self {
        let now = Instant::now();
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            live,
            looks,
            ends: now + END,
            next: now,
            version: 0,
        }
    }
}

impl Stream for Events {
    type Item = Result<String, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let now = ready!(self.looks.poll_tick(cx));
            if now >= self.ends {
                return Poll::Ready(None);
            }
            let version = self.live.version();
            if version != self.version || now >= self.next {
                self.version = version;
                self.next = now + REFRESH;
                let json = self.live.json();
                return Poll::Ready(Some(Ok(format!("retry: 250\ndata: {json}\n\n"))));
            }
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}
