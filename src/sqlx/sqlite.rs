//! SQLite.
//!
//! | [`Class`] | primary result code ([list](https://sqlite.org/rescode.html)), the extended code & 0xff |
//! |---|---|
//! | `Failure` | 7 NOMEM, 10 IOERR, 11 CORRUPT, 13 FULL, 14 CANTOPEN, 15 PROTOCOL, 26 NOTADB |
//! | `FailureAndClose` | extended 1032 READONLY_DBMOVED: the file was replaced, and this connection still has the old one |
//! | `Slow` | 5 BUSY, 6 LOCKED |
//! | `Ignored` | 9 INTERRUPT, 17 SCHEMA, extended 517 BUSY_SNAPSHOT: the transaction must be run again |
//! | `Denied` | 3 PERM |
//! | `Success` | all others: 8 READONLY is an answer, because a file is opened read-only on purpose |
//!
//! `ping` of sqlx's SQLite driver reaches only the driver's worker thread. A probe reads the schema
//! instead, so that a lock on the database file blocks the probe as it blocks other statements.
//!
//! The driver itself reports an `Error::Protocol` before it runs a statement, for example for a
//! zero byte in the text. This is `Ignored`: a mistake of the application is no failure of the
//! database.

use std::future::ready;

use sqlx::sqlite::{Sqlite, SqliteConnectOptions, SqliteConnection, SqliteRow, SqliteValueRef};
use sqlx::{Decode, Error, Row, TypeInfo, ValueRef};

use futures_core::future::BoxFuture;

use super::driver::{ALLOCATION, Driver, Sealed};
use super::error;
use crate::breaker::verdict::Class;
use crate::cache::not_a_read::NotARead;
use crate::cache::read_only::{self, Dialect};
use crate::pool::session::System;

/// A guarded SQLite pool.
pub type SqlitePool = super::Pool<Sqlite>;
/// Configures a guarded SQLite pool.
pub type SqlitePoolOptions = super::PoolOptions<Sqlite>;
/// A guarded SQLite transaction.
pub type SqliteTransaction<'c> = super::Transaction<'c, Sqlite>;

impl Sealed for Sqlite {}

impl Driver for Sqlite {
    const SYSTEM: Option<System> = None;
    const PING: &'static str = "SELECT 1 FROM sqlite_schema LIMIT 1"; // reads the file

    fn classify(error: &Error) -> Class {
        // SQLite has no wire protocol: the driver rejected the text of the statement.
        if matches!(error, Error::Protocol(_)) {
            return Class::Ignored;
        }
        error::classify(error, |error| {
            let code = error.code().and_then(|code| code.parse::<u32>().ok());
            code.map_or(Class::Success, result_code)
        })
    }

    fn question(_: &mut SqliteConnection, _: String) -> BoxFuture<'_, Option<String>> {
        Box::pin(ready(None))
    }

    fn name(options: &SqliteConnectOptions) -> String {
        options.get_filename().display().to_string()
    }

    fn check_read(sql: &str) -> Result<(), NotARead> {
        read_only::check(sql, Dialect::Sqlite)
    }

    fn row_bytes(row: &SqliteRow) -> usize {
        let values = (0..row.len()).filter_map(|column| row.try_get_raw(column).ok());
        let bytes = |value: SqliteValueRef<'_>| match value.type_info().name() {
            // Decodes to a copy: after decoding to a borrowed value, sqlx refuses to decode the
            // value as another type.
            "TEXT" | "BLOB" => <Vec<u8> as Decode<Sqlite>>::decode(value).map_or(0, |v| v.len()),
            _ => 0,
        };
        values.map(|value| ALLOCATION + bytes(value)).sum()
    }
}

fn result_code(extended: u32) -> Class {
    match (extended, extended & 0xff) {
        (1032, _) => Class::FailureAndClose,
        (517, _) | (_, 9 | 17) => Class::Ignored,
        (_, 7 | 10 | 11 | 13 | 14 | 15 | 26) => Class::Failure,
        (_, 5 | 6) => Class::Slow,
        (_, 3) => Class::Denied,
        _ => Class::Success,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_complete() {
        let of = |class: Class| -> Vec<u32> {
            (0..=0xff)
                .filter(|&code| result_code(code) == class)
                .collect()
        };
        assert_eq!(of(Class::Failure), [7, 10, 11, 13, 14, 15, 26]);
        assert_eq!(of(Class::Slow), [5, 6]);
        assert_eq!(of(Class::Ignored), [9, 17]);
        assert_eq!(of(Class::Denied), [3]);
        assert_eq!(of(Class::Success).len(), 256 - 12);
        assert_eq!(result_code(1032), Class::FailureAndClose);
        assert_eq!(result_code(517), Class::Ignored);
    }

    #[test]
    fn an_extended_code_has_the_class_of_its_primary_code() {
        for extended in (0..=0xff00).step_by(0x100) {
            for primary in 0..=0xff {
                let code = extended | primary;
                if ![517, 1032].contains(&code) {
                    assert_eq!(result_code(code), result_code(primary), "{code}");
                }
            }
        }
    }
}
