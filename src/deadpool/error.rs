//! What goes wrong when an object is asked for, or a pool is built.

use std::error::Error;
use std::fmt;

use deadpool::managed::{self, HookError, TimeoutType};

use crate::breaker::config::ConfigError;
use crate::outcome::error::{GateError, Refused};

/// Why there is no object: deadpool's `PoolError` under the same name and with the same variants, and
/// [`Refused`](Self::Refused).
///
/// [`fusepool::refusal`](crate::refusal) finds the refusal in it, and in whatever an application
/// makes of it. Nothing was sent to the backend in any case, but for what creating an object sends.
#[derive(Debug)]
#[non_exhaustive]
pub enum PoolError<E> {
    /// Refused at once: the breaker is open, or too many callers wait.
    Refused(Refused),
    /// There was no object in time. [`TimeoutType::Wait`] is also what the pool's `acquire_timeout`
    /// ends with, whatever it interrupts; but with a time to wait of deadpool's it is the time to create
    /// an object, and ends with [`TimeoutType::Create`].
    Timeout(TimeoutType),
    /// The manager failed to create an object, or to have it answer for a probe.
    Backend(E),
    /// The pool was closed.
    Closed,
    /// A timeout was asked of a pool that deadpool built without a runtime.
    NoRuntimeSpecified,
    /// A `post_create` hook failed.
    PostCreateHook(HookError<E>),
}

impl<E> From<E> for PoolError<E> {
    fn from(error: E) -> Self {
        Self::Backend(error)
    }
}

impl<E> PoolError<E> {
    pub(super) fn from_raw(error: managed::PoolError<E>) -> Self {
        match error {
            managed::PoolError::Timeout(timeout) => Self::Timeout(timeout),
            managed::PoolError::Backend(error) => Self::Backend(error),
            managed::PoolError::Closed => Self::Closed,
            managed::PoolError::NoRuntimeSpecified => Self::NoRuntimeSpecified,
            managed::PoolError::PostCreateHook(error) => Self::PostCreateHook(error),
        }
    }

    pub(super) fn from_gate(error: GateError<managed::PoolError<E>>) -> Self {
        match error {
            GateError::Refused(rejected) => Self::Refused(rejected),
            GateError::Deadline(_) => Self::Timeout(TimeoutType::Wait),
            GateError::Failed(error) => Self::from_raw(error),
        }
    }
}

impl<E: fmt::Display> fmt::Display for PoolError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(rejected) => rejected.fmt(f),
            Self::Timeout(TimeoutType::Wait) => f.write_str(
                "no object was to be had in time: all are in use, or the backend does not answer",
            ),
            Self::Timeout(TimeoutType::Create) => f.write_str("no object was created in time"),
            Self::Timeout(TimeoutType::Recycle) => f.write_str("no object was recycled in time"),
            Self::Backend(error) => write!(f, "no object could be created: {error}"),
            Self::Closed => f.write_str("the pool was closed"),
            Self::NoRuntimeSpecified => {
                f.write_str("a timeout of deadpool's is set, but no `runtime`")
            }
            Self::PostCreateHook(error) => write!(f, "a `post_create` hook failed: {error}"),
        }
    }
}

impl<E: Error + 'static> Error for PoolError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Refused(rejected) => Some(rejected),
            Self::Backend(error) => Some(error),
            Self::PostCreateHook(error) => Some(error),
            Self::Timeout(_) | Self::Closed | Self::NoRuntimeSpecified => None,
        }
    }
}

/// Why a pool could not be built: deadpool's `BuildError` under the same name, and what fusepool
/// checks.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// deadpool wants a runtime for its timeouts. Ours always has one.
    #[error("a timeout of deadpool's is set, but no `runtime`")]
    NoRuntimeSpecified,
    /// A setting of the guard breaks a rule.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl From<managed::BuildError> for BuildError {
    fn from(error: managed::BuildError) -> Self {
        match error {
            managed::BuildError::NoRuntimeSpecified => Self::NoRuntimeSpecified,
        }
    }
}

/// Why a pool could not be made from a configuration: deadpool's `CreatePoolError` under the same
/// name.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreatePoolError<C> {
    /// The configuration itself is at failure.
    #[error("the configuration is wrong: {0}")]
    Config(C),
    /// The pool could not be built from it.
    #[error(transparent)]
    Build(#[from] BuildError),
}
