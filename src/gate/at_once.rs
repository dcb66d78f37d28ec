//! Futures that may need no waiting.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

/// What `future` comes to without waiting. `None` if it has to wait; it has begun then.
pub(crate) async fn at_once<T>(mut future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}
