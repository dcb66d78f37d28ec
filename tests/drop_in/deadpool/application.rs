// Ordinary code for deadpool-postgres. Included by ../deadpool.rs into two modules.

use std::time::Duration;

use super::Checked;
use futures_util::{SinkExt, TryStreamExt, pin_mut};
use imports::tokio_postgres::types::{ToSql, Type};
use imports::tokio_postgres::{Error, IsolationLevel, NoTls, Row, Statement};
use imports::{
    Client, Config, CreatePoolError, GenericClient, Hook, HookError, Manager, ManagerConfig,
    Object, Pool, PoolConfig, PoolError, RecyclingMethod, Runtime, TimeoutType, Timeouts,
    Transaction,
};

/// Runs every use against a reachable database.
pub async fn all(url: &str) -> Checked {
    pools_come_from_a_configuration(url).await?;
    let pool = pool(url, 4)?;
    let client = pool.get().await?;
    client
        .batch_execute("CREATE TABLE dish (name text PRIMARY KEY, price int NOT NULL)")
        .await?;
    drop(client);
    rows_are_asked_for_in_every_way(&pool).await?;
    statements_are_prepared_and_cached(&pool).await?;
    transactions_commit_and_roll_back(&pool).await?;
    statements_are_pipelined(&pool).await?;
    rows_are_copied(&pool).await?;
    code_is_generic(&pool).await?;
    errors_are_matched_on(&pool).await?;
    the_drivers_own_client_is_within_reach(&pool).await?;
    pools_are_looked_after(url).await?;
    pools_are_waited_for(url).await?;
    Ok(())
}

fn pool(url: &str, size: usize) -> Result<Pool, Box<dyn std::error::Error>> {
    let manager = Manager::from_config(
        url.parse()?,
        NoTls,
        ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        },
    );
    Ok(Pool::builder(manager).max_size(size).build()?)
}

async fn pools_come_from_a_configuration(url: &str) -> Checked {
    let mut config = Config::new();
    config.url = Some(url.to_owned());
    config.application_name = Some("drop-in".to_owned());
    config.connect_timeout = Some(Duration::from_secs(5));
    config.manager = Some(ManagerConfig {
        recycling_method: RecyclingMethod::Verified,
    });
    config.pool = Some(PoolConfig::new(2));
    let pool: Pool = config.create_pool(Some(Runtime::Tokio1), NoTls)?;
    assert_eq!(pool.status().max_size, 2);
    let client: Client = pool.get().await?;
    let row = client.query_one("SHOW application_name", &[]).await?;
    assert_eq!(row.get::<_, &str>(0), "drop-in");

    let config = Config {
        host: Some("localhost".to_owned()),
        ..Config::default()
    };
    let failed = config.create_pool(None, NoTls);
    assert!(matches!(failed, Err(CreatePoolError::Config(_))));
    Ok(())
}

async fn rows_are_asked_for_in_every_way(pool: &Pool) -> Checked {
    let client = pool.get().await?;
    let insert = "INSERT INTO dish VALUES ($1, $2)";
    assert_eq!(client.execute(insert, &[&"soup", &3]).await?, 1);
    let typed: [(&(dyn ToSql + Sync), Type); 2] = [(&"stew", Type::TEXT), (&5, Type::INT4)];
    assert_eq!(client.execute_typed(insert, &typed).await?, 1);
    let params: Vec<Box<dyn ToSql + Sync + Send>> = vec![Box::new("pie"), Box::new(7)];
    assert_eq!(client.execute_raw(insert, params).await?, 1);

    let rows: Vec<Row> = client.query("SELECT * FROM dish", &[]).await?;
    assert_eq!(rows.len(), 3);
    let by_name = "SELECT price FROM dish WHERE name = $1";
    assert_eq!(
        client.query_one(by_name, &[&"pie"]).await?.get::<_, i32>(0),
        7
    );
    assert!(client.query_opt(by_name, &[&"cake"]).await?.is_none());
    let price: i32 = client.query_one_scalar(by_name, &[&"stew"]).await?;
    assert_eq!(price, 5);
    let none: Option<i32> = client.query_opt_scalar(by_name, &[&"cake"]).await?;
    assert_eq!(none, None);
    let prices: Vec<i32> = client
        .query_scalar("SELECT price FROM dish ORDER BY price", &[])
        .await?;
    assert_eq!(prices, [3, 5, 7]);

    let name: [(&(dyn ToSql + Sync), Type); 1] = [(&"soup", Type::TEXT)];
    assert_eq!(client.query_typed(by_name, &name).await?.len(), 1);
    let row = client.query_typed_one(by_name, &name).await?;
    assert_eq!(row.get::<_, i32>("price"), 3);
    assert!(client.query_typed_opt(by_name, &name).await?.is_some());

    let rows = client.query_raw(by_name, ["soup"]).await?;
    pin_mut!(rows);
    while let Some(row) = rows.try_next().await? {
        assert_eq!(row.get::<_, i32>(0), 3);
    }
    assert_eq!(rows.rows_affected(), Some(1));
    let rows = client
        .query_typed_raw(by_name, [("pie", Type::TEXT)])
        .await?;
    assert_eq!(rows.try_collect::<Vec<_>>().await?.len(), 1);

    assert_eq!(client.simple_query("SELECT 1; SELECT 2").await?.len(), 6);
    let sent = client.simple_query_raw("SELECT 1; SELECT 2").await?;
    assert_eq!(sent.try_collect::<Vec<_>>().await?.len(), 6);
    client.check_connection().await?;
    assert!(!client.is_closed());
    Ok(())
}

async fn statements_are_prepared_and_cached(pool: &Pool) -> Checked {
    pool.manager().statement_caches.clear();
    let client = pool.get().await?;
    let statement: Statement = client.prepare("SELECT $1::text").await?;
    let row = client.query_one(&statement, &[&"a"]).await?;
    assert_eq!(row.get::<_, String>(0), "a");
    let statement = client.prepare_typed("SELECT 1 + $1", &[Type::INT8]).await?;
    let row = client.query_one(&statement, &[&41_i64]).await?;
    assert_eq!(row.get::<_, i64>(0), 42);

    assert_eq!(client.statement_cache.size(), 0);
    for _ in 0..2 {
        client.prepare_cached("SELECT 1").await?;
        client
            .prepare_typed_cached("SELECT $1", &[Type::INT2])
            .await?;
    }
    assert_eq!(client.statement_cache.size(), 2);
    client.statement_cache.remove("SELECT 1", &[]);
    pool.manager()
        .statement_caches
        .remove("SELECT $1", &[Type::INT2]);
    assert_eq!(client.statement_cache.size(), 0);
    Ok(())
}

async fn price(client: &Client, name: &str) -> Result<i32, Error> {
    let row = client
        .query_one("SELECT price FROM dish WHERE name = $1", &[&name])
        .await?;
    row.try_get(0)
}

async fn raise(transaction: &Transaction<'_>, by: i32) -> Result<(), Error> {
    let statement = transaction
        .prepare_cached("UPDATE dish SET price = price + $1")
        .await?;
    transaction.execute(&statement, &[&by]).await?;
    Ok(())
}

async fn transactions_commit_and_roll_back(pool: &Pool) -> Checked {
    let mut client = pool.get().await?;
    let mut transaction = client.transaction().await?;
    raise(&transaction, 1).await?;
    let inner = transaction.transaction().await?;
    raise(&inner, 100).await?;
    inner.rollback().await?;
    let inner = transaction.savepoint("here").await?;
    raise(&inner, 1).await?;
    inner.commit().await?;
    let inner = transaction.transaction().await?;
    raise(&inner, 100).await?;
    drop(inner);
    transaction.commit().await?;
    assert_eq!(price(&client, "soup").await?, 5);
    assert_eq!(client.statement_cache.size(), 1);

    let transaction = client
        .build_transaction()
        .isolation_level(IsolationLevel::Serializable)
        .read_only(true)
        .deferrable(true)
        .start()
        .await?;
    assert!(raise(&transaction, 1).await.is_err());
    transaction.rollback().await?;

    let transaction = client.transaction().await?;
    raise(&transaction, 100).await?;
    drop(transaction);
    assert_eq!(price(&client, "soup").await?, 5);

    let transaction = client.transaction().await?;
    let portal = transaction.bind("SELECT * FROM dish", &[]).await?;
    assert_eq!(transaction.query_portal(&portal, 2).await?.len(), 2);
    let rest = transaction.query_portal_raw(&portal, 2).await?;
    assert_eq!(rest.try_collect::<Vec<_>>().await?.len(), 1);
    transaction.commit().await?;
    Ok(())
}

async fn statements_are_pipelined(pool: &Pool) -> Checked {
    let mut client = pool.get().await?;
    let statement = client.prepare_cached("SELECT 1 + $1").await?;
    let transaction = client.transaction().await?;
    let answers = (0..100).map(|n: i32| {
        let (transaction, statement) = (&transaction, &statement);
        async move {
            let row = transaction.query_one(statement, &[&n]).await?;
            row.try_get::<_, i32>(0)
        }
    });
    let answers = futures_util::future::try_join_all(answers).await?;
    assert!(answers.iter().copied().eq(1..=100));
    Ok(())
}

async fn rows_are_copied(pool: &Pool) -> Checked {
    let client = pool.get().await?;
    let sink = client.copy_in("COPY dish FROM STDIN").await?;
    pin_mut!(sink);
    sink.send(&b"cake\t9\n"[..]).await?;
    assert_eq!(sink.finish().await?, 1);
    let stream = client
        .copy_out("COPY (SELECT * FROM dish WHERE name = 'cake') TO STDOUT")
        .await?;
    let chunks = stream.try_collect::<Vec<_>>().await?;
    assert_eq!(chunks.concat(), b"cake\t9\n");
    Ok(())
}

async fn dishes(client: &impl GenericClient) -> Result<i64, Error> {
    let statement = client.prepare_cached("SELECT count(*) FROM dish").await?;
    let row = client.query_one(&statement, &[]).await?;
    row.try_get(0)
}

async fn add<C: GenericClient>(client: &mut C, name: &str) -> Result<(), Error> {
    let transaction = client.transaction().await?;
    let insert = "INSERT INTO dish VALUES ($1, 1)";
    transaction.execute(insert, &[&name]).await?;
    transaction.commit().await
}

async fn code_is_generic(pool: &Pool) -> Checked {
    let mut client = pool.get().await?;
    let before = dishes(&client).await?;
    add(&mut client, "salad").await?;
    let mut transaction = client.transaction().await?;
    add(&mut transaction, "bread").await?;
    assert_eq!(dishes(&transaction).await?, before + 2);
    transaction.commit().await?;
    assert_eq!(dishes(&client).await?, before + 2);
    Ok(())
}

/// An application's handling of errors.
#[derive(Debug, thiserror::Error)]
enum AppError {
    #[error("no client: {0}")]
    Pool(#[from] PoolError),
    #[error("no answer: {0}")]
    Database(#[from] Error),
}

async fn add_twice(pool: &Pool) -> Result<(), AppError> {
    let client = pool.get().await?;
    for _ in 0..2 {
        client
            .execute("INSERT INTO dish VALUES ('tea', 1)", &[])
            .await?;
    }
    Ok(())
}

async fn errors_are_matched_on(pool: &Pool) -> Checked {
    let error = match add_twice(pool).await {
        Err(AppError::Database(error)) => error,
        other => panic!("{other:?}"),
    };
    let answer = error.as_db_error().expect("the database's own words");
    assert_eq!(answer.constraint(), Some("dish_pkey"));

    let at_once = Timeouts {
        wait: Some(Duration::ZERO),
        ..pool.timeouts()
    };
    let mut clients = Vec::new();
    for _ in 0..pool.status().max_size {
        clients.push(pool.timeout_get(&at_once).await?);
    }
    match pool.timeout_get(&at_once).await {
        Err(PoolError::Timeout(TimeoutType::Wait)) => {}
        other => panic!("{other:?}"),
    }
    Ok(())
}

fn takes_the_drivers_client(_: &mut imports::tokio_postgres::Client) {}

fn takes_the_drivers_trait(_: &impl imports::tokio_postgres::GenericClient) {}

async fn the_drivers_own_client_is_within_reach(pool: &Pool) -> Checked {
    let mut client = pool.get().await?;
    takes_the_drivers_trait(&**client);
    takes_the_drivers_client(&mut client);
    let token = client.cancel_token();
    token.cancel_query(NoTls).await?;
    let transaction = client.transaction().await?;
    takes_the_drivers_trait(&*transaction);
    Ok(())
}

async fn pools_are_looked_after(url: &str) -> Checked {
    let manager = Manager::new(url.parse()?, NoTls);
    let pool = Pool::builder(manager)
        .max_size(2)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(Duration::from_secs(5)))
        .create_timeout(Some(Duration::from_secs(5)))
        .recycle_timeout(Some(Duration::from_secs(5)))
        .post_create(Hook::async_fn(|client, _| {
            Box::pin(async move {
                let set = client.simple_query("SET application_name = 'hooked'");
                set.await.map(drop).map_err(HookError::Backend)
            })
        }))
        .post_recycle(Hook::sync_fn(|_, metrics| {
            match metrics.recycle_count < 2 {
                true => Ok(()),
                false => Err(HookError::message("old")),
            }
        }))
        .build()?;
    assert_eq!(pool.timeouts().wait, Some(Duration::from_secs(5)));
    let client = pool.get().await?;
    let row = client.query_one("SHOW application_name", &[]).await?;
    assert_eq!(row.get::<_, &str>(0), "hooked");
    let id = Object::id(&client);
    assert_eq!(Object::metrics(&client).recycle_count, 0);
    assert!(Object::pool(&client).is_some());
    drop(client);
    for count in 1..=2 {
        let client = pool.get().await?;
        assert_eq!(Client::id(&client), id);
        assert_eq!(Client::metrics(&client).recycle_count, count);
    }
    let client = pool.get().await?;
    assert_ne!(Client::id(&client), id);
    let taken = Object::take(client);
    assert_eq!(pool.status().size, 0);
    taken.simple_query("SELECT 1").await?;

    drop(pool.get().await?);
    let result = pool.retain(|client, _| client.is_closed());
    assert_eq!((result.retained, result.removed.len()), (0, 1));
    pool.resize(1);
    assert_eq!(pool.status().max_size, 1);
    let weak = pool.weak();
    assert!(weak.upgrade().is_some());
    pool.close();
    assert!(pool.is_closed());
    assert!(matches!(pool.get().await, Err(PoolError::Closed)));
    Ok(())
}

async fn pools_are_waited_for(url: &str) -> Checked {
    let pool = pool(url, 1)?;
    let client = pool.get().await?;
    let other = tokio::spawn({
        let pool = pool.clone();
        async move { pool.get().await.map(|client| Client::id(&client)) }
    });
    let id = Client::id(&client);
    drop(client);
    assert_eq!(other.await??, id);
    Ok(())
}
