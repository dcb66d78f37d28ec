//! PostgreSQL.
//!
//! | [`Class`] | SQLSTATE ([appendix A](https://www.postgresql.org/docs/current/errcodes-appendix.html)) |
//! |---|---|
//! | `Starved` | 53300 (no slot is free: a fault unless others got a connection) |
//! | `Fault` | 08\*, other 53\*, 57P01, 57P02, 57P03, 57P05, 58\*, XX000, XX001, XX002 |
//! | `FaultAndClose` | 25006 (read-only transaction: a primary that became a standby) |
//! | `Slow` | 57014 by statement timeout |
//! | `Neutral` | 57014 otherwise, 40001, 40P01, 55P03, 28\* |
//! | `Answered` | all others |
//!
//! A server reports both kinds of 57014 with one code; they differ in their message, and where
//! `lc_messages` is not English a statement timeout is taken for a cancel, which is neutral.

use sqlx::postgres::{PgConnectOptions, PgConnection, Postgres};
use sqlx::{Connection, Error};

use super::driver::Driver;
use super::error;
use crate::verdict::Class;

/// A guarded PostgreSQL pool.
pub type PgPool = super::Pool<Postgres>;
/// Configures a guarded PostgreSQL pool.
pub type PgPoolOptions = super::PoolOptions<Postgres>;
/// A guarded PostgreSQL transaction.
pub type PgTransaction<'c> = super::Transaction<'c, Postgres>;

impl Driver for Postgres {
    fn classify(error: &Error) -> Class {
        error::classify(error, |error| {
            let code = error.code();
            sqlstate(code.as_deref().unwrap_or_default(), error.message())
        })
    }

    async fn ask(connection: &mut PgConnection) -> Result<(), Error> {
        connection.ping().await
    }

    fn name(options: &PgConnectOptions) -> String {
        let database = options.get_database().unwrap_or(options.get_username());
        format!("{}:{}/{database}", options.get_host(), options.get_port())
    }
}

fn sqlstate(code: &str, message: &str) -> Class {
    match code {
        "53300" => Class::Starved,
        "25006" => Class::FaultAndClose,
        "57014" if message.contains("statement timeout") => Class::Slow,
        "57014" | "40001" | "40P01" | "55P03" => Class::Neutral,
        "57P01" | "57P02" | "57P03" | "57P05" | "XX000" | "XX001" | "XX002" => Class::Fault,
        _ => match code.get(..2) {
            Some("08" | "53" | "58") => Class::Fault,
            Some("28") => Class::Neutral,
            _ => Class::Answered,
        },
    }
}
