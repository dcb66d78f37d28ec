//! Asks the backend before a stall opens the breaker.
//!
//! Calls that are pending while none succeeds are not always a backend that hangs: long reports, a
//! locked table, or hedged reads whose callers leave after a few milliseconds look the same from
//! here. So shortly before the stall rule would hold, the backend is asked on a connection of its own.
//! If it answers, the calls have more time: five times as long as a silent backend would have. No
//! more, because a server whose disk hangs may still answer a ping.

use std::sync::Arc;

use tokio::time::timeout;

use crate::breaker::verdict::Class;
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
    let limit = gate.breaker().time_to_answer();
    if timeout(limit, answers(&target)).await.unwrap_or(false) {
        gate.breaker().is_alive();
    }
}

async fn answers<A: Adapter>(target: &Target<A>) -> bool {
    let is_answer = |result: Result<(), A::Error>| match result {
        Ok(()) => true,
        // A server that has no slot left, or refuses the login, is not one that hangs.
        Err(error) => !matches!(
            target.adapter.classify(&error),
            Class::Failure | Class::FailureAndClose
        ),
    };
    if let Some(mut idle) = target.borrow().await {
        return is_answer(idle.ping().await);
    }
    match target.connect().await {
        Ok(mut connection) => {
            let answers = is_answer(connection.ping().await);
            if answers {
                connection.close().await;
            }
            answers
        }
        Err(error) => is_answer(Err(error)),
    }
}
