//! MySQL and MariaDB.
//!
//! | [`Class`] | error number ([MySQL](https://dev.mysql.com/doc/mysql-errors/8.4/en/), [MariaDB](https://mariadb.com/docs/server/reference/error-codes)) |
//! |---|---|
//! | `Starved` | 1040 (no slot is free: a fault unless others got a connection) |
//! | `Fault` | 1047 1053 1129 1158 1159 1160 1161 1927 2006 2013 4031 |
//! | `FaultAndClose` | 1836, and 1290 with `read-only` (the server is read-only) |
//! | `Slow` | 3024, MariaDB 1969 (maximum statement time) |
//! | `Neutral` | 1317 1205 1213 1044 1045 |
//! | `Answered` | all others |
//!
//! An `Error::Protocol` that the driver found by itself, for a wrong number of arguments, is `Neutral`: a mistake of the
//! application is no fault of the database.

use sqlx::mysql::{MySql, MySqlConnectOptions, MySqlConnection, MySqlDatabaseError, MySqlRow};
use sqlx::{Connection, Decode, Error, Row};

use super::driver::{ALLOCATION, Driver, Sealed};
use super::error;
use crate::reads::{self, Dialect, NotARead};
use crate::verdict::Class;

/// A guarded MySQL or MariaDB pool.
pub type MySqlPool = super::Pool<MySql>;
/// Configures a guarded MySQL or MariaDB pool.
pub type MySqlPoolOptions = super::PoolOptions<MySql>;
/// A guarded MySQL or MariaDB transaction.
pub type MySqlTransaction<'c> = super::Transaction<'c, MySql>;

impl Sealed for MySql {}

impl Driver for MySql {
    fn classify(error: &Error) -> Class {
        // Too few or too many of them; the server has prepared the statement, and nothing was run.
        if matches!(error, Error::Protocol(said) if said.contains("parameters were provided")) {
            return Class::Neutral;
        }
        error::classify(error, |error| {
            match error.try_downcast_ref::<MySqlDatabaseError>() {
                Some(error) => number(error.number(), error.message()),
                None => Class::Answered,
            }
        })
    }

    async fn ask(connection: &mut MySqlConnection) -> Result<(), Error> {
        connection.ping().await
    }

    fn name(options: &MySqlConnectOptions) -> String {
        let database = options.get_database().unwrap_or_default();
        format!("{}:{}/{database}", options.get_host(), options.get_port())
    }

    fn check_read(sql: &str) -> Result<(), NotARead> {
        reads::check(sql, Dialect::MySql)
    }

    fn row_bytes(row: &MySqlRow) -> usize {
        let values = (0..row.len()).filter_map(|column| row.try_get_raw(column).ok());
        // Some bytes of numbers are counted, too, rather than too few of text.
        let bytes = |value| <&[u8] as Decode<MySql>>::decode(value).map_or(0, <[u8]>::len);
        values.map(|value| ALLOCATION + bytes(value)).sum()
    }
}

fn number(number: u16, message: &str) -> Class {
    match number {
        1040 => Class::Starved,
        1047 | 1053 | 1129 | 1158..=1161 | 1927 | 2006 | 2013 | 4031 => Class::Fault,
        1836 => Class::FaultAndClose,
        // The server runs with some option; others, such as --secure-file-priv, are no fault.
        1290 if message.contains("read-only") => Class::FaultAndClose,
        1969 | 3024 => Class::Slow,
        1044 | 1045 | 1205 | 1213 | 1317 => Class::Neutral,
        _ => Class::Answered,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ_ONLY: &str = "The MariaDB server is running with the --read-only option so it cannot \
                             execute this statement";

    #[test]
    fn another_option_of_the_server_is_no_fault() {
        let message = "The MySQL server is running with the --secure-file-priv option so it cannot \
                       execute this statement";
        assert_eq!(number(1290, message), Class::Answered);
    }

    #[test]
    fn the_table_is_complete() {
        let of = |class: Class| -> Vec<u16> {
            (0..=u16::MAX)
                .filter(|&code| number(code, READ_ONLY) == class)
                .collect()
        };
        assert_eq!(
            of(Class::Fault),
            [
                1047, 1053, 1129, 1158, 1159, 1160, 1161, 1927, 2006, 2013, 4031
            ]
        );
        assert_eq!(of(Class::FaultAndClose), [1290, 1836]);
        assert_eq!(of(Class::Slow), [1969, 3024]);
        assert_eq!(of(Class::Neutral), [1044, 1045, 1205, 1213, 1317]);
        assert_eq!(of(Class::Starved), [1040]);
    }
}
