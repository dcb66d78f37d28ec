//! Cached reads of diesel-async, on PostgreSQL and MariaDB.

use std::sync::Arc;
use std::time::Duration;

use diesel::prelude::*;
use diesel_async::{AsyncConnection, RunQueryDsl};
use fusepool::cache::CachePolicy;
use fusepool::deadpool::diesel::{
    AsyncDieselConnectionManager, AsyncMysqlConnection, AsyncPgConnection, Pool, ReadError, ReadExt,
};
use fusepool::{Breaker, ManualClock, Served, Source, StaleReason, Unanswered};

use crate::support::eventually;
use crate::support::mariadb::MariaDb;
use crate::support::postgres::Postgres;
use crate::support::proxy::{Fault, Proxy};

const MENU: CachePolicy = CachePolicy::named("menu")
    .fresh_for(Duration::from_secs(5))
    .stale_if_error(Duration::from_secs(600))
    .jitter(0.0)
    .tag("dishes");

diesel::table! {
    dish (id) {
        id -> Integer,
        name -> Text,
        kind -> Nullable<Text>,
    }
}

const SCHEMA: &str = "CREATE TABLE dish (id int PRIMARY KEY, name text NOT NULL, kind text)";
const SOUP: &str = "INSERT INTO dish VALUES (1, 'soup', 'hot'), (2, 'salad', NULL)";
const RAISE: &str = "UPDATE dish SET name = 'stew' WHERE id = 1";

type Dishes = Arc<Vec<(i32, String)>>;

/// The same application for both servers: their connections are types of their own.
macro_rules! application {
    ($name:ident, $server:ty, $connection:ty, $settings:literal) => {
        mod $name {
            use super::*;

            struct Kitchen {
                _server: $server,
                proxy: Proxy,
                pool: Pool<$connection>,
                clock: ManualClock,
            }

            impl Kitchen {
                async fn open() -> Self {
                    let server = <$server>::start().await;
                    let proxy = Proxy::start(server.addr()).await.unwrap();
                    let clock = ManualClock::new();
                    let breaker = Breaker::builder()
                        .clock(clock.clone())
                        .consecutive_failures(None)
                        .minimum_calls(1_000);
                    let url = server.url_via(proxy.addr().port()) + $settings;
                    let manager = AsyncDieselConnectionManager::<$connection>::new(url);
                    let pool = Pool::builder(manager).max_size(2).breaker(breaker);
                    let pool: Pool<$connection> = pool.build().unwrap();
                    let mut conn = pool.get().await.unwrap();
                    for sql in [SCHEMA, SOUP] {
                        diesel::sql_query(sql).execute(&mut conn).await.unwrap();
                    }
                    drop(conn);
                    Self {
                        _server: server,
                        proxy,
                        pool,
                        clock,
                    }
                }

                /// All dishes of these numbers and this kind.
                async fn ask(
                    &self,
                    ids: std::ops::Range<i32>,
                    kind: Option<&str>,
                ) -> Result<Served<Dishes>, ReadError> {
                    let dishes = dish::table
                        .filter(dish::id.between(ids.start, ids.end))
                        .filter(dish::kind.eq(kind.map(str::to_owned)))
                        .order(dish::id)
                        .select((dish::id, dish::name));
                    dishes.cached(&MENU).load_served(&self.pool).await
                }

                async fn is_fresh(&self) -> bool {
                    let served = self.ask(1..2, Some("hot")).await.unwrap();
                    matches!(served.source, Source::Fresh { .. })
                }
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn bound_values_tell_answers_apart() {
                let kitchen = Kitchen::open().await;
                for (ids, kind, names) in [
                    (1..2, Some("hot"), &["soup"][..]),
                    (1..1, Some("hot"), &["soup"]),
                    (2..2, Some("hot"), &[]),
                    // NULL equals nothing.
                    (1..2, None, &[]),
                    (1..2, Some("cold"), &[]),
                    (1..2, Some(""), &[]),
                ] {
                    let served = kitchen.ask(ids.clone(), kind).await.unwrap();
                    assert_eq!(served.source, Source::Live, "{ids:?} {kind:?}");
                    let got: Vec<_> = served.value.iter().map(|(_, name)| name.as_str()).collect();
                    assert_eq!(got, names, "{ids:?} {kind:?}");
                    let again = kitchen.ask(ids.clone(), kind).await.unwrap();
                    assert!(matches!(again.source, Source::Fresh { .. }), "{again:?}");
                }
                let query = || dish::table.find(1).select(dish::name);
                let first = query().cached(&MENU).first(&kitchen.pool);
                let name: Option<Arc<String>> = first.await.unwrap();
                assert_eq!(name.unwrap().as_str(), "soup");
                let all = query().cached(&MENU).load(&kitchen.pool);
                let all: Arc<Vec<String>> = all.await.unwrap();
                assert_eq!(*all, ["soup"], "another shape is another answer");
                assert_eq!(kitchen.pool.snapshot().cache.totals.loads, 8);
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn stale_answers_and_fallbacks_stand_in() {
                let kitchen = Kitchen::open().await;
                kitchen.ask(1..2, Some("hot")).await.unwrap();
                let age = Duration::from_secs(10);
                kitchen.clock.advance(age);
                kitchen.proxy.set(Fault::Cut);
                let cut = async || kitchen.proxy.live() == 0;
                eventually("connections are cut", cut).await;
                let reason = StaleReason::Unanswered(Unanswered::Failure);
                let served = kitchen.ask(1..2, Some("hot")).await.unwrap();
                assert_eq!(served.source, Source::Stale { age, reason });
                let open = kitchen.pool.gate().breaker().force_open();
                let error = kitchen.ask(1..2, Some("cold")).await.unwrap_err();
                assert!(matches!(error, ReadError::Refused(_)), "{error:?}");
                let names = dish::table.select(dish::name).cached(&MENU);
                let names: Arc<Vec<String>> = names
                    .or_value(vec!["the usual".to_owned()])
                    .load(&kitchen.pool)
                    .await
                    .unwrap();
                assert_eq!(*names, ["the usual"]);
                drop(open);
            }

            /// Regression test: a refused login was returned instead of the fallback.
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn a_refused_login_is_no_answer() {
                let server = <$server>::start().await;
                let url = server.url().replace("postgres@", "app:wrong@");
                let url = url.replace("root@", "app:wrong@") + $settings;
                let manager = AsyncDieselConnectionManager::<$connection>::new(url);
                let pool: Pool<$connection> = Pool::builder(manager).build().unwrap();
                for _ in 0..8 {
                    let names = dish::table.select(dish::name).cached(&MENU);
                    let names: Arc<Vec<String>> = names
                        .or_value(vec!["the usual".to_owned()])
                        .load(&pool)
                        .await
                        .unwrap();
                    assert_eq!(*names, ["the usual"]);
                }
                assert_eq!(pool.snapshot().gate.breaker.totals.trips, 0);
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn a_write_invalidates_when_it_takes_effect() {
                let kitchen = Kitchen::open().await;
                let mut conn = kitchen.pool.get().await.unwrap();
                kitchen.is_fresh().await;
                let raise = || diesel::sql_query(RAISE);
                raise().execute(&mut conn).await.unwrap();
                assert!(kitchen.is_fresh().await, "it names no tag");
                raise()
                    .execute(&mut conn.invalidates(&["dishes"]))
                    .await
                    .unwrap();
                assert!(!kitchen.is_fresh().await, "a write alone");

                let mut is_fresh_inside = false;
                conn.transaction(async |conn| {
                    raise().execute(&mut conn.invalidates(&["dishes"])).await?;
                    is_fresh_inside = kitchen.is_fresh().await;
                    QueryResult::Ok(())
                })
                .await
                .unwrap();
                assert!(is_fresh_inside, "it is not committed yet");
                assert!(!kitchen.is_fresh().await, "it is committed");

                let rolled_back = conn.transaction(async |conn| {
                    raise().execute(&mut conn.invalidates(&["dishes"])).await?;
                    Err::<(), _>(diesel::result::Error::RollbackTransaction)
                });
                rolled_back.await.unwrap_err();
                assert!(kitchen.is_fresh().await, "it is rolled back");
            }
        }
    };
}

application!(postgres, Postgres, AsyncPgConnection, "");
// Or it would not come by the proxy.
application!(
    mariadb,
    MariaDb,
    AsyncMysqlConnection,
    "?prefer_socket=false"
);

/// In MariaDB, some statements commit the transaction that they are part of.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_is_committed_by_another_statement() {
    use crate::shop::{DieselMysql, Settings, Shop, World, set};
    let world = World::<DieselMysql>::open(Settings::default()).await;
    let shop = &world.shop;
    shop.read().await.unwrap();
    let mut conn = shop.0.get().await.unwrap();
    let mut fresh_inside = Some(0);
    let rolled_back = conn.transaction(async |conn| {
        let mut tagged = conn.invalidates(&["dishes"]);
        diesel::sql_query(set(1)).execute(&mut tagged).await?;
        drop(tagged);
        let create = diesel::sql_query("CREATE TABLE other (id int)");
        create.execute(conn).await?;
        fresh_inside = shop.fresh().await;
        Err::<(), _>(diesel::result::Error::RollbackTransaction)
    });
    rolled_back.await.unwrap_err();
    drop(conn);
    assert_eq!(fresh_inside, None, "it took effect");
    assert_eq!(shop.read().await.unwrap().0, 1);
    let done = async || shop.fresh().await == Some(1);
    eventually("nothing is in doubt", done).await;
}
