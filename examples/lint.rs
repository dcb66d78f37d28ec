//! Warns about the settings of a pool before they are deployed.
//!
//! ```sh
//! cargo run --example lint --all-features -- --config pool.toml --replicas 8 --deadline 10 --rate 20 $DATABASE_URL
//! ```
//!
//! It prints a line for each warning, and fails if there is one. With a URL of PostgreSQL, MySQL or MariaDB,
//! it also asks the server.

use std::error::Error;
use std::fs::read_to_string;
use std::process::ExitCode;
use std::time::Duration;

use fusepool::GuardConfig;
use fusepool::lint::{Load, Warning};
use fusepool::sqlx::{Driver, PoolOptions};

const HELP: &str = "\
lint [options] [URL]

    --config FILE   the settings of the pool, in TOML
    --size N        the largest number of connections of the pool; default: 10
    --replicas N    the largest number of instances of the service
    --deadline S    the seconds after which the client of a request gives up
    --rate R        the statements of one instance in a second
";

/// The arguments of the command.
struct Arguments {
    config: GuardConfig,
    size: u32,
    load: Load,
    url: Option<String>,
}

impl Arguments {
    fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let mut parsed = Self {
            config: GuardConfig::default(),
            size: 10,
            load: Load::default(),
            url: None,
        };
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(HELP);
            let load = parsed.load;
            match &*argument {
                "--config" => parsed.config = toml::from_str(&read_to_string(value()?)?)?,
                "--size" => parsed.size = value()?.parse()?,
                "--replicas" => parsed.load = load.replicas(value()?.parse()?),
                "--deadline" => {
                    let deadline = Duration::try_from_secs_f64(value()?.parse()?)?;
                    parsed.load = load.request_deadline(deadline);
                }
                "--rate" => parsed.load = load.calls_per_second(value()?.parse()?),
                option if option.starts_with('-') => return Err(HELP.into()),
                _ => parsed.url = Some(argument),
            }
        }
        Ok(parsed)
    }

    async fn lint(&self) -> Result<Vec<Warning>, Box<dyn Error>> {
        match &self.url {
            None => Ok(self.config.lint(self.size, &self.load)),
            Some(url) if url.starts_with("postgres") => self.ask::<sqlx::Postgres>(url).await,
            Some(url) => self.ask::<sqlx::MySql>(url).await,
        }
    }

    async fn ask<DB: Driver>(&self, url: &str) -> Result<Vec<Warning>, Box<dyn Error>> {
        let pool = PoolOptions::<DB>::new()
            .configure(&self.config)
            .max_connections(self.size)
            .connect_lazy(url)?;
        Ok(pool.lint(&self.load).await?)
    }
}

/// The warnings about what these arguments describe.
///
/// # Errors
///
/// An argument or the file is wrong, or the server cannot be reached.
pub async fn run(
    arguments: impl IntoIterator<Item = String>,
) -> Result<Vec<Warning>, Box<dyn Error>> {
    Arguments::parse(arguments)?.lint().await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(std::env::args().skip(1)).await {
        Ok(warnings) => {
            for warning in &warnings {
                println!("{warning}");
            }
            ExitCode::from(u8::from(!warnings.is_empty()))
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}
