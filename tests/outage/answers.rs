//! Errors of one statement, which say nothing about the database.

use fusepool::Delivery;

use crate::support::postgres::Postgres;
use crate::system::System;
use crate::world::World;

on!(
    postgres = crate::sqlx::Sqlx<crate::support::postgres::Postgres>,
    deadpool = crate::deadpool::Deadpool,
    diesel = crate::diesel::Diesel<diesel_async::AsyncPgConnection> => {
        errors_of_one_statement
    }
);

/// Regression test: five of these in a row opened the breaker.
async fn errors_of_one_statement<S: System<Server = Postgres>>() {
    let world = World::<S>::start().await;
    world.run("CREATE TABLE t (id int)").await.unwrap();
    for sql in [
        "COPY t FROM '/nowhere'",
        // A temporary file larger than `temp_file_limit`, and an error of an extension.
        "DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '53400'; END $$",
        "DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = 'XX000'; END $$",
    ] {
        for _ in 0..10 {
            let error = world.run(sql).await.unwrap_err();
            assert!(fusepool::refusal(&error).is_none(), "{sql}: {error:?}");
            assert_eq!(S::delivery(&error), Delivery::Answered, "{sql}: {error:?}");
        }
    }
    let gate = world.gate().snapshot();
    assert_eq!(
        (gate.breaker.totals.trips, gate.breaker.totals.failures),
        (0, 0)
    );
    assert_eq!(gate.totals.closed_connections, 0);
}
