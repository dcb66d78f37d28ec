//! The command line of the example.

use super::Outcome;

const USAGE: &str = "usage: storefront [--port PORT] [postgres://...]";

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
                url if url.starts_with("postgres") => {
                    arguments.database = Database::Postgres(argument);
                }
                _ => return Err(USAGE.into()),
            }
        }
        Ok(arguments)
    }
}
