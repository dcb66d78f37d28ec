//! Errors of leasing an object and of building a pool.

use std::error::Error;
use std::fmt;

use deadpool::managed::{self, HookError, TimeoutType};

use crate::breaker::config::ConfigError;
use crate::outcome::error::{GateError, Refused};

/// Why no object was leased: deadpool's `PoolError` with the same variants, and
/// [`Refused`](Self::Refused).
///
/// [`fusepool::refusal`](crate::refusal) finds the refusal in it, also behind an application's own
/// error types. No statement was sent to the backend; only creating an object may have sent
/// something.
///
/// ```
/// use fusepool::deadpool::PoolError;
///
/// fn status<E>(error: &PoolError<E>) -> u16 {
///     match error {
///         PoolError::Refused(_) | PoolError::Timeout(_) => 503,
///         _ => 500,
///     }
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum PoolError<E> {
    /// The call was refused at once: the breaker is open, or too many callers wait.
    Refused(Refused),
    /// There was no object in time. When the pool's `acquire_timeout` ends, this is
    /// [`TimeoutType::Wait`], whatever it interrupts. If a `wait_timeout` is set, `acquire_timeout`
    /// is the time to create an object and ends with [`TimeoutType::Create`].
    Timeout(TimeoutType),
    /// The manager failed to create an object, or a probe got no answer from it.
    Backend(E),
    /// The pool was closed.
    Closed,
    /// A timeout is set, but deadpool built the pool without a runtime.
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
                "timed out waiting for an object: all are in use, or the backend does not answer",
            ),
            Self::Timeout(TimeoutType::Create) => f.write_str("timed out creating an object"),
            Self::Timeout(TimeoutType::Recycle) => f.write_str("timed out recycling an object"),
            Self::Backend(error) => write!(f, "failed to create an object: {error}"),
            Self::Closed => f.write_str("the pool was closed"),
            Self::NoRuntimeSpecified => {
                f.write_str("a deadpool timeout is set, but the pool has no `runtime`")
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

/// Why a pool could not be built: deadpool's `BuildError`, and [`Config`](Self::Config).
///
/// ```
/// use fusepool::deadpool::BuildError;
///
/// fn report(error: &BuildError) -> String {
///     match error {
///         BuildError::Config(config) => format!("set `{}` to another value", config.field()),
///         other => other.to_string(),
///     }
/// }
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A deadpool timeout is set, but no runtime. fusepool's builder always sets a runtime.
    #[error("a deadpool timeout is set, but the pool has no `runtime`")]
    NoRuntimeSpecified,
    /// A setting of fusepool breaks a rule.
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

/// Why a pool could not be created from a configuration: deadpool's `CreatePoolError`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreatePoolError<C> {
    /// The configuration is invalid.
    #[error("the configuration is invalid: {0}")]
    Config(C),
    /// The pool could not be built from the configuration.
    #[error(transparent)]
    Build(#[from] BuildError),
}
