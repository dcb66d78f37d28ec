//! The calls with deadpool-postgres.

use std::any::Any;
use std::sync::Arc;

use fusepool::deadpool::postgres::{Manager, Pool};
use fusepool::{PoolSnapshot, breaker};
use futures_util::future::{BoxFuture, join_all};
use futures_util::{TryStreamExt, pin_mut};
use tokio_postgres::NoTls;

use super::{ADD, ALL, CONNECTIONS, Call, KEPT, NUMBERS, OPEN_ON_POSTGRES, Outcome, Subject};
use crate::support::postgres::Postgres;

impl Subject for Pool {
    async fn start(breaker: breaker::Builder) -> (Self, Box<dyn Any>) {
        let server = Postgres::start().await;
        let manager = Manager::new(server.url().parse().unwrap(), NoTls);
        let builder = Self::builder(manager).max_size(CONNECTIONS);
        let pool = builder.breaker(breaker).build().unwrap();
        (pool, Box::new(server))
    }

    fn call(self, call: Call) -> BoxFuture<'static, Outcome<()>> {
        let pool = self;
        Box::pin(async move {
            match call {
                Call::Statement => drop(pool.get().await?.execute(ADD, &[]).await?),
                Call::Stream => {
                    let client = pool.get().await?;
                    let rows = client.query_raw(ALL, [0_i32; 0]).await?;
                    pin_mut!(rows);
                    while rows.try_next().await?.is_some() {}
                }
                Call::Cached(id) => {
                    let read = pool.cached::<Arc<_>>(&KEPT);
                    read.query_one(NUMBERS[id], &[]).await?;
                }
                Call::CachedOrDefault(id) => {
                    let row = pool.get().await?.query_one(ALL, &[]).await;
                    let read = pool.cached::<Arc<_>>(&KEPT);
                    let read = match row {
                        Ok(row) => read.or_value(row),
                        Err(_) => read,
                    };
                    read.query_one(NUMBERS[id], &[]).await?;
                }
                Call::Write => {
                    let client = pool.get().await?;
                    client.invalidates(&["t"]).execute(ADD, &[]).await?;
                }
                Call::Lease => {
                    let client = pool.get().await?;
                    client.batch_execute("SELECT 1").await?;
                    client.query(NUMBERS[0], &[]).await?;
                }
                Call::Transaction => {
                    let mut client = pool.get().await?;
                    let mut transaction = client.transaction().await?;
                    transaction.query(NUMBERS[0], &[]).await?;
                    transaction.transaction().await?.rollback().await?;
                    transaction.commit().await?;
                }
                Call::OtherTransaction => {
                    let client = pool.get().await?;
                    client.batch_execute("BEGIN").await?;
                    client.query(NUMBERS[0], &[]).await?;
                    client.batch_execute("ROLLBACK").await?;
                }
            }
            Ok(())
        })
    }

    async fn run(&self, connections: usize, sql: &'static str) {
        let clients = join_all((0..connections).map(|_| self.get())).await;
        for client in clients {
            let mut client = client.unwrap();
            let transaction = client.transaction().await.unwrap();
            transaction.batch_execute(sql).await.unwrap();
            transaction.commit().await.unwrap();
        }
    }

    async fn open_transactions(&self) -> Option<i64> {
        let client = self.get().await.unwrap();
        let open = client.query_one_scalar(OPEN_ON_POSTGRES, &[]).await;
        Some(open.unwrap())
    }

    fn snapshot(&self) -> PoolSnapshot {
        self.snapshot()
    }
}
