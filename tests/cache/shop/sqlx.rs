//! The shop on sqlx.

use std::any::Any;

use fusepool::sqlx::{Driver, Pool, PoolOptions, ReadExt, WriteExt};
use fusepool::{Gate, Source};
use sqlx::{AssertSqlSafe, Database, MySql, Postgres};

use super::{
    DEFAULT, End, Fallback, LAST, PRICE, READ, SIMPLER, Settings, Shop, breaker, set, text,
};
use crate::support;

pub struct Sqlx<DB: Database>(pub Pool<DB>);

impl<DB> Sqlx<DB>
where
    DB: Driver,
{
    fn with(url: &str, settings: Settings) -> Self {
        let options = PoolOptions::<DB>::new()
            .max_connections(4)
            .query_timeout(settings.query_timeout)
            .side_connections(settings.side_connections)
            .max_queue(settings.max_queue)
            .breaker(breaker());
        Self(options.connect_lazy(url).unwrap())
    }
}

macro_rules! shop_on_sqlx {
    ($db:ty, $server:ty) => {
        impl Shop for Sqlx<$db> {
            type Server = $server;

            fn open(url: &str, settings: Settings) -> Self {
                Self::with(url, settings)
            }

            fn gate(&self) -> &Gate {
                self.0.gate()
            }

            async fn read(&self) -> Result<(i32, Source), String> {
                let read = sqlx::query_scalar::<$db, i32>(READ).cached(&PRICE);
                let served = read.fetch_one_served(&self.0).await.map_err(text)?;
                Ok((*served.value, served.source))
            }

            async fn fall_back(&self, to: Fallback, other: &Self) -> Result<(i32, Source), String> {
                let read = sqlx::query_scalar::<$db, i32>(READ);
                let read = match to {
                    Fallback::Cached => read.cached(&LAST),
                    Fallback::Default => read.or_value(DEFAULT),
                    Fallback::OtherQuery => read.or_else(async { Ok(SIMPLER) }),
                    Fallback::OtherPool => read.or_from(&other.0),
                };
                let served = read.fetch_one_served(&self.0).await.map_err(text)?;
                Ok((*served.value, served.source))
            }

            async fn hold(&self) -> Box<dyn Any + Send> {
                Box::new(self.0.acquire().await)
            }

            async fn write(&self, sql: &str) -> Result<(), String> {
                let write = sqlx::query::<$db>(AssertSqlSafe(sql.to_owned()));
                let written = write.invalidates(&["dishes"]).execute(&self.0).await;
                written.map(drop).map_err(text)
            }

            async fn write_in_transaction(
                &self,
                sql: &str,
                inner: Option<End>,
                outer: End,
            ) -> Result<(), String> {
                let write = || {
                    let write = sqlx::query::<$db>(AssertSqlSafe(sql.to_owned()));
                    write.invalidates(&["dishes"])
                };
                let mut outermost = self.0.begin().await.map_err(text)?;
                match inner {
                    None => {
                        write().execute(&mut *outermost).await.map_err(text)?;
                    }
                    Some(end) => {
                        let mut savepoint = outermost.begin().await.map_err(text)?;
                        write().execute(&mut *savepoint).await.map_err(text)?;
                        match end {
                            End::Commit => savepoint.commit().await.map_err(text)?,
                            End::RollBack => savepoint.rollback().await.map_err(text)?,
                        }
                    }
                }
                match outer {
                    End::Commit => outermost.commit().await.map_err(text),
                    End::RollBack => outermost.rollback().await.map_err(text),
                }
            }

            async fn write_refused(&self) {
                let mut lease = self.0.acquire().await.unwrap();
                let open = self.gate().breaker().force_open();
                let write = || sqlx::query_scalar::<$db, i32>(AssertSqlSafe(set(1)));
                let on_pool = write().fetch_all(self.0.invalidates(&["dishes"])).await;
                assert!(fusepool::refusal(&on_pool.unwrap_err()).is_some());
                let on_lease = write().fetch_all(lease.invalidates(&["dishes"])).await;
                assert!(fusepool::refusal(&on_lease.unwrap_err()).is_some());
                drop(open);
            }

            async fn write_by_texts(&self, sql: &str, end: End) -> Result<(), String> {
                let mut lease = self.0.acquire().await.map_err(text)?;
                sqlx::raw_sql("BEGIN")
                    .execute(&mut *lease)
                    .await
                    .map_err(text)?;
                let write = sqlx::query::<$db>(AssertSqlSafe(sql.to_owned()));
                let write = write.invalidates(&["dishes"]).execute(&mut *lease);
                write.await.map_err(text)?;
                let end = sqlx::raw_sql(end.text()).execute(&mut *lease).await;
                end.map(drop).map_err(text)
            }
        }
    };
}

shop_on_sqlx!(Postgres, support::postgres::Postgres);
shop_on_sqlx!(MySql, support::mariadb::MariaDb);
