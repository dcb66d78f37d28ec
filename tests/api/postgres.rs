//! Pools of deadpool-postgres.

use std::sync::Arc;
use std::time::Duration;

use fusepool::cache::CachePolicy;
use fusepool::deadpool::postgres::{
    Client, Config, Configured, CreatePoolError, GenericClient, Manager, Pool, PoolBuilder,
    PoolError, Read, ReadError, Transaction, TransactionBuilder, WeakPool,
};
use tokio_postgres::types::Type;
use tokio_postgres::{Portal, Row};

/// The data that `COPY` sends; any `Buf` would do.
type Bytes = std::io::Cursor<Vec<u8>>;

#[test]
fn types_are_send_and_sync() {
    assert_send_sync!(
        Client,
        Config,
        CreatePoolError,
        Manager,
        Pool,
        PoolBuilder,
        PoolError,
        ReadError,
        Transaction<'static>,
        TransactionBuilder<'static>,
        WeakPool,
        Configured<'static>,
    );
}

#[test]
fn reads_are_send() {
    // Not `Sync`: a read holds the future that was given to `or_else`.
    assert_send!(Read<'static, Arc<Vec<Row>>>);
}

/// The methods that [`Client`], [`Transaction`] and [`Configured`] share.
macro_rules! assert_statements_spawnable {
    ($on:expr) => {
        assert_spawnable!(
            $on.query("SELECT 1", &[]),
            $on.query_one("SELECT 1", &[]),
            $on.query_opt("SELECT 1", &[]),
            $on.query_scalar::<i32, _>("SELECT 1", &[]),
            $on.query_one_scalar::<i32, _>("SELECT 1", &[]),
            $on.query_opt_scalar::<i32, _>("SELECT 1", &[]),
            $on.query_raw("SELECT $1", [1]),
            $on.query_typed("SELECT $1", &[(&1, Type::INT4)]),
            $on.query_typed_one("SELECT $1", &[(&1, Type::INT4)]),
            $on.query_typed_opt("SELECT $1", &[(&1, Type::INT4)]),
            $on.query_typed_raw("SELECT $1", [(1, Type::INT4)]),
            $on.execute("SELECT 1", &[]),
            $on.execute_typed("SELECT $1", &[(&1, Type::INT4)]),
            $on.execute_raw("SELECT $1", [1]),
            $on.prepare("SELECT 1"),
            $on.prepare_typed("SELECT $1", &[Type::INT4]),
            $on.prepare_cached("SELECT 1"),
            $on.prepare_typed_cached("SELECT $1", &[Type::INT4]),
            $on.copy_in::<_, Bytes>("COPY dish FROM stdin"),
            $on.copy_out("COPY dish TO stdout"),
            $on.simple_query("SELECT 1"),
            $on.simple_query_raw("SELECT 1"),
            $on.batch_execute("SELECT 1"),
            $on.check_connection(),
        );
    };
}

#[expect(dead_code, reason = "that it compiles is the test")]
fn futures_of_a_pool_can_be_spawned(pool: &Pool, other: &Pool) {
    let policy = CachePolicy::named("policy");
    assert_spawnable!(
        pool.get(),
        pool.cached(&policy).query("SELECT 1", &[]),
        pool.cached(&policy).query_served("SELECT 1", &[]),
        pool.cached(&policy).query_opt("SELECT 1", &[]),
        pool.cached(&policy).query_one("SELECT 1", &[]),
        pool.read().or_from(other).query("SELECT 1", &[]),
    );
}

#[expect(dead_code, reason = "that it compiles is the test")]
fn futures_of_a_client_can_be_spawned(client: &mut Client) {
    assert_statements_spawnable!(client);
    assert_statements_spawnable!(client.with_timeout(Duration::from_secs(1)));
    assert_spawnable!(client.transaction(), client.build_transaction().start());
}

#[expect(dead_code, reason = "that it compiles is the test")]
fn futures_of_a_transaction_can_be_spawned(
    mut one: Transaction<'static>,
    other: Transaction<'static>,
    portal: &Portal,
) {
    assert_statements_spawnable!(one);
    assert_spawnable!(
        one.bind("SELECT 1", &[]),
        one.bind_raw("SELECT $1", [1]),
        one.query_portal(portal, 1),
        one.query_portal_raw(portal, 1),
        one.transaction(),
        one.savepoint("one"),
        one.commit(),
        other.rollback(),
    );
}

#[expect(dead_code, reason = "that it compiles is the test")]
fn futures_of_any_client_can_be_spawned(client: &impl GenericClient) {
    assert_spawnable!(client.batch_execute("SELECT 1"));
}
