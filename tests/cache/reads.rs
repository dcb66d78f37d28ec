//! The check that a statement only reads, against the databases themselves: texts of random quotes,
//! comments and statements. What the check lets pass is run, and must not write.
//!
//! `SEED=n` runs the texts of one seed.

use fusepool::NotARead;
use fusepool::sqlx::{Driver, Pool, PoolOptions, ReadExt};
use sqlx::{
    AssertSqlSafe, ColumnIndex, Connection, Decode, Error, Executor, IntoArguments, MySql,
    Postgres, Sqlite, Type,
};

use crate::support::mariadb::MariaDb;
use crate::support::postgres;

const TEXTS: usize = 4_000;

/// Pieces of texts: code in one dialect, and quoted in another.
const PIECES: [&str; 44] = [
    "'",
    "''",
    "\\'",
    "\\",
    "\"",
    "`",
    "[",
    "]",
    "$$",
    "$a$",
    "$1",
    "E'",
    "U&'",
    "--",
    "-- ",
    "#",
    "/*",
    "*/",
    "/*!",
    "/*M!",
    "/**/",
    "\n",
    "\r",
    "\u{a0}",
    "\u{2028}",
    "\t",
    ";",
    "; ",
    " ",
    " ",
    ",",
    "1",
    "a",
    "é",
    "(",
    ")",
    ".",
    "x'",
    " AS ",
    "SELECT 1",
    "; DELETE FROM t",
    ";DELETE FROM t;",
    "\nDELETE FROM t",
    ", 1",
];

/// A text that begins with a read, and may hold a write.
fn text(random: &mut fastrand::Rng) -> String {
    let mut sql = String::from(match random.u32(..4) {
        0 => "SELECT 'a'",
        1 => "SELECT 1 AS ",
        2 => "SELECT '",
        _ => "SELECT 1 ",
    });
    for _ in 0..random.usize(1..8) {
        sql += PIECES[random.usize(..PIECES.len())];
    }
    if random.bool() {
        sql += "; DELETE FROM t";
        sql += ["", " -- '", " */", "\n'", "$$", "\"", "`", "]", "$a$"][random.usize(..9)];
    }
    sql
}

/// Whether the check lets a statement pass: then the default stands in, because the breaker is open.
async fn passes<DB: Driver>(pool: &Pool<DB>, sql: &str) -> bool
where
    DB::Arguments: IntoArguments<DB>,
    for<'r> i64: Decode<'r, DB> + Type<DB>,
    usize: ColumnIndex<DB::Row>,
{
    let read = sqlx::query_scalar::<DB, i64>(AssertSqlSafe(sql.to_owned()));
    match read.or_value(Vec::new()).fetch_all(pool).await {
        Ok(_) => true,
        Err(Error::Configuration(error)) if error.is::<NotARead>() => false,
        Err(error) => panic!("{sql:?}: {error:?}"),
    }
}

async fn nothing_that_passes_writes<DB: Driver>(url: &str)
where
    DB::Arguments: IntoArguments<DB>,
    for<'r> i64: Decode<'r, DB> + Type<DB>,
    usize: ColumnIndex<DB::Row>,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    let seed =
        std::env::var("SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let pool: Pool<DB> = PoolOptions::new().connect_lazy(url).unwrap();
    let _open = pool.gate().breaker().force_open();
    let mut connection = DB::Connection::connect(url).await.unwrap();
    for sql in ["CREATE TABLE t (id int)", "INSERT INTO t VALUES (1)"] {
        connection.execute(sql).await.unwrap();
    }
    let (mut passed, mut ran) = (0, 0);
    for _ in 0..TEXTS {
        let sql = text(&mut random);
        if !passes(&pool, &sql).await {
            continue;
        }
        passed += 1;
        let raw = sqlx::raw_sql(AssertSqlSafe(sql.clone()));
        ran += u32::from(connection.execute(raw).await.is_ok());
        let count = sqlx::query_scalar::<DB, i64>("SELECT count(*) FROM t");
        let count = count.fetch_one(&mut connection).await.unwrap();
        assert_eq!(count, 1, "SEED={seed}: it wrote: {sql:?}");
    }
    println!("of {TEXTS} texts, {passed} passed the check and {ran} ran");
    assert!(ran > 20, "{ran}");
}

#[tokio::test]
async fn nothing_that_passes_the_check_writes_in_postgres() {
    let server = postgres::Postgres::start().await;
    nothing_that_passes_writes::<Postgres>(&server.url()).await;
}

#[tokio::test]
async fn nothing_that_passes_the_check_writes_in_mariadb() {
    let server = MariaDb::start().await;
    nothing_that_passes_writes::<MySql>(&server.url()).await;
}

#[tokio::test]
async fn nothing_that_passes_the_check_writes_in_sqlite() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("t.db");
    let url = format!("sqlite://{}?mode=rwc", file.display());
    nothing_that_passes_writes::<Sqlite>(&url).await;
}

/// The beginnings of the names of volatile functions of PostgreSQL that only read. A new version may have
/// more: look up what they do, and add them here or to the functions that are refused.
const VOLATILE_READS: &[&str] = &[
    "amvalidate",
    "clock_timestamp",
    "current_query",
    "currtid2",
    "currval",
    "gen_random_uuid",
    "lastval",
    "pg_blocking_pids",
    "pg_collation_actual_version",
    "pg_control_",
    "pg_current_",
    "pg_database_",
    "pg_get_",
    "pg_hba_file_rules",
    "pg_ident_file_mappings",
    "pg_indexes_size",
    "pg_is_",
    "pg_isolation_test_session_is_blocked",
    "pg_jit_available",
    "pg_last_",
    "pg_lock_status",
    "pg_logical_slot_peek_",
    "pg_ls_",
    "pg_notification_queue_usage",
    "pg_partition_",
    "pg_prepared_xact",
    "pg_read_",
    "pg_relation_size",
    "pg_replication_origin_progress",
    "pg_replication_origin_session_",
    "pg_safe_snapshot_blocking_pids",
    "pg_sequence_last_value",
    "pg_show_",
    "pg_sleep",
    "pg_stat_file",
    "pg_stat_get_",
    "pg_stat_have_stats",
    "pg_table_size",
    "pg_tablespace_",
    "pg_total_relation_size",
    "pg_wait_events",
    "pg_xact_",
    "plpgsql_",
    "random",
    "timeofday",
    "txid_status",
    "uuidv",
];

/// By the catalog of PostgreSQL itself: whatever may write is volatile.
#[tokio::test]
async fn the_volatile_functions_of_postgres_are_known() {
    let server = postgres::Postgres::start().await;
    let pool: Pool<Postgres> = PoolOptions::new().connect_lazy(&server.url()).unwrap();
    let volatile: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT proname::text FROM pg_proc JOIN pg_namespace n ON n.oid = pronamespace \
         WHERE nspname = 'pg_catalog' AND provolatile = 'v' AND prokind = 'f' \
         AND prorettype <> 'trigger'::regtype AND prorettype <> 'internal'::regtype \
         AND NOT 'internal'::regtype = ANY (proargtypes) ORDER BY 1",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert!(volatile.len() > 100, "{}", volatile.len());
    let _open = pool.gate().breaker().force_open();
    let mut unknown = Vec::new();
    for name in volatile {
        let is_known = VOLATILE_READS.iter().any(|known| name.starts_with(known));
        if !is_known && passes(&pool, &format!("SELECT \"{name}\"(1)")).await {
            unknown.push(name);
        }
    }
    assert!(unknown.is_empty(), "{unknown:?}");
}
