//! Asks the backend before a stall opens the breaker.
//!
//! Calls that are pending while none succeeds are not always a backend that hangs: long reports, a
//! locked table, or hedged reads whose callers leave after a few milliseconds look the same from
//! here. So shortly before the stall rule would hold, the backend is asked on a connection of its own.
//! If it answers, the calls have more time: five times as long as a silent backend would have. No
//! more, because a server whose disk hangs may still answer a ping.

use std::sync::Arc;

use tokio::time::timeout;

use crate::gate::Gate;
use crate::pool::adapter::Adapter;
use crate::pool::target::Target;

/// Pings on an idle connection of the pool, or else on a new one, and records an answer.
///
/// Cancellation: may be dropped at any await.
pub(crate) async fn ask<A: Adapter>(gate: Arc<Gate>, target: Target<A>) {
    let Some(_asking) = gate.reserve_asking() else {
        return;
    };
    // The database has twice the time that remains until the stall would open the breaker, and at least
    // half of a caller's wait for a connection.
    let (stall, wait) = (
        2 * gate.breaker().time_to_answer(),
        gate.limits().acquire_timeout / 2,
    );
    let limit = stall.max(wait);
    if timeout(limit, answers(&target)).await.unwrap_or(false) {
        gate.breaker().is_alive();
    }
}

async fn answers<A: Adapter>(target: &Target<A>) -> bool {
    if let Some(mut idle) = target.borrow().await {
        return target.ping(&mut idle).await.is_ok();
    }
    let Ok(mut connection) = target.connect().await else {
        return false;
    };
    let answers = target.ping(&mut connection).await.is_ok();
    if answers {
        connection.close().await;
    }
    answers
}
