//! Ordinary code for pools, compiled and run twice: against the original crate, and against fusepool.
//!
//! `application/` is an application that uses sqlx. It is compiled for each driver, together with the
//! code for that driver: `postgres/`, `mysql/` and `sqlite/`. `deadpool/`, `diesel/` and `sea_orm/` are
//! separate applications. All use the pool's types only through the module `imports`, which is the only
//! difference between the two halves. Everything else (queries, rows, traits, macros) comes from the
//! original crate in both.
//!
//! Files that are compiled more than once are included by `include!` and not declared by `mod`, so
//! that `super::imports` is a different module each time.
//!
//! The `query!` macros read the tables' types from `.sqlx/` in the crate's root, so building needs no
//! database and no environment. Leave `DATABASE_URL` unset, or set `SQLX_OFFLINE=true`. After a
//! change of a macro's query or of a migration, update `.sqlx/`. Each driver is compiled alone, with a
//! separate database that has the migrations:
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
//! (`cargo sqlx prepare` supports one database at a time, and removes the files of the others.) The
//! files are named after the text of the query only, so two drivers must not share a text.

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
#[cfg(all(
    feature = "sea-orm",
    feature = "sqlx-postgres",
    feature = "sqlx-mysql",
    feature = "sqlx-sqlite"
))]
mod sea_orm;
#[cfg(feature = "sqlx-sqlite")]
mod sqlite;
#[path = "../support/mod.rs"]
mod support;

use std::panic::Location;
use std::time::Duration;

/// The result of a use of a pool: nothing, or an error and its location.
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
