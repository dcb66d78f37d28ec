//! Ordinary deadpool-postgres code, compiled and run twice: against deadpool-postgres, and against
//! `fusepool::deadpool::postgres`.
//!
//! `deadpool/application.rs` is the application. The module `imports` is the only difference.

use crate::support::postgres::Postgres;

/// The result of a use: nothing, or the boxed error of the application.
type Checked = Result<(), Box<dyn std::error::Error>>;

mod on_deadpool {
    use deadpool_postgres as imports;
    include!("deadpool/application.rs");
}

mod on_fusepool {
    use fusepool::deadpool::postgres as imports;
    include!("deadpool/application.rs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deadpool_postgres() -> Checked {
    let server = Postgres::start().await;
    on_deadpool::all(&server.url()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fusepool() -> Checked {
    let server = Postgres::start().await;
    on_fusepool::all(&server.url()).await
}
