//! Polls a future once.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

/// The output of `future` if it is ready at the first poll. `None` if it is pending: it has started
/// then.
pub(crate) async fn at_once<T>(mut future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}
