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
//!
//! An `Error::Protocol` that the driver found by itself, for more arguments than a statement can have, is `Neutral`: a mistake of the
//! application is no fault of the database.

use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow, PgValueRef, Postgres};
use sqlx::{Connection, Error, Row};

use super::driver::{ALLOCATION, Driver, Sealed};
use super::error;
use crate::reads::{self, Dialect, NotARead};
use crate::verdict::Class;

/// A guarded PostgreSQL pool.
pub type PgPool = super::Pool<Postgres>;
/// Configures a guarded PostgreSQL pool.
pub type PgPoolOptions = super::PoolOptions<Postgres>;
/// A guarded PostgreSQL transaction.
pub type PgTransaction<'c> = super::Transaction<'c, Postgres>;

impl Sealed for Postgres {}

impl Driver for Postgres {
    fn classify(error: &Error) -> Class {
        // More than 65,535 of them; found before anything is sent.
        if matches!(error, Error::Protocol(said) if said.contains("too many arguments for query")) {
            return Class::Neutral;
        }
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

    fn check_read(sql: &str) -> Result<(), NotARead> {
        reads::check(sql, Dialect::Postgres)
    }

    fn row_bytes(row: &PgRow) -> usize {
        let values = (0..row.len()).filter_map(|column| row.try_get_raw(column).ok());
        // Some bytes of numbers are counted, too, rather than too few of text.
        let bytes = |value: PgValueRef<'_>| value.as_bytes().map_or(0, <[u8]>::len);
        values.map(|value| ALLOCATION + bytes(value)).sum()
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Every code that a rule of the table could name: all classes, and all codes of the classes
    /// from which single ones are picked.
    #[test]
    fn the_table_is_complete() {
        let mut found = [const { Vec::new() }; 5];
        let digits = || (b'0'..=b'9').chain(b'A'..=b'Z').map(char::from);
        for class in digits().flat_map(|a| digits().map(move |b| format!("{a}{b}"))) {
            for code in codes_of(&class) {
                let place = match sqlstate(&code, "canceling statement due to user request") {
                    Class::Fault => 0,
                    Class::FaultAndClose => 1,
                    Class::Neutral => 2,
                    Class::Starved => 3,
                    Class::Answered => continue,
                    Class::Slow => panic!("{code}"),
                };
                found[place].push(code);
            }
        }
        let timed_out = sqlstate("57014", "canceling statement due to statement timeout");
        found[4].push(format!("{timed_out:?}"));
        assert_eq!(
            found.map(|codes| codes.join(" ")),
            [
                "08000 53000 53100 53200 53400 57P01 57P02 57P03 57P05 58000 XX000 XX001 XX002",
                "25006",
                "28000 40001 40P01 55P03 57014",
                "53300",
                "Slow",
            ]
        );
    }

    fn codes_of(class: &str) -> Vec<String> {
        if class == "53" {
            return ["53000", "53100", "53200", "53300", "53400"]
                .map(str::to_owned)
                .to_vec();
        }
        if !["25", "40", "55", "57", "XX"].contains(&class) {
            return vec![format!("{class}000")];
        }
        let digits = || (b'0'..=b'9').chain(b'A'..=b'Z').map(char::from);
        let pairs = || digits().flat_map(|a| digits().map(move |b| (a, b)));
        pairs()
            .flat_map(|(a, b)| digits().map(move |c| (a, b, c)))
            .map(|(a, b, c)| format!("{class}{a}{b}{c}"))
            .collect()
    }

    #[test]
    fn an_unknown_code_is_an_answer() {
        for code in ["", "4", "é123", "99999"] {
            assert_eq!(sqlstate(code, ""), Class::Answered, "{code}");
        }
    }
}
