//! The shop on diesel-async, whose methods would be ambiguous beside those of others.

use std::any::Any;
use std::sync::Arc;

use diesel::prelude::*;
use diesel_async::{AsyncConnection, RunQueryDsl, SimpleAsyncConnection};
use fusepool::deadpool::diesel::{
    AsyncDieselConnectionManager, AsyncMysqlConnection, AsyncPgConnection, Pool, ReadExt,
};
use fusepool::{Gate, Source};

use super::{DEFAULT, End, Fallback, LAST, PRICE, SIMPLER, Settings, Shop, breaker, text};
use crate::support;

diesel::table! {
    dish (id) {
        id -> Integer,
        price -> Integer,
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = diesel::sql_types::Integer)]
    #[expect(dead_code, reason = "it is refused")]
    price: i32,
}

pub struct DieselPostgres(pub Pool<AsyncPgConnection>);
pub struct DieselMysql(pub Pool<AsyncMysqlConnection>);

macro_rules! shop_on_diesel {
    ($shop:ident, $connection:ty, $server:ty, $settings:literal) => {
        impl Shop for $shop {
            type Server = $server;

            fn open(url: &str, settings: Settings) -> Self {
                let url = url.to_owned() + $settings;
                let manager = AsyncDieselConnectionManager::<$connection>::new(url);
                let pool = Pool::builder(manager)
                    .max_size(4)
                    .query_timeout(settings.query_timeout)
                    .side_connections(settings.side_connections)
                    .max_queue(settings.max_queue)
                    .breaker(breaker());
                Self(pool.build().unwrap())
            }

            fn gate(&self) -> &Gate {
                self.0.gate()
            }

            async fn read(&self) -> Result<(i32, Source), String> {
                let price = dish::table.find(1).select(dish::price).cached(&PRICE);
                let served = price.load_served(&self.0).await.map_err(text)?;
                let prices: Arc<Vec<i32>> = served.value;
                Ok((prices[0], served.source))
            }

            async fn fall_back(&self, to: Fallback, other: &Self) -> Result<(i32, Source), String> {
                let price = dish::table.find(1).select(dish::price);
                let read = match to {
                    Fallback::Cached => price.cached(&LAST),
                    Fallback::Default => price.with_fallback().or_value(vec![DEFAULT]),
                    Fallback::OtherQuery => {
                        let simpler = async { Ok::<_, String>(vec![SIMPLER]) };
                        price.with_fallback().or_else(simpler)
                    }
                    Fallback::OtherPool => price.with_fallback().or_from(&other.0),
                };
                let served = read.load_served(&self.0).await.map_err(text)?;
                let prices: Arc<Vec<i32>> = served.value;
                Ok((prices[0], served.source))
            }

            async fn hold(&self) -> Box<dyn Any + Send> {
                Box::new(self.0.get().await)
            }

            async fn write(&self, sql: &str) -> Result<(), String> {
                let mut conn = self.0.get().await.map_err(text)?;
                let write = diesel::sql_query(sql);
                let written = write.execute(&mut conn.invalidates(&["dishes"])).await;
                written.map(drop).map_err(text)
            }

            async fn write_in_transaction(
                &self,
                sql: &str,
                inner: Option<End>,
                outer: End,
            ) -> Result<(), String> {
                async fn write(conn: &mut $connection, sql: &str, end: End) -> QueryResult<()> {
                    let write = diesel::sql_query(sql);
                    write.execute(&mut conn.invalidates(&["dishes"])).await?;
                    match end {
                        End::Commit => Ok(()),
                        End::RollBack => Err(diesel::result::Error::RollbackTransaction),
                    }
                }
                let mut conn = self.0.get().await.map_err(text)?;
                let ended = conn.transaction(async |conn| {
                    match inner {
                        None => write(conn, sql, End::Commit).await?,
                        Some(end) => {
                            let inner = conn
                                .transaction(async |conn| write(conn, sql, end).await)
                                .await;
                            match inner {
                                Err(diesel::result::Error::RollbackTransaction) => {}
                                other => other?,
                            }
                        }
                    }
                    match outer {
                        End::Commit => Ok(()),
                        End::RollBack => Err(diesel::result::Error::RollbackTransaction),
                    }
                });
                match ended.await {
                    Err(diesel::result::Error::RollbackTransaction) => Ok(()),
                    other => other.map_err(text),
                }
            }

            async fn write_refused(&self) {
                let mut conn = self.0.get().await.unwrap();
                let open = self.gate().breaker().force_open();
                let write = diesel::sql_query(super::set(1));
                let mut tagged = conn.invalidates(&["dishes"]);
                let refused = write.load_stream::<Row>(&mut tagged).await.err();
                assert!(fusepool::refusal(&refused.unwrap()).is_some());
                drop(open);
            }

            async fn write_by_texts(&self, sql: &str, end: End) -> Result<(), String> {
                let mut conn = self.0.get().await.map_err(text)?;
                conn.batch_execute("BEGIN").await.map_err(text)?;
                let write = diesel::sql_query(sql);
                let write = write.execute(&mut conn.invalidates(&["dishes"])).await;
                write.map_err(text)?;
                conn.batch_execute(end.text()).await.map_err(text)
            }
        }
    };
}

shop_on_diesel!(
    DieselPostgres,
    AsyncPgConnection,
    support::postgres::Postgres,
    ""
);
shop_on_diesel!(
    DieselMysql,
    AsyncMysqlConnection,
    support::mariadb::MariaDb,
    "?prefer_socket=false"
);
