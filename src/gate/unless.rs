//! Waits for a future, unless another one ends before.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

/// The output of `wait`. `None` if `stop` ends and `wait` has not ended.
pub(crate) async fn unless<T>(
    stop: impl Future<Output = ()>,
    wait: impl Future<Output = T>,
) -> Option<T> {
    let (mut stop, mut wait) = (pin!(stop), pin!(wait));
    poll_fn(|context| match wait.as_mut().poll(context) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => stop.as_mut().poll(context).map(|()| None),
    })
    .await
}
