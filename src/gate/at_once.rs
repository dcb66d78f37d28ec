//! Polls a future once, or for a short time.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use tokio::task::unconstrained;
use tokio::time::{Instant, sleep_until};

/// The output of `future` if it is ready at the first poll. `None` if it is pending: it has started
/// then.
pub(crate) async fn at_once<T>(mut future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// The output of `future` if it is ready within `limit` after its first poll. Otherwise the time of that
/// poll, since which it waits. A future that is ready at the first poll costs neither a timer nor a
/// reading of the clock.
pub(crate) async fn within<T>(
    limit: Duration,
    mut future: Pin<&mut impl Future<Output = T>>,
) -> Result<T, Instant> {
    let mut since = None;
    let mut timer = pin!(None);
    poll_fn(|context| {
        if let Poll::Ready(value) = future.as_mut().poll(context) {
            return Poll::Ready(Ok(value));
        }
        let since = *since.get_or_insert_with(Instant::now);
        if timer.is_none() {
            // The time is over for a future, too, that always exhausts the cooperative budget.
            timer.set(Some(unconstrained(sleep_until(since + limit))));
        }
        match timer.as_mut().as_pin_mut() {
            Some(timer) => timer.poll(context).map(|()| Err(since)),
            None => Poll::Pending,
        }
    })
    .await
}
