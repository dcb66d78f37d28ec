//! The PostgreSQL servers of the tests, from this machine's own binaries.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "the tests use other parts of these modules"
)]

use std::time::Duration;

#[path = "../../../../tests/support/local.rs"]
pub mod local;
#[path = "../../../../tests/support/postgres.rs"]
pub mod postgres;
#[path = "../../../../tests/support/server.rs"]
pub mod server;

const PATIENCE: Duration = Duration::from_secs(60);

/// Containers would add a hundred crates to this program.
pub mod docker {
    use super::server::Kind;

    #[derive(Debug)]
    pub enum Container {}

    impl Container {
        pub async fn start(kind: &'static Kind, _: impl FnOnce(&str) -> Vec<String>) -> Self {
            panic!("{} is not installed: {}", kind.name, kind.install)
        }

        pub fn kill(&mut self) {
            match *self {}
        }

        pub fn launch(&mut self) {
            match *self {}
        }

        pub fn pause(&self) {
            match *self {}
        }

        pub fn resume(&self) {
            match *self {}
        }

        pub fn is_running(&self) -> bool {
            match *self {}
        }

        pub fn log(&self) -> String {
            match *self {}
        }
    }
}
