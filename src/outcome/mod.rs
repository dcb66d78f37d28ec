//! The outcome of a guarded call: a value with its source, or an error.

pub(crate) mod code;
#[cfg(any(feature = "sqlx", feature = "deadpool-postgres", feature = "diesel"))]
pub(crate) mod delivery;
#[cfg(any(feature = "sqlx-mysql", feature = "diesel-mysql"))]
pub(crate) mod errno;
pub(crate) mod error;
pub(crate) mod served;
#[cfg(any(
    feature = "sqlx-postgres",
    feature = "deadpool-postgres",
    feature = "diesel-postgres"
))]
pub(crate) mod sqlstate;
