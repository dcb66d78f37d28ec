//! SQLite.
//!
//! | [`Class`] | primary result code ([list](https://sqlite.org/rescode.html)), the extended code & 0xff |
//! |---|---|
//! | `Fault` | 10 IOERR, 11 CORRUPT, 13 FULL, 14 CANTOPEN, 26 NOTADB |
//! | `Slow` | 5 BUSY, 6 LOCKED |
//! | `Answered` | all others |
//!
//! A ping of sqlx's SQLite driver asks only its own worker thread; a probe here reads the schema,
//! so that it meets the lock on the file that the calls meet.

use sqlx::sqlite::{Sqlite, SqliteConnectOptions, SqliteConnection};
use sqlx::{Error, Executor};

use super::driver::Driver;
use super::error;
use crate::verdict::Class;

/// A guarded SQLite pool.
pub type SqlitePool = super::Pool<Sqlite>;
/// Configures a guarded SQLite pool.
pub type SqlitePoolOptions = super::PoolOptions<Sqlite>;
/// A guarded SQLite transaction.
pub type SqliteTransaction<'c> = super::Transaction<'c, Sqlite>;

impl Driver for Sqlite {
    fn classify(error: &Error) -> Class {
        error::classify(error, |error| {
            let code = error.code().and_then(|code| code.parse::<u32>().ok());
            code.map_or(Class::Answered, result_code)
        })
    }

    async fn ask(connection: &mut SqliteConnection) -> Result<(), Error> {
        connection
            .execute("SELECT 1 FROM sqlite_schema LIMIT 1")
            .await?;
        Ok(())
    }

    fn name(options: &SqliteConnectOptions) -> String {
        options.get_filename().display().to_string()
    }
}

fn result_code(extended: u32) -> Class {
    match extended & 0xff {
        10 | 11 | 13 | 14 | 26 => Class::Fault,
        5 | 6 => Class::Slow,
        _ => Class::Answered,
    }
}
