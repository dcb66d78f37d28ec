//! Ordinary code for pools, compiled and run twice: against the original crate, and against ours.
//!
//! `application/` reads like an application that uses sqlx. It is compiled for each driver, with
//! what is particular to it: `postgres/`, `mysql/` and `sqlite/`. `deadpool/` and `diesel/` are
//! applications of their own. All name the pool's types only through `imports`, which is the one
//! thing that differs between the two halves. Whatever is no pool type (queries, rows, traits,
//! macros) comes from the original crate in both.
//!
//! What is compiled more than once is included by `include!` and not declared by `mod`, so that
//! `super::imports` is another module each time.
//!
//! The `query!` macros read what they know of the tables from `.sqlx/` in the crate's root, so
//! building needs no database and no environment. Leave `DATABASE_URL` unset, or set
//! `SQLX_OFFLINE=true`. After changing a macro's query or a migration, write `.sqlx/` anew. Each
//! driver is compiled alone, with a database of its own that has the migrations:
//!
//! ```sh
//! export SQLX_OFFLINE_DIR="$PWD/.sqlx"; rm -rf "$SQLX_OFFLINE_DIR"; mkdir "$SQLX_OFFLINE_DIR"
//! prepare() {  # a driver, and the URL of its database
//!     touch tests/drop_in/main.rs
//!     DATABASE_URL="$2" SQLX_OFFLINE=false \
//!         cargo check --test drop_in --no-default-features --features "$1"
//! }
//!
//! createdb drop_in
//! cat migrations/postgres/*.sql | psql drop_in
//! prepare sqlx-postgres postgres://localhost/drop_in
//!
//! mariadb -e 'CREATE DATABASE drop_in'
//! cat migrations/mysql/*.sql | mariadb drop_in
//! prepare sqlx-mysql mysql://localhost/drop_in
//!
//! cat migrations/sqlite/*.sql | sqlite3 /tmp/drop_in.db
//! prepare sqlx-sqlite sqlite:///tmp/drop_in.db
//! ```
//!
//! (`cargo sqlx prepare` knows one database at a time, and removes the others' files.) The files
//! are named after the text of the query alone, so no two drivers may share one.

#![cfg(any(
    feature = "sqlx-mysql",
    feature = "sqlx-postgres",
    feature = "sqlx-sqlite"
))]
#![allow(unreachable_pub, reason = "modules stand in for crates here")]
#![allow(
    clippy::allow_attributes,
    reason = "one source for two crates, and a lint is reported with only one of them"
)]

#[cfg(all(feature = "deadpool-postgres", feature = "sqlx-postgres"))]
mod deadpool;
#[cfg(all(
    feature = "diesel-postgres",
    feature = "diesel-mysql",
    feature = "sqlx-postgres",
    feature = "sqlx-mysql"
))]
mod diesel;
#[cfg(feature = "sqlx-mysql")]
mod mysql;
#[cfg(feature = "sqlx-postgres")]
mod postgres;
#[cfg(feature = "sqlx-sqlite")]
mod sqlite;
#[path = "../support/mod.rs"]
mod support;

use std::panic::Location;
use std::time::Duration;

/// What a use of a pool comes to: nothing, or an error and where it was met.
type Checked = Result<(), Failure>;

#[derive(Debug)]
#[expect(dead_code, reason = "read by Debug, when a test fails")]
struct Failure {
    error: String,
    at: &'static Location<'static>,
}

impl<E: std::error::Error> From<E> for Failure {
    #[track_caller]
    fn from(error: E) -> Self {
        Self {
            error: format!("{error:?}"),
            at: Location::caller(),
        }
    }
}

/// A connection goes back to its pool in the background, with sqlx as with fusepool: before asking for
/// one without waiting, wait.
async fn one_is_idle(num_idle: impl Fn() -> usize) {
    let idle = async {
        while num_idle() == 0 {
            tokio::task::yield_now().await;
        }
    };
    let bound = Duration::from_secs(10);
    tokio::time::timeout(bound, idle)
        .await
        .expect("a connection goes back");
}
