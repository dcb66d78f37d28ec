//! The signals that stop the service.

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};

/// Ends when the service is to stop. Clones end together.
pub(crate) type Stop = Shared<BoxFuture<'static, ()>>;

/// Ends as this future does.
pub(crate) fn shared(stop: impl Future<Output = ()> + Send + 'static) -> Stop {
    stop.boxed().shared()
}

/// Ends at Ctrl-C or SIGTERM.
pub(crate) async fn stop() {
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    };
    tokio::select! {
        () = interrupted => {}
        () = terminated() => {}
    }
}

#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};

    match signal(SignalKind::terminate()) {
        Ok(mut signal) => drop(signal.recv().await),
        Err(_) => std::future::pending().await,
    }
}

#[cfg(not(unix))]
async fn terminated() {
    std::future::pending().await
}
