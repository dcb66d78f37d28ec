//! The calls with diesel-async.

use std::any::Any;
use std::sync::Arc;

use diesel::dsl::sql;
use diesel::sql_types::BigInt;
use diesel_async::{AsyncConnection, RunQueryDsl, SimpleAsyncConnection};
use fusepool::deadpool::diesel::{
    AsyncDieselConnectionManager, AsyncMysqlConnection, AsyncPgConnection, Pool, ReadExt,
};
use fusepool::{PoolSnapshot, breaker};
use futures_util::future::{BoxFuture, join_all};
use futures_util::{TryStreamExt, pin_mut};

use super::{ADD, ALL, CONNECTIONS, Call, KEPT, Outcome, Subject};
use super::{OPEN_ON_MARIADB, OPEN_ON_POSTGRES};
use crate::support::mariadb::MariaDb;
use crate::support::postgres::Postgres;

#[derive(diesel::QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    #[diesel(column_name = "n")]
    _n: i64,
}

/// The connections of diesel are types of their own for each server.
macro_rules! on_diesel {
    ($connection:ty, $server:ty, $settings:literal, $open:expr) => {
        impl Subject for Pool<$connection> {
            async fn start(breaker: breaker::Builder) -> (Self, Box<dyn Any>) {
                let server = <$server>::start().await;
                let url = server.url() + $settings;
                let manager = AsyncDieselConnectionManager::<$connection>::new(url);
                let builder = Self::builder(manager).max_size(CONNECTIONS);
                let pool = builder.breaker(breaker).build().unwrap();
                (pool, Box::new(server))
            }

            fn call(self, call: Call) -> BoxFuture<'static, Outcome<()>> {
                let pool = self;
                let number = |id: usize| {
                    let text = format!("(SELECT n FROM t WHERE id = {id})");
                    diesel::select(sql::<BigInt>(&text))
                };
                Box::pin(async move {
                    match call {
                        Call::Statement => {
                            let mut conn = pool.get().await?;
                            diesel::sql_query(ADD).execute(&mut conn).await?;
                        }
                        Call::Stream => {
                            let mut conn = pool.get().await?;
                            let rows = diesel::sql_query(ALL).load_stream::<Number>(&mut conn);
                            let rows = rows.await?;
                            pin_mut!(rows);
                            while rows.try_next().await?.is_some() {}
                        }
                        Call::Cached(id) => {
                            let read = number(id).cached(&KEPT);
                            let _: Option<Arc<i64>> = read.first(&pool).await?;
                        }
                        Call::CachedOrDefault(id) => {
                            let read = number(id).cached(&KEPT).or_value(Arc::new(-1));
                            let _: Option<Arc<i64>> = read.first(&pool).await?;
                        }
                        Call::Write => {
                            let mut conn = pool.get().await?;
                            let write = diesel::sql_query(ADD);
                            write.execute(&mut conn.invalidates(&["t"])).await?;
                        }
                        Call::Lease => {
                            let mut conn = pool.get().await?;
                            conn.batch_execute("SELECT 1").await?;
                            number(0).get_result::<i64>(&mut conn).await?;
                        }
                        Call::Transaction => {
                            let mut conn = pool.get().await?;
                            let transaction = conn.transaction(async |conn| {
                                number(0).get_result::<i64>(conn).await?;
                                let inner = conn.transaction(async |_| {
                                    Err::<(), _>(diesel::result::Error::RollbackTransaction)
                                });
                                let _ = inner.await;
                                Ok::<_, diesel::result::Error>(())
                            });
                            transaction.await?;
                        }
                        Call::OtherTransaction => {
                            let mut conn = pool.get().await?;
                            conn.batch_execute("BEGIN").await?;
                            number(0).get_result::<i64>(&mut conn).await?;
                            conn.batch_execute("ROLLBACK").await?;
                        }
                    }
                    Ok(())
                })
            }

            async fn run(&self, connections: usize, sql: &'static str) {
                let leases = join_all((0..connections).map(|_| self.get())).await;
                for conn in leases {
                    let mut conn = conn.unwrap();
                    for sql in ["BEGIN", sql, "COMMIT"] {
                        conn.batch_execute(sql).await.unwrap();
                    }
                }
            }

            async fn open_transactions(&self) -> Option<i64> {
                let mut conn = self.get().await.unwrap();
                let open = diesel::select(sql::<BigInt>(&format!("({})", $open)));
                Some(open.get_result(&mut conn).await.unwrap())
            }

            fn snapshot(&self) -> PoolSnapshot {
                self.snapshot()
            }
        }
    };
}

on_diesel!(AsyncPgConnection, Postgres, "", OPEN_ON_POSTGRES);
on_diesel!(
    AsyncMysqlConnection,
    MariaDb,
    "?prefer_socket=false",
    OPEN_ON_MARIADB
);
