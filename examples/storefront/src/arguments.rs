//! The command line of the example.

use std::path::PathBuf;

use super::Outcome;

const USAGE: &str = "usage: storefront [--port PORT] [postgres://...]\n       storefront lock FILE";

/// The command line.
pub(crate) struct Arguments {
    /// 0 is any free port.
    pub(crate) port: u16,
    pub(crate) database: Database,
}

pub(crate) enum Database {
    /// A new SQLite file.
    Own,
    /// The URL of a running PostgreSQL server.
    Postgres(String),
    /// No shop: locks the file of one.
    Lock(PathBuf),
}

impl Arguments {
    pub(crate) fn parse(mut given: impl Iterator<Item = String>) -> Outcome<Self> {
        let mut arguments = Self {
            port: 3000,
            database: Database::Own,
        };
        while let Some(argument) = given.next() {
            match argument.as_str() {
                "--port" => arguments.port = given.next().ok_or(USAGE)?.parse()?,
                "lock" => arguments.database = Database::Lock(given.next().ok_or(USAGE)?.into()),
                url if url.starts_with("postgres") => {
                    arguments.database = Database::Postgres(argument);
                }
                _ => return Err(USAGE.into()),
            }
        }
        Ok(arguments)
    }
}
