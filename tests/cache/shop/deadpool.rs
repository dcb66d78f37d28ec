//! The shop on deadpool-postgres.

use std::any::Any;
use std::sync::Arc;

use fusepool::deadpool::postgres;
use fusepool::{Gate, Source};
use tokio_postgres::NoTls;

use super::{DEFAULT, End, Fallback, LAST, PRICE, READ, Settings, Shop, breaker, set, text};
use crate::support;

pub struct Deadpool(pub postgres::Pool);

impl Shop for Deadpool {
    type Server = support::postgres::Postgres;

    fn open(url: &str, settings: Settings) -> Self {
        let manager = postgres::Manager::new(url.parse().unwrap(), NoTls);
        let pool = postgres::Pool::builder(manager)
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
        let served = self.0.cached(&PRICE).query_one_served(READ, &[]).await;
        let served = served.map_err(text)?;
        Ok((served.value.get(0), served.source))
    }

    /// Rows cannot be made: none stand for the default.
    async fn fall_back(&self, to: Fallback, other: &Self) -> Result<(i32, Source), String> {
        let read = self.0.read::<Arc<Vec<_>>>();
        let simpler = async {
            let client = other.0.get().await.map_err(text)?;
            client.query("SELECT -2", &[]).await.map_err(text)
        };
        let read = match to {
            Fallback::Cached => read.cached(&LAST),
            Fallback::Default => read.or_value(Vec::new()),
            Fallback::OtherQuery => read.or_else(simpler),
            Fallback::OtherPool => read.or_from(&other.0),
        };
        let served = read.query_served(READ, &[]).await.map_err(text)?;
        let first = served.value.first();
        Ok((first.map_or(DEFAULT, |row| row.get(0)), served.source))
    }

    async fn hold(&self) -> Box<dyn Any + Send> {
        Box::new(self.0.get().await)
    }

    async fn write(&self, sql: &str) -> Result<(), String> {
        let client = self.0.get().await.map_err(text)?;
        let write = client.invalidates(&["dishes"]);
        write.execute(sql, &[]).await.map(drop).map_err(text)
    }

    async fn write_in_transaction(
        &self,
        sql: &str,
        inner: Option<End>,
        outer: End,
    ) -> Result<(), String> {
        let mut client = self.0.get().await.map_err(text)?;
        let mut outermost = client.transaction().await.map_err(text)?;
        match inner {
            None => {
                let write = outermost.invalidates(&["dishes"]);
                write.execute(sql, &[]).await.map_err(text)?;
            }
            Some(end) => {
                let savepoint = outermost.transaction().await.map_err(text)?;
                let write = savepoint.invalidates(&["dishes"]);
                write.execute(sql, &[]).await.map_err(text)?;
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
        let client = self.0.get().await.unwrap();
        let open = self.gate().breaker().force_open();
        let tagged = client.invalidates(&["dishes"]);
        let refused = tagged.query_raw(&set(1), [0_i32; 0]).await.err();
        assert!(fusepool::refusal(&refused.unwrap()).is_some());
        let refused = tagged.simple_query_raw(&set(1)).await.err();
        assert!(fusepool::refusal(&refused.unwrap()).is_some());
        drop(open);
    }

    async fn write_by_texts(&self, sql: &str, end: End) -> Result<(), String> {
        let client = self.0.get().await.map_err(text)?;
        client.batch_execute("BEGIN").await.map_err(text)?;
        let write = client.invalidates(&["dishes"]);
        write.execute(sql, &[]).await.map_err(text)?;
        client.batch_execute(end.text()).await.map_err(text)
    }
}
