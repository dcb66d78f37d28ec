//! The pool, as its cache sees it.

use std::sync::Arc;

use deadpool::managed::TimeoutType;

use super::manager::Manager;
use super::read_error::ReadError;
use crate::breaker::verdict::Class;
use crate::cache::read_through::{Origin, ReadThrough, Task, unanswered_by_class};
use crate::deadpool::adapter::Managed;
use crate::deadpool::error::PoolError;
use crate::gate::Gate;
use crate::outcome::error::{DeadlineExceeded, Refused};
use crate::outcome::served::Unanswered;
use crate::pool::adapter::Adapter;
use crate::pool::shared::Shared;

impl Origin for Shared<Managed<Manager>> {
    type Error = ReadError;

    fn gate(&self) -> &Gate {
        &self.gate
    }

    fn cache(&self) -> &Arc<ReadThrough<ReadError>> {
        self.adapter.raw.manager().cache()
    }

    fn refused(rejected: Refused) -> ReadError {
        rejected.into()
    }

    fn missed(deadline: DeadlineExceeded) -> ReadError {
        deadline.into()
    }

    fn unanswered(&self, error: &ReadError) -> Option<Unanswered> {
        let class = match error {
            ReadError::Refused(Refused::Saturated { .. }) => return Some(Unanswered::Saturated),
            ReadError::Refused(Refused::Circuit { .. }) => return Some(Unanswered::Open),
            ReadError::Deadline(_) => return Some(Unanswered::Deadline),
            ReadError::Statement(error) => self.adapter.classify_statement(error),
            ReadError::Pool(error) => match &**error {
                PoolError::Backend(error) => self.adapter.classify_statement(error),
                PoolError::Timeout(TimeoutType::Wait) => Class::Starved,
                PoolError::Timeout(_) | PoolError::PostCreateHook(_) => Class::Failure,
                _ => return None,
            },
            _ => return None,
        };
        unanswered_by_class(&self.gate, class)
    }

    fn lost(&self) -> ReadError {
        ReadError::Lost
    }

    fn spawn(&self, task: Task) {
        self.background.spawn(task);
    }
}
