//! A guarded bb8 pool: how to guard a pool that fusepool does not support. `adapter.rs` has all the
//! code that this needs.
//!
//! ```sh
//! cargo run -p guarded-bb8 -- postgres://postgres@localhost/postgres
//! ```

mod adapter;

use std::time::Duration;

use bb8_postgres::PostgresConnectionManager;
use bb8_postgres::tokio_postgres::{Error, NoTls};
use fusepool::{Class, GateError, Guarded};

use adapter::{Bb8, Discarding};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args()
        .nth(1)
        .ok_or("give the URL of a PostgreSQL server")?;
    let manager = PostgresConnectionManager::new(url.parse()?, NoTls);
    let size = 10;
    let pool = bb8::Pool::builder()
        .max_size(size)
        .build_unchecked(Discarding(manager.clone()));
    let guarded = Guarded::builder(Bb8 {
        pool,
        manager,
        size,
        classify,
    })
    .query_timeout(Duration::from_secs(5))
    .build()?;

    let mut connection = guarded.lease().await?;
    let answer = connection
        .guard(async |client| client.query_one("SELECT 6 * 7", &[]).await)
        .await;
    match answer {
        Ok(row) => println!("{}", row.get::<_, i32>(0)),
        Err(GateError::Refused(refused)) => println!("retry in {:?}", refused.retry_after()),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// An error from the server itself is an answer, unless the server is unhealthy or has no free slot.
fn classify(error: &Error) -> Class {
    let Some(said) = error.as_db_error() else {
        return Class::Failure;
    };
    let out_of_order = ["08", "53", "57P", "58", "XX"];
    match said.code().code() {
        "53300" => Class::Starved,
        code if out_of_order.iter().any(|class| code.starts_with(class)) => Class::Failure,
        _ => Class::Success,
    }
}
