//! The module of this name of diesel-async, with guarded connections.

pub use super::postgres::AsyncPgConnection;
pub use super::transaction_builder::TransactionBuilder;
