//! The interface between a pool and its cache.

use std::any::Any;
use std::sync::Arc;

use super::adapter::Adapter;
use super::read_error::ReadError;
use super::shared::Shared;
use crate::breaker::verdict::Class;
use crate::cache::answers::Answers;
use crate::cache::origin::{Origin, unanswered_by_class};
use crate::cache::task::Task;
use crate::gate::Gate;
use crate::outcome::error::Refused;
use crate::outcome::served::Unanswered;

impl<A> Origin for Shared<A>
where
    A: Adapter<Error: Sync, StatementError: Sync>,
{
    type Error = ReadError<A::Error, A::StatementError>;

    fn gate(&self) -> &Gate {
        &self.gate
    }

    fn cache(&self) -> &Arc<Answers> {
        self.answers()
    }

    fn unanswered(&self, error: &Self::Error) -> Option<Unanswered> {
        let class = match error {
            ReadError::Refused(Refused::Saturated { .. }) => return Some(Unanswered::Saturated),
            ReadError::Refused(Refused::Circuit { .. }) => return Some(Unanswered::Open),
            ReadError::Deadline(_) => return Some(Unanswered::Deadline),
            ReadError::Lost => return Some(Unanswered::Lost),
            ReadError::Lease(_) if self.adapter.is_closed() => return Some(Unanswered::Closed),
            ReadError::Statement(error) if self.adapter.tells_closed(error) => {
                return Some(Unanswered::Closed);
            }
            ReadError::Lease(error) => match self.adapter.classify(error) {
                // Without a connection, the backend has not answered the read.
                Class::Success => Class::Denied,
                class => class,
            },
            ReadError::Statement(error) => self.adapter.classify_statement(error),
            _ => return None,
        };
        unanswered_by_class(&self.gate, class)
    }

    fn lost() -> Self::Error {
        ReadError::Lost
    }

    fn attend(&self) -> Arc<dyn Any + Send + Sync> {
        self.background.users()
    }

    fn spawn(&self, task: Task) {
        self.background.spawn_call(task);
    }
}
