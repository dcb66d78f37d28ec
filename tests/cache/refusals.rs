//! Statements that cannot be cached are refused with a reason, before anything is sent.

use fusepool::cache::CachePolicy;
use fusepool::sqlx::{Delivery, ReadExt, SqlitePool, SqlitePoolOptions, delivery};
use fusepool::{ConfigError, NotARead};
use sqlx::Error;

use crate::kitchen::{Kind, Kitchen, MENU, SqliteFile};

fn not_a_read(error: &Error) -> NotARead {
    let Error::Configuration(inner) = error else {
        panic!("{error:?}");
    };
    assert_eq!(delivery(error), Delivery::NotSent);
    *inner.downcast_ref().expect("a `NotARead`")
}

#[tokio::test]
async fn statements_that_write_or_lock_or_are_several() {
    let kitchen = Kitchen::<SqliteFile>::open().await;
    let pool = &kitchen.pool;
    for (sql, expected) in [
        (
            "INSERT INTO dish VALUES (2, 'new') RETURNING name",
            NotARead::NoQuery,
        ),
        (
            "WITH x AS (SELECT 1) DELETE FROM dish RETURNING name",
            NotARead::Writes("DELETE"),
        ),
        (
            "SELECT name FROM dish FOR UPDATE",
            NotARead::Locks("FOR UPDATE"),
        ),
        ("SELECT name FROM dish; SELECT 1", NotARead::Several),
    ] {
        let query = || sqlx::query_scalar::<_, String>(sql);
        let read = query().cached(&MENU).fetch_all(pool).await;
        assert_eq!(not_a_read(&read.unwrap_err()), expected);
        // A fallback would hide that nothing was written, or write twice.
        let read = query().or_value(Vec::new()).fetch_all(pool).await;
        assert_eq!(not_a_read(&read.unwrap_err()), expected);
        let read = query().or_from(pool).fetch_all(pool).await;
        assert_eq!(not_a_read(&read.unwrap_err()), expected);
        // An open breaker does not hide it.
        let open = pool.gate().breaker().force_open();
        let read = query().cached(&MENU).fetch_all(pool).await;
        assert_eq!(not_a_read(&read.unwrap_err()), expected);
        drop(open);
    }
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM dish")
        .fetch_one(pool)
        .await
        .unwrap();
    assert_eq!((count, kitchen.loads()), (1, 0));
}

#[tokio::test]
async fn policies_that_make_no_sense() {
    let kitchen = Kitchen::<SqliteFile>::open().await;
    const NOTHING: CachePolicy = CachePolicy::named("nothing");
    let read = SqliteFile::name(1, &NOTHING).fetch_one(&kitchen.pool).await;
    let Err(Error::Configuration(error)) = read else {
        panic!("{read:?}");
    };
    let error = error.downcast_ref::<ConfigError>().unwrap();
    assert_eq!(error.field(), "stale_if_error");
}

#[tokio::test]
async fn a_cache_too_small_for_anything() {
    let built = SqlitePoolOptions::new()
        .cache_bytes(1_000)
        .connect_lazy("sqlite::memory:");
    let Err(Error::Configuration(error)) = built else {
        panic!("{built:?}");
    };
    let error = error.downcast_ref::<ConfigError>().unwrap();
    assert_eq!((error.field(), error.value()), ("cache_bytes", "1000"));
}

#[tokio::test]
async fn arguments_that_cannot_be_encoded() {
    #[derive(Debug)]
    struct Unencodable;
    impl sqlx::Type<sqlx::Sqlite> for Unencodable {
        fn type_info() -> sqlx::sqlite::SqliteTypeInfo {
            <i32 as sqlx::Type<sqlx::Sqlite>>::type_info()
        }
    }
    impl sqlx::Encode<'_, sqlx::Sqlite> for Unencodable {
        fn encode_by_ref(
            &self,
            _: &mut sqlx::sqlite::SqliteArgumentsBuffer,
        ) -> Result<sqlx::encode::IsNull, sqlx::error::BoxDynError> {
            Err("no".into())
        }
    }
    let kitchen = Kitchen::<SqliteFile>::open().await;
    let read = sqlx::query_scalar::<_, String>("SELECT name FROM dish WHERE id = ?")
        .bind(Unencodable)
        .cached(&MENU)
        .or_value("none".to_owned())
        .fetch_one(&kitchen.pool)
        .await;
    assert!(matches!(read, Err(Error::Encode(_))), "{read:?}");
}

/// Neither debug output nor errors contain arguments.
#[tokio::test]
async fn no_argument_is_ever_shown() {
    const SECRET: &str = "hunter2";
    let pool: SqlitePool = SqlitePoolOptions::new()
        .connect_lazy("sqlite::memory:")
        .unwrap();
    let read = || {
        sqlx::query_scalar::<_, String>("SELECT ? FROM nowhere")
            .bind(SECRET)
            .cached::<std::sync::Arc<String>>(&MENU)
            .vary_by(SECRET)
            .tag(SECRET)
            .or_value(SECRET.to_owned())
    };
    let mut shown = format!("{:?}", read());
    let error = read().fetch_one(&pool).await.unwrap_err();
    shown += &format!("{error:?} {error}");
    shown += &format!("{pool:?} {:?}", pool.snapshot());
    assert!(!shown.contains(SECRET), "{shown}");
}
