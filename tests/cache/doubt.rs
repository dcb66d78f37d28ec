//! Writes that are given up and take effect later, or not at all. Until the server is known to have ended
//! such a write, nobody is served a fresh answer: whoever reads in between would put the old rows back.

use std::time::Duration;

use tokio::time::timeout;

use crate::shop::{
    Deadpool, DieselMysql, DieselPostgres, End, LIMIT, Settings, Shop, Sqlx, World, set,
};
use crate::support::eventually;
use crate::support::proxy::Fault;

/// Runs each of these functions, which are generic over the family of pools, on all with a server.
macro_rules! on_all_shops {
    ($($test:ident)*) => {
        on_all_shops!(@ sqlx_postgres Sqlx<sqlx::Postgres> { $($test)* });
        on_all_shops!(@ sqlx_mariadb Sqlx<sqlx::MySql> { $($test)* });
        on_all_shops!(@ deadpool_postgres Deadpool { $($test)* });
        on_all_shops!(@ diesel_postgres DieselPostgres { $($test)* });
        on_all_shops!(@ diesel_mariadb DieselMysql { $($test)* });
    };
    (@ $name:ident $shop:ty { $($test:ident)* }) => {
        mod $name {
            use super::*;

            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test::<$shop>().await;
            })*
        }
    };
}

on_all_shops! {
    a_write_that_is_given_up_and_lands_later
    a_write_that_is_given_up_and_stopped
    a_write_that_is_dropped_by_its_caller
    a_write_whose_connection_breaks
    a_transaction_by_texts
    a_write_that_is_refused_as_a_stream
}

const PATIENT: Settings = Settings {
    // Its connection is kept for as long, to see the end of the write.
    query_timeout: Duration::from_secs(20),
    side_connections: false,
    max_queue: 100,
};

/// The server is not told to stop it. Both the next read and the write are later than the give-up.
async fn a_write_that_is_given_up_and_lands_later<S: Shop>() {
    let World {
        shop,
        mut admin,
        server: _server,
        proxy: _proxy,
    } = World::<S>::open(PATIENT).await;
    shop.read().await.unwrap();
    assert_eq!(shop.fresh().await, Some(0));
    admin.lock().await;
    let mut given_up = 0;
    eventually("the write was sent and given up", async || {
        let written = timeout(LIMIT, shop.write(&set(99))).await;
        assert!(written.is_err(), "it waits for the lock: {written:?}");
        given_up += 1;
        admin.writes().await > 0
    })
    .await;
    for _ in 0..3 {
        assert_eq!(shop.fresh().await, None, "it may take effect at any time");
    }
    admin.unlock().await;
    eventually("the write takes effect", async || admin.price().await == 99).await;
    let (price, source) = shop.read().await.unwrap();
    assert_eq!(price, 99, "{source:?}, after {given_up}");
    end_is_known(&shop).await;
    assert_eq!(shop.fresh().await, Some(99));
}

/// The write has ended, and nothing is in doubt any more.
async fn end_is_known(shop: &impl Shop) {
    let is_fresh = async || shop.fresh().await.is_some();
    eventually("the end of the write is known", is_fresh).await;
}

/// At its deadline, the server is told to stop the write. Then it is over, whatever the lock does.
async fn a_write_that_is_given_up_and_stopped<S: Shop>() {
    let World {
        shop,
        mut admin,
        server: _server,
        proxy: _proxy,
    } = World::<S>::open(Settings::default()).await;
    shop.read().await.unwrap();
    admin.lock().await;
    shop.write(&set(99)).await.unwrap_err();
    end_is_known(&shop).await;
    assert_eq!(admin.writes().await, 0, "it was stopped");
    admin.unlock().await;
    assert_eq!((shop.fresh().await, admin.price().await), (Some(0), 0));
}

async fn a_write_that_is_dropped_by_its_caller<S: Shop>() {
    let World {
        shop,
        mut admin,
        server: _server,
        proxy: _proxy,
    } = World::<S>::open(Settings {
        query_timeout: Duration::from_secs(20),
        ..Settings::default()
    })
    .await;
    shop.read().await.unwrap();
    admin.lock().await;
    let sql = set(99);
    let write = shop.write(&sql);
    tokio::select! {
        written = write => panic!("it waits for the lock: {written:?}"),
        () = eventually("it waits", async || admin.writes().await > 0) => {}
    }
    assert_eq!(shop.fresh().await, None, "it may take effect at any time");
    end_is_known(&shop).await;
    admin.unlock().await;
    assert_eq!((shop.fresh().await, admin.price().await), (Some(0), 0));
}

/// The client cannot learn from a broken connection whether the server still waits with the write. It asks
/// for the session, and ends it.
async fn a_write_whose_connection_breaks<S: Shop>() {
    let World {
        shop,
        mut admin,
        proxy,
        server: _server,
    } = World::<S>::open(Settings {
        query_timeout: Duration::from_secs(20),
        ..Settings::default()
    })
    .await;
    shop.read().await.unwrap();
    admin.lock().await;
    let sql = set(99);
    let mut write = std::pin::pin!(shop.write(&sql));
    tokio::select! {
        written = &mut write => panic!("it waits for the lock: {written:?}"),
        () = eventually("it waits", async || admin.writes().await > 0) => {}
    }
    proxy.set(Fault::Cut);
    write.await.unwrap_err();
    proxy.set(Fault::None);
    eventually("the database answers again", async || {
        shop.read().await.is_ok()
    })
    .await;
    end_is_known(&shop).await;
    assert_eq!(admin.writes().await, 0, "its session was ended");
    admin.unlock().await;
    assert_eq!((shop.fresh().await, admin.price().await), (Some(0), 0));
}

/// Regression: sqlx did not see a transaction that a text began, so that what it wrote was published when
/// the write succeeded, and the next read put the old rows back.
async fn a_transaction_by_texts<S: Shop>() {
    let World {
        shop,
        mut admin,
        server: _server,
        proxy: _proxy,
    } = World::<S>::open(Settings::default()).await;
    shop.read().await.unwrap();
    shop.write_by_texts(&set(1), End::RollBack).await.unwrap();
    assert_eq!(shop.fresh().await, Some(0), "it was rolled back");
    shop.write_by_texts(&set(2), End::Commit).await.unwrap();
    assert_eq!(shop.fresh().await, None, "it was committed");
    assert_eq!((shop.fresh().await, admin.price().await), (Some(2), 2));
    for (inner, outer) in [
        (None, End::RollBack),
        (Some(End::RollBack), End::Commit),
        (Some(End::Commit), End::Commit),
    ] {
        shop.write_in_transaction(&set(3), inner, outer)
            .await
            .unwrap();
        shop.read().await.unwrap();
        assert_eq!(
            shop.fresh().await,
            Some(admin.price().await),
            "{inner:?} {outer:?}"
        );
    }
}

/// Regression: the tags of a write that was never sent were in doubt.
async fn a_write_that_is_refused_as_a_stream<S: Shop>() {
    let World {
        shop,
        admin: _admin,
        server: _server,
        proxy: _proxy,
    } = World::<S>::open(Settings::default()).await;
    shop.read().await.unwrap();
    shop.write_refused().await;
    assert_eq!(shop.fresh().await, Some(0));
}

/// In MariaDB, some statements commit the transaction that they are part of. What it wrote before and after
/// them takes effect although it is rolled back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_is_committed_by_another_statement() {
    use fusepool::sqlx::WriteExt;
    let world = World::<Sqlx<sqlx::MySql>>::open(Settings::default()).await;
    let shop = &world.shop;
    let write = |price| {
        let write = sqlx::query::<sqlx::MySql>(sqlx::AssertSqlSafe(set(price)));
        write.invalidates(&["dishes"])
    };
    for (before, after) in [(Some(1), None), (None, Some(2)), (Some(3), Some(4))] {
        shop.read().await.unwrap();
        assert!(shop.fresh().await.is_some());
        let mut transaction = shop.0.begin().await.unwrap();
        if let Some(price) = before {
            write(price).execute(&mut *transaction).await.unwrap();
        }
        let create = "CREATE OR REPLACE TABLE other (id int)";
        sqlx::raw_sql(create)
            .execute(&mut *transaction)
            .await
            .unwrap();
        if before.is_some() {
            assert_eq!(shop.fresh().await, None, "it took effect");
        }
        if let Some(price) = after {
            write(price).execute(&mut *transaction).await.unwrap();
            assert_eq!(shop.fresh().await, None, "it took effect");
        }
        transaction.rollback().await.unwrap();
        let price = before.max(after);
        assert_eq!(shop.read().await.unwrap().0, price.unwrap());
        eventually("nothing is in doubt", async || shop.fresh().await == price).await;
    }
}
