//! Which reads share an answer, on real databases.
//!
//! While the breaker is held open, cached answers are served and other reads are refused. So a read
//! that is refused has a key of its own. The unit tests of the keys test the printed form of the
//! drivers' arguments, with many more values.

use std::sync::Arc;
use std::time::Duration;

use fusepool::Source;
use fusepool::cache::CachePolicy;
use fusepool::sqlx::{Driver, Pool, Read, ReadExt, SqlitePool, SqlitePoolOptions};
use sqlx::Error;
use sqlx::types::Json;

use crate::support::mariadb::MariaDb;
use crate::support::postgres::Postgres;

const KEPT: CachePolicy = CachePolicy::named("kept").fresh_for(Duration::from_secs(3600));

type All<DB, O> = Read<'static, DB, O, Arc<Vec<O>>>;
type First<DB, O> = Read<'static, DB, O, Option<Arc<O>>>;

/// True if the answer is cached.
async fn is_kept<DB: Driver, O: Send + Sync + 'static>(pool: &Pool<DB>, read: All<DB, O>) -> bool {
    let _open = pool.gate().breaker().force_open();
    told(
        read.fetch_all_served(pool)
            .await
            .map(|served| served.source),
    )
}

async fn is_first_kept<DB: Driver, O: Send + Sync + 'static>(
    pool: &Pool<DB>,
    read: First<DB, O>,
) -> bool {
    let _open = pool.gate().breaker().force_open();
    told((read.fetch_optional_served(pool).await).map(|served| served.source))
}

fn told(source: Result<Source, Error>) -> bool {
    match source {
        Ok(Source::Fresh { .. }) => true,
        Err(error) if fusepool::refusal(&error).is_some() => false,
        other => panic!("neither kept nor refused: {other:?}"),
    }
}

/// Asks these questions one after the other: each is new to the cache, and gets its own answer.
macro_rules! assert_distinct {
    ($pool:ident, $sql:literal: $($argument:expr),* $(,)?) => {$(
        // A statement that was prepared for one type cannot be run with another.
        let query = || sqlx::query_scalar::<_, String>($sql).bind($argument).persistent(false);
        let read = || query().cached(&KEPT);
        let argument = stringify!($argument);
        assert!(!is_kept(&$pool, read()).await, "{argument} is served another's answer");
        let answer = read().fetch_all(&$pool).await.unwrap();
        assert!(is_kept(&$pool, read()).await, "{argument} is not kept");
        assert_eq!(read().fetch_all(&$pool).await.unwrap(), answer, "{argument}");
    )*};
}

#[tokio::test]
async fn postgres_arguments_have_answers_of_their_own() {
    let server = Postgres::start().await;
    let pool = fusepool::sqlx::PgPool::connect(&server.url())
        .await
        .unwrap();
    assert_distinct!(pool, "SELECT concat(pg_typeof($1), '|', $1)":
        1_i16, 1_i32, 1_i64, true, None::<i32>, None::<i64>, None::<&str>, "", "1", "true",
        b"".as_slice(), b"1".as_slice(), 0.0_f64, -0.0_f64, f64::NAN, 0.0_f32,
        vec![1_i32], vec![1_i32, 1], vec![Some(1_i32), None], vec![None, Some(1_i32)], vec![1_i64],
        Vec::<i32>::new(), vec![""], vec![None::<String>], Json(1), Json("1"), Json([1]),
        "x".repeat(100_000), "x".repeat(100_001),
    );
}

#[tokio::test]
async fn mariadb_arguments_have_answers_of_their_own() {
    let server = MariaDb::start().await;
    let pool = fusepool::sqlx::MySqlPool::connect(&server.url())
        .await
        .unwrap();
    assert_distinct!(pool, "SELECT COALESCE(CAST(? AS CHAR), 'NULL')":
        1_i8, 1_u8, 1_i32, 1_u32, 1_i64, 1_u64, true, None::<i32>, None::<i64>, None::<&str>, "",
        "1", "true", b"".as_slice(), b"1".as_slice(), 0.0_f64, -0.0_f64, 0.0_f32, Json(1),
        Json("1"), Json([1]), "x".repeat(100_000), "x".repeat(100_001),
    );
}

async fn sqlite() -> SqlitePool {
    let options = SqlitePoolOptions::new().max_connections(1);
    options.connect("sqlite::memory:").await.unwrap()
}

#[tokio::test]
async fn sqlite_arguments_have_answers_of_their_own() {
    let pool = sqlite().await;
    assert_distinct!(pool, "SELECT printf('%s|%s', typeof(?1), ?1)":
        1_i32, 1_i64, None::<i32>, "", "1", "NULL", b"".as_slice(), b"1".as_slice(), 0.0_f64,
        -0.0_f64, 0.1_f32, 0.1_f64, "x".repeat(100_000), "x".repeat(100_001),
    );
}

/// NULLs at different positions have different keys.
#[tokio::test]
async fn places_matter() {
    let pool = sqlite().await;
    let of = |one: Option<i32>, two: Option<i32>| {
        let query = sqlx::query_scalar::<_, i32>("SELECT coalesce(?, 0) * 10 + coalesce(?, 0)");
        query.bind(one).bind(two).cached(&KEPT)
    };
    for (one, two, answer) in [(Some(1), None, 10), (None, Some(1), 1), (None, None, 0)] {
        assert!(!is_kept(&pool, of(one, two)).await);
        assert_eq!(*of(one, two).fetch_all(&pool).await.unwrap(), [answer]);
    }
}

#[derive(Debug, PartialEq, sqlx::FromRow)]
struct Named {
    n: i64,
}

/// Result types that could be read from the same rows have separate answers, and so do `fetch_one`,
/// `fetch_optional` and `fetch_all`.
#[tokio::test]
async fn what_is_made_of_the_rows_matters() {
    const SQL: &str = "SELECT 1 AS n UNION ALL SELECT 2";
    let pool = sqlite().await;
    let number = || sqlx::query_scalar::<_, i64>(SQL);
    number().cached(&KEPT).fetch_all(&pool).await.unwrap();

    assert!(is_kept(&pool, number().cached(&KEPT)).await);
    assert!(!is_first_kept(&pool, number().cached(&KEPT)).await);
    assert!(!is_kept(&pool, sqlx::query_scalar::<_, i32>(SQL).cached(&KEPT)).await);
    assert!(
        !is_kept(
            &pool,
            sqlx::query_scalar::<_, Option<i64>>(SQL).cached(&KEPT)
        )
        .await
    );
    assert!(!is_kept(&pool, sqlx::query_as::<_, (i64,)>(SQL).cached(&KEPT)).await);
    assert!(!is_kept(&pool, sqlx::query_as::<_, Named>(SQL).cached(&KEPT)).await);

    number().cached(&KEPT).fetch_optional(&pool).await.unwrap();
    let first = number().cached(&KEPT);
    assert!(is_first_kept(&pool, first).await, "of its own");
    let _open = pool.gate().breaker().force_open();
    let one: Arc<i64> = number().cached(&KEPT).fetch_one(&pool).await.unwrap();
    assert_eq!(*one, 1, "`fetch_one` and `fetch_optional` are one question");
    let all: Arc<Vec<i64>> = number().cached(&KEPT).fetch_all(&pool).await.unwrap();
    assert_eq!(*all, [1, 2]);
}

/// Two closures of one signature, over the same statement.
#[tokio::test]
async fn which_closure_maps_matters() {
    use sqlx::Row;
    use sqlx::sqlite::SqliteRow;
    let pool = sqlite().await;
    let sql = "SELECT 1, 2";
    let one = sqlx::query(sql)
        .map(|row: SqliteRow| row.get::<i64, _>(0))
        .cached(&KEPT);
    assert_eq!(*one.fetch_all(&pool).await.unwrap(), [1]);
    let two = sqlx::query(sql)
        .map(|row: SqliteRow| row.get::<i64, _>(1))
        .cached(&KEPT);
    assert_eq!(*two.fetch_all(&pool).await.unwrap(), [2]);
}

#[tokio::test]
async fn scopes_and_policies_matter() {
    const OTHER: CachePolicy = CachePolicy::named("other").fresh_for(Duration::from_secs(3600));
    let pool = sqlite().await;
    let read = |policy: &CachePolicy, scopes: &[&str]| {
        let read = sqlx::query_scalar::<_, i64>("SELECT 1").cached(policy);
        scopes.iter().fold(read, |read, scope| read.vary_by(scope))
    };
    for policy in [&KEPT, &OTHER] {
        let all: [&[&str]; 9] = [
            &[],
            &[""],
            &["", ""],
            &["abc"],
            &["ab", "c"],
            &["a", "bc"],
            &["bc", "a"],
            &["kept"],
            &["other"],
        ];
        for scopes in all {
            assert!(!is_kept(&pool, read(policy, scopes)).await, "{scopes:?}");
            read(policy, scopes).fetch_all(&pool).await.unwrap();
            assert!(is_kept(&pool, read(policy, scopes)).await, "{scopes:?}");
        }
    }
}

/// An answer that was cached without a tag is not invalidated by that tag. So it must not be served to
/// a read with the tag, whether the query or the policy has it.
#[tokio::test]
async fn tags_matter() {
    let pool = sqlite().await;
    sqlx::query("CREATE TABLE t (n)")
        .execute(&pool)
        .await
        .unwrap();
    let count = || sqlx::query_scalar::<_, i64>("SELECT count(*) FROM t");
    count().cached(&KEPT).fetch_all(&pool).await.unwrap();
    sqlx::query("INSERT INTO t VALUES (1)")
        .execute(&pool)
        .await
        .unwrap();
    pool.cache().invalidate_tag("t");

    let old = count().cached(&KEPT).fetch_all(&pool).await.unwrap();
    assert_eq!(*old, [0], "it has no tag");
    let new = count()
        .cached(&KEPT)
        .tag("t")
        .fetch_all(&pool)
        .await
        .unwrap();
    assert_eq!(*new, [1], "the query's tag");
    let new = count()
        .cached(&KEPT.tag("t"))
        .fetch_all(&pool)
        .await
        .unwrap();
    assert_eq!(*new, [1], "the policy's tag");
    let known = [KEPT.tag("t"), KEPT.tag("u"), KEPT.tag("t").tag("u")];
    for policy in &known[1..] {
        assert!(!is_kept(&pool, count().cached(policy)).await);
    }
}
