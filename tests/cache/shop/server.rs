//! The servers, and connections past all pools.

use std::net::SocketAddr;

use sqlx::{AssertSqlSafe, Executor, MySqlConnection, PgConnection};

use super::{READ, SCHEMA};
use crate::support;

/// A server.
pub trait Server: Sized + Send + Sync + 'static {
    async fn start() -> Self;

    fn addr(&self) -> SocketAddr;

    fn url_via(&self, port: u16) -> String;

    /// The URL of the user `app`.
    fn url_of_app(&self, port: u16) -> String;

    async fn admin(&self) -> Admin;
}

/// A connection past all pools.
pub enum Admin {
    Postgres(PgConnection),
    MariaDb(MySqlConnection),
}

impl Admin {
    pub async fn run(&mut self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Postgres(connection) => drop(connection.execute(sql).await.unwrap()),
            Self::MariaDb(connection) => drop(connection.execute(sql).await.unwrap()),
        }
    }

    pub async fn create(&mut self) {
        self.run("DROP TABLE IF EXISTS dish").await;
        self.run(SCHEMA).await;
        self.run("INSERT INTO dish VALUES (1, 0)").await;
    }

    /// Locks the dish against writes.
    pub async fn lock(&mut self) {
        self.run("BEGIN").await;
        self.run("SELECT price FROM dish WHERE id = 1 FOR UPDATE")
            .await;
    }

    pub async fn unlock(&mut self) {
        self.run("COMMIT").await;
    }

    /// Locks the dish against reads.
    pub async fn lock_table(&mut self) {
        match self {
            Self::Postgres(_) => {
                self.run("BEGIN").await;
                self.run("LOCK TABLE dish IN ACCESS EXCLUSIVE MODE").await;
            }
            Self::MariaDb(_) => self.run("LOCK TABLES dish WRITE").await,
        }
    }

    pub async fn unlock_table(&mut self) {
        match self {
            Self::Postgres(_) => self.run("COMMIT").await,
            Self::MariaDb(_) => self.run("UNLOCK TABLES").await,
        }
    }

    /// Lets the user `app` read the dish, or shuts it out.
    pub async fn admit_app(&mut self, admits: bool) {
        let password = if admits { "secret" } else { "other" };
        match self {
            Self::Postgres(_) => {
                self.run("GRANT ALL ON dish TO app").await;
                self.run(&format!("ALTER ROLE app PASSWORD '{password}'"))
                    .await;
                let kill = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
                            WHERE usename = 'app'";
                self.run(kill).await;
            }
            Self::MariaDb(_) => {
                self.run(&format!("ALTER USER app IDENTIFIED BY '{password}'"))
                    .await;
                self.run("KILL USER app").await;
            }
        }
    }

    pub async fn price(&mut self) -> i32 {
        match self {
            Self::Postgres(connection) => sqlx::query_scalar(READ)
                .fetch_one(connection)
                .await
                .unwrap(),
            Self::MariaDb(connection) => sqlx::query_scalar(READ)
                .fetch_one(connection)
                .await
                .unwrap(),
        }
    }

    /// The number of sessions that work on a write of the dish, or wait for its lock.
    pub async fn writes(&mut self) -> i64 {
        const POSTGRES: &str = "SELECT count(*) FROM pg_stat_activity \
            WHERE state = 'active' AND query ILIKE 'UPDATE%' AND pid <> pg_backend_pid()";
        const MARIADB: &str = "SELECT COUNT(*) FROM information_schema.PROCESSLIST \
            WHERE COMMAND <> 'Sleep' AND INFO LIKE 'UPDATE%' AND ID <> CONNECTION_ID()";
        match self {
            Self::Postgres(connection) => {
                // In a transaction, the activity is looked up only once.
                let again = "SELECT pg_stat_clear_snapshot()";
                connection.execute(again).await.unwrap();
                let writes = sqlx::query_scalar(POSTGRES).fetch_one(connection);
                writes.await.unwrap()
            }
            Self::MariaDb(connection) => {
                let writes = sqlx::query_scalar(MARIADB).fetch_one(connection);
                writes.await.unwrap()
            }
        }
    }
}

macro_rules! server {
    ($server:ty, $admin:ident, $database:literal) => {
        impl Server for $server {
            async fn start() -> Self {
                Self::start().await
            }

            fn addr(&self) -> SocketAddr {
                (**self).addr()
            }

            fn url_via(&self, port: u16) -> String {
                (**self).url_via(port)
            }

            fn url_of_app(&self, port: u16) -> String {
                self.url_as("app", "secret", $database, port)
            }

            async fn admin(&self) -> Admin {
                Admin::$admin(self.connect().await.unwrap())
            }
        }
    };
}

server!(support::postgres::Postgres, Postgres, "postgres");
server!(support::mariadb::MariaDb, MariaDb, "test");
