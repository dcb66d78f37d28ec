//! Pools of diesel-async.

use std::time::Duration;

use diesel_async::pooled_connection::AsyncDieselConnectionManager;
use diesel_async::{AsyncConnection, RunQueryDsl, SimpleAsyncConnection};
use fusepool::deadpool::diesel::{
    AsyncMysqlConnection, AsyncPgConnection, Configured, Connection, Driver, Object, Pool,
    PoolBuilder, PoolError, Rows, TransactionBuilder, WeakPool,
};

macro_rules! driver {
    ($name:ident, $connection:ident) => {
        mod $name {
            use super::*;

            type Raw = diesel_async::$connection;

            #[test]
            fn types_are_send_and_sync() {
                assert_send_sync!(
                    AsyncDieselConnectionManager<Raw>,
                    Pool<$connection>,
                    PoolBuilder<$connection>,
                    PoolError,
                    WeakPool<$connection>,
                );
            }

            #[test]
            fn connections_are_send() {
                // Not `Sync`: diesel-async's connections to MySQL are not, and rows come from a boxed stream.
                assert_send!(
                    $connection,
                    Connection<Raw>,
                    Object<$connection>,
                    Rows<'static, Raw>,
                    Configured<'static, Raw>,
                    <Raw as Driver>::OwnedRow,
                );
            }

            #[expect(dead_code, reason = "that it compiles is the test")]
            fn futures_can_be_spawned(pool: &Pool<$connection>, mut conn: Object<$connection>) {
                assert_spawnable!(
                    pool.get(),
                    conn.batch_execute("SELECT 1"),
                    diesel::sql_query("SELECT 1").execute(&mut conn),
                    diesel::sql_query("SELECT 1")
                        .execute(&mut conn.with_timeout(Duration::from_secs(1))),
                    conn.transaction(async |conn| {
                        diesel::sql_query("SELECT 1").execute(conn).await
                    }),
                );
            }
        }
    };
}

driver!(postgres, AsyncPgConnection);
driver!(mysql, AsyncMysqlConnection);

/// Like those of diesel-async: several tasks can pipeline statements on one connection.
#[test]
fn connections_to_postgres_are_send_and_sync() {
    assert_send_sync!(
        AsyncPgConnection,
        Object<AsyncPgConnection>,
        TransactionBuilder<'static>,
        Configured<'static, diesel_async::AsyncPgConnection>,
    );
}

#[expect(dead_code, reason = "that it compiles is the test")]
fn pipelined_statements_can_be_spawned(mut conn: &AsyncPgConnection) {
    assert_spawnable!(diesel::sql_query("SELECT 1").execute(&mut conn));
}
