//! Statements of diesel-async: tests that do not apply to other pools.
//!
//! Each fault is described once, in `diesel_only/pool.rs`, and runs against PostgreSQL and MariaDB.
//! The file is included twice because it names the driver by `Conn` and `Raw` of the module that
//! includes it: diesel's traits are too many to be generic over.

mod pipelined;

mod postgres {
    use super::Came;
    use crate::support::postgres::Postgres as Server;
    use fusepool::deadpool::diesel::AsyncPgConnection as Conn;
    type Raw = diesel_async::AsyncPgConnection;

    const THROUGH_THE_PROXY: &str = "";
    const SLEEP: &str = "SELECT pg_sleep(60)";
    const NAP: &str = "SELECT pg_sleep(0.5)";
    const MANY: &str = "SELECT generate_series(1, 1000000)::bigint";
    const SLEEPING: &str = "SELECT count(*) FROM pg_stat_activity \
                            WHERE query = 'SELECT pg_sleep(60)' AND state = 'active'";
    /// The results of statements that the server answers.
    const ANSWERS: [(&str, Came); 6] = [
        ("SELEC 1", Came::Answered),
        ("SELECT 1 / 0", Came::Answered),
        (
            "SET statement_timeout = 50; SELECT pg_sleep(60)",
            Came::Slow,
        ),
        (
            "SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(60)",
            Came::Neutral,
        ),
        (
            "SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(60)",
            Came::Fault,
        ),
        (
            "BEGIN READ ONLY; CREATE TABLE late (id int)",
            Came::Answered,
        ),
    ];

    include!("diesel_only/pool.rs");
}

mod mariadb {
    use super::Came;
    use crate::support::mariadb::MariaDb as Server;
    use fusepool::deadpool::diesel::AsyncMysqlConnection as Conn;
    type Raw = diesel_async::AsyncMysqlConnection;

    /// Without this, mysql_async switches to the Unix socket of a local server.
    const THROUGH_THE_PROXY: &str = "?prefer_socket=false";
    const SLEEP: &str = "SELECT SLEEP(60)";
    const NAP: &str = "SELECT SLEEP(0.5)";
    const MANY: &str = "SELECT CAST(seq AS SIGNED) FROM seq_1_to_1000000";
    const SLEEPING: &str = "SELECT count(*) FROM information_schema.processlist \
                            WHERE info = 'SELECT SLEEP(60)'";
    const ANSWERS: [(&str, Came); 4] = [
        ("SELEC 1", Came::Answered),
        (
            "SET STATEMENT max_statement_time = 0.05 FOR SELECT SLEEP(60)",
            Came::Slow,
        ),
        ("KILL QUERY CONNECTION_ID()", Came::Neutral),
        ("KILL CONNECTION_ID()", Came::Fault),
    ];

    include!("diesel_only/pool.rs");
}

/// The verdict of a call.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Came {
    Answered,
    Slow,
    Neutral,
    Fault,
}
