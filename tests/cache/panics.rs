//! A panic while rows are mapped. Its callers are served what they chose as a fallback.

use std::sync::Arc;
use std::time::Duration;

use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::prelude::*;
use diesel::sql_types::Text;
use fusepool::cache::CachePolicy;
use fusepool::sqlx::{Driver, ReadExt};
use fusepool::{Breaker, Source, StaleReason, Unanswered};
use futures_util::future::join_all;
use sqlx::sqlite::SqliteRow;
use sqlx::{ColumnIndex, Database, Decode, FromRow, IntoArguments, Row, Type};

use crate::kitchen::{FRESH, Kind, Kitchen, MENU, REVALIDATED, SqliteFile};

on_all! {
    in_a_load_serves_a_stale_answer_or_a_default
}

const REASON: Unanswered = Unanswered::Lost;

/// A dish whose name must not be `boom`.
#[derive(Debug)]
struct Dish(String);

impl<'r, R: Row> FromRow<'r, R> for Dish
where
    usize: ColumnIndex<R>,
    String: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> sqlx::Result<Self> {
        let name: String = row.try_get(0)?;
        assert!(name != "boom", "this panic is part of the test");
        Ok(Self(name))
    }
}

fn dish<DB>() -> impl ReadExt<Database = DB, Output = Dish>
where
    DB: Driver + Database<Row: Row<Database = DB>>,
    DB::Arguments: IntoArguments<DB>,
    for<'r> String: Decode<'r, DB> + Type<DB>,
    usize: ColumnIndex<DB::Row>,
{
    sqlx::query_as::<DB, Dish>("SELECT name FROM dish WHERE id = 1")
}

/// The report of a panic, with its backtrace, takes longer than callers with a default usually wait.
const PATIENT: Duration = Duration::from_secs(60);

async fn kitchen<K: Kind>() -> Kitchen<K> {
    let kitchen = Kitchen::<K>::open_with(|options| options.query_timeout(PATIENT)).await;
    let breaker = kitchen.pool.gate().breaker();
    breaker
        .reconfigure(breaker.to_builder().stall_after(PATIENT))
        .unwrap();
    kitchen
}

async fn in_a_load_serves_a_stale_answer_or_a_default<K: Kind>()
where
    K::Db: Driver + Database<Row: Row<Database = K::Db>>,
    <K::Db as Database>::Arguments: IntoArguments<K::Db>,
    for<'r> String: Decode<'r, K::Db> + Type<K::Db>,
    usize: ColumnIndex<<K::Db as Database>::Row>,
{
    let kitchen = kitchen::<K>().await;
    let pool = &kitchen.pool;
    kitchen.set("boom").await;

    let reads = (0..10).map(|_| {
        let read = dish::<K::Db>()
            .cached(&MENU)
            .or_value(Dish("none".to_owned()));
        read.fetch_one_served(pool)
    });
    for served in join_all(reads).await {
        let served = served.unwrap();
        assert_eq!(served.value.0, "none");
        assert_eq!(served.source, Source::Default { reason: REASON });
    }
    let failed = pool.cache().snapshot().totals.failed_loads;
    assert!(failed < 10, "not every caller loads again: {failed}");
    let error = dish::<K::Db>()
        .cached::<Arc<_>>(&MENU)
        .fetch_one(pool)
        .await
        .unwrap_err();
    assert_eq!(pool.unanswered(&error), Some(REASON));

    kitchen.set("old").await;
    let served = dish::<K::Db>().cached(&MENU).fetch_one_served(pool).await;
    let served = served.unwrap();
    assert_eq!(
        (served.value.0.as_str(), served.source),
        ("old", Source::Live)
    );
    kitchen.set("boom").await;
    let age = FRESH + REVALIDATED;
    kitchen.clock.advance(age);
    let served = dish::<K::Db>().cached(&MENU).fetch_one_served(pool).await;
    let served = served.unwrap();
    let reason = StaleReason::Unanswered(REASON);
    assert_eq!(
        (served.value.0.as_str(), served.source),
        ("old", Source::Stale { age, reason })
    );

    let snapshot = pool.snapshot();
    assert_eq!(
        (
            snapshot.cache.loading,
            snapshot.gate.breaker.totals.failures
        ),
        (0, 0)
    );
    assert_eq!(
        *K::query(1)
            .or_value("none".to_owned())
            .fetch_one(pool)
            .await
            .unwrap(),
        "boom"
    );
}

/// The closure of `map` is a stream that must not be polled after it panicked, not even by a fallback
/// that reads the same rows elsewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_closure_is_not_repeated_by_another_fallback() {
    let kitchen = kitchen::<SqliteFile>().await;
    kitchen.set("boom").await;
    let read = sqlx::query("SELECT name FROM dish WHERE id = 1")
        .map(|row: SqliteRow| {
            let name: String = row.get(0);
            assert!(name != "boom", "this panic is part of the test");
            name
        })
        .cached(&MENU)
        .or_from(&kitchen.pool)
        .or_value("none".to_owned());
    let served = read.fetch_one_served(&kitchen.pool).await.unwrap();
    assert_eq!(*served.value, "none");
    assert_eq!(served.source, Source::Default { reason: REASON });
}

/// Text that must not be `boom`.
#[derive(Debug, FromSqlRow)]
struct Name(String);

impl<DB> FromSql<Text, DB> for Name
where
    DB: diesel::backend::Backend,
    String: FromSql<Text, DB>,
{
    fn from_sql(bytes: DB::RawValue<'_>) -> deserialize::Result<Self> {
        let name = String::from_sql(bytes)?;
        assert!(name != "boom", "this panic is part of the test");
        Ok(Self(name))
    }
}

macro_rules! on_diesel {
    ($name:ident, $family:ident) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            use fusepool::deadpool::diesel::{ReadError, ReadExt};
            const KEPT: CachePolicy = CachePolicy::named("kept").fresh_for(FRESH);
            let breaker = Breaker::builder().stall_after(PATIENT);
            let world = crate::family::World::<crate::family::$family>::start_with(breaker).await;
            let boom = || diesel::select("boom".into_sql::<Text>()).cached(&KEPT);
            let reads = (0..10).map(|_| {
                let read = boom().or_value(Arc::new(Name("none".to_owned())));
                read.first_served(&world.pool)
            });
            for served in join_all(reads).await {
                let served = served.unwrap();
                let value: Option<Arc<Name>> = served.value;
                assert_eq!(value.unwrap().0, "none");
                assert_eq!(served.source, Source::Default { reason: REASON });
            }
            let lost: Result<Option<Arc<Name>>, _> = boom().first(&world.pool).await;
            assert!(matches!(lost, Err(ReadError::Lost)), "{lost:?}");
            assert_eq!(world.loading(), 0);
        }
    };
}

on_diesel!(
    in_a_load_of_diesel_on_postgres_serves_a_default,
    DieselPostgres
);
on_diesel!(
    in_a_load_of_diesel_on_mariadb_serves_a_default,
    DieselMariaDb
);
