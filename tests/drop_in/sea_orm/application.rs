// An application's everyday use of SeaORM. Included once for SeaORM's own connection, and once for each of
// fusepool's. It uses the connection's types only through `imports`.

use crate::Checked;
use futures_util::TryStreamExt;
use imports::{ConnectOptions, Database, DatabaseConnection, DatabaseTransaction};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use sea_orm::entity::prelude::*;
use sea_orm::{
    AccessMode, ActiveValue::Set, Condition, DbBackend, ExprTrait, FromQueryResult, IntoActiveModel,
    IsolationLevel, Order, QueryOrder, QuerySelect, QueryTrait, Schema, SqlErr, Statement,
    StreamTrait, TransactionError, TransactionOptions, TransactionSession, TransactionTrait,
    TryIntoModel,
};

mod dish {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "sea_dish")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i32,
        #[sea_orm(unique)]
        pub name: String,
        pub price: i32,
        pub note: Option<String>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        #[sea_orm(has_many = "super::order::Entity")]
        Order,
    }

    impl Related<super::order::Entity> for Entity {
        fn to() -> RelationDef {
            Relation::Order.def()
        }
    }

    impl ActiveModelBehavior for ActiveModel {}
}

mod order {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "sea_order")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i32,
        pub dish_id: i32,
        pub quantity: i32,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        #[sea_orm(
            belongs_to = "super::dish::Entity",
            from = "Column::DishId",
            to = "super::dish::Column::Id"
        )]
        Dish,
    }

    impl Related<super::dish::Entity> for Entity {
        fn to() -> RelationDef {
            Relation::Dish.def()
        }
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// Opens the database twice: by its URL, and with options.
async fn connect(url: &str) -> Result<DatabaseConnection, DbErr> {
    let db = Database::connect(url).await?;
    db.close().await?;

    let opened = Arc::new(AtomicU32::new(0));
    let counter = opened.clone();
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(4)
        .min_connections(1)
        .connect_timeout(Duration::from_secs(8))
        .acquire_timeout(Duration::from_secs(8))
        .idle_timeout(Duration::from_secs(60))
        .max_lifetime(Duration::from_secs(600))
        .test_before_acquire(false)
        .test_before_acquire_if_idle_for(Duration::from_secs(5))
        .sqlx_logging(true)
        .sqlx_logging_level(log::LevelFilter::Debug)
        .sqlx_slow_statements_logging_settings(log::LevelFilter::Warn, Duration::from_secs(1))
        .after_connect(move |db| {
            let counter = counter.clone();
            Box::pin(async move {
                db.ping().await?;
                counter.fetch_add(1, Ordering::Relaxed);
                Ok(())
            })
        });
    assert_eq!(options.get_url(), url);
    assert_eq!(options.get_max_connections(), Some(4));
    let db = Database::connect(options).await?;
    assert_eq!(opened.load(Ordering::Relaxed), 1);
    Ok(db)
}

/// Runs every use.
pub async fn all(url: &str) -> Checked {
    let db = connect(url).await?;
    tables(&db).await?;
    models(&db).await?;
    queries(&db).await?;
    relations(&db).await?;
    raw_statements(&db).await?;
    transactions(&db).await?;
    savepoints(&db).await?;
    closures(&db).await?;
    settings(&db).await?;
    errors(&db).await?;
    db.ping().await?;
    let clone = db.clone();
    db.close().await?;
    let error = count(&clone).await.expect_err("it is closed");
    assert_eq!(error, DbErr::ConnectionAcquire(sea_orm::ConnAcquireErr::ConnectionClosed));
    Ok(())
}

fn a_dish(name: &str, price: i32) -> dish::ActiveModel {
    dish::ActiveModel {
        name: Set(name.to_owned()),
        price: Set(price),
        ..Default::default()
    }
}

async fn count(db: &impl ConnectionTrait) -> Result<u64, DbErr> {
    dish::Entity::find().count(db).await
}

/// A function of the application that names the type of the transaction.
async fn raise(tx: &DatabaseTransaction, by: i32) -> Result<u64, DbErr> {
    let raised = dish::Entity::update_many()
        .col_expr(dish::Column::Price, Expr::col(dish::Column::Price).add(by))
        .exec(tx)
        .await?;
    Ok(raised.rows_affected)
}

async fn tables(db: &DatabaseConnection) -> Checked {
    let schema = Schema::new(ConnectionTrait::get_database_backend(db));
    db.execute_unprepared("DROP TABLE IF EXISTS sea_order").await?;
    db.execute_unprepared("DROP TABLE IF EXISTS sea_dish").await?;
    db.execute(&schema.create_table_from_entity(dish::Entity)).await?;
    db.execute(&schema.create_table_from_entity(order::Entity)).await?;
    Ok(())
}

async fn models(db: &DatabaseConnection) -> Checked {
    let soup = a_dish("soup", 450).insert(db).await?;
    assert_eq!((soup.name.as_str(), soup.price, &soup.note), ("soup", 450, &None));

    let mut changed = soup.clone().into_active_model();
    changed.note = Set(Some("hot".into()));
    let changed = changed.update(db).await?;
    assert_eq!(changed.note.as_deref(), Some("hot"));

    let bread = a_dish("bread", 200).save(db).await?.try_into_model()?;
    let many = dish::Entity::insert_many([a_dish("cake", 350), a_dish("tea", 100)]);
    many.exec(db).await?;
    assert_eq!(count(db).await?, 4);

    let tea = dish::Entity::find().filter(dish::Column::Name.eq("tea")).one(db).await?;
    let deleted = tea.expect("there is tea").delete(db).await?;
    assert_eq!(deleted.rows_affected, 1);
    let deleted = dish::Entity::delete_by_id(bread.id).exec(db).await?;
    assert_eq!(deleted.rows_affected, 1);
    a_dish("bread", 200).insert(db).await?;
    Ok(())
}

async fn queries(db: &DatabaseConnection) -> Checked {
    let names = dish::Entity::find()
        .filter(Condition::any().add(dish::Column::Price.gt(300)).add(dish::Column::Note.is_null()))
        .order_by(dish::Column::Price, Order::Desc)
        .all(db)
        .await?;
    let names: Vec<_> = names.into_iter().map(|dish| dish.name).collect();
    assert_eq!(names, ["soup", "cake", "bread"]);

    let prices: Vec<(String, i32)> = dish::Entity::find()
        .select_only()
        .columns([dish::Column::Name, dish::Column::Price])
        .order_by_asc(dish::Column::Price)
        .limit(2)
        .into_tuple()
        .all(db)
        .await?;
    assert_eq!(prices, [("bread".to_owned(), 200), ("cake".to_owned(), 350)]);

    let pages = dish::Entity::find().order_by_asc(dish::Column::Id).paginate(db, 2);
    assert_eq!((pages.num_pages().await?, pages.fetch_page(1).await?.len()), (2, 1));
    assert!(dish::Entity::find_by_id(-1).one(db).await?.is_none());

    let rows = dish::Entity::find().order_by_asc(dish::Column::Name).stream(db).await?;
    let rows: Vec<dish::Model> = rows.try_collect().await?;
    assert_eq!(rows.len(), 3);
    let rows = db.stream(dish::Entity::find().as_query()).await?;
    assert_eq!(rows.try_collect::<Vec<_>>().await?.len(), 3);
    // A stream that is left early does no harm.
    let mut rows = dish::Entity::find().stream(db).await?;
    assert!(rows.try_next().await?.is_some());
    drop(rows);
    assert_eq!(count(db).await?, 3);
    Ok(())
}

async fn relations(db: &DatabaseConnection) -> Checked {
    let soup = dish::Entity::find().filter(dish::Column::Name.eq("soup")).one(db).await?;
    let soup = soup.expect("there is soup");
    for quantity in [1, 2] {
        let order = order::ActiveModel {
            dish_id: Set(soup.id),
            quantity: Set(quantity),
            ..Default::default()
        };
        order::Entity::insert(order).exec(db).await?;
    }
    assert_eq!(soup.find_related(order::Entity).all(db).await?.len(), 2);
    let of_order = order::Entity::find().find_also_related(dish::Entity).one(db).await?;
    assert_eq!(of_order.expect("an order").1, Some(soup));
    let of_dishes = dish::Entity::find().find_with_related(order::Entity).all(db).await?;
    assert_eq!(of_dishes.iter().map(|(_, orders)| orders.len()).sum::<usize>(), 2);
    let dishes = dish::Entity::find().order_by_asc(dish::Column::Id).all(db).await?;
    let orders = dishes.load_many(order::Entity, db).await?;
    assert_eq!(orders.iter().map(Vec::len).collect::<Vec<_>>(), [2, 0, 0]);
    Ok(())
}

#[derive(Debug, PartialEq, FromQueryResult)]
struct Named {
    name: String,
}

async fn raw_statements(db: &DatabaseConnection) -> Checked {
    let backend = ConnectionTrait::get_database_backend(db);
    let sql = match backend {
        DbBackend::Postgres => "SELECT name FROM sea_dish WHERE price > $1 ORDER BY name",
        _ => "SELECT name FROM sea_dish WHERE price > ? ORDER BY name",
    };
    let statement = || Statement::from_sql_and_values(backend, sql, [300.into()]);
    let named = Named::find_by_statement(statement()).all(db).await?;
    assert_eq!(named.len(), 2);
    let row = db.query_one_raw(statement()).await?.expect("a row");
    assert_eq!(row.try_get::<String>("", "name")?, "cake");
    assert_eq!(db.query_all_raw(statement()).await?.len(), 2);
    let done = db
        .execute_raw(Statement::from_string(backend, "UPDATE sea_dish SET price = price"))
        .await?;
    assert!(done.rows_affected() <= 3); // MySQL counts what has changed
    Ok(())
}

async fn transactions(db: &DatabaseConnection) -> Checked {
    let tx = db.begin().await?;
    a_dish("salad", 300).insert(&tx).await?;
    assert_eq!(raise(&tx, 1).await?, 4);
    tx.commit().await?;
    assert_eq!(count(db).await?, 4);

    let tx = db.begin().await?;
    a_dish("stew", 500).insert(&tx).await?;
    let rows = dish::Entity::find().stream(&tx).await?;
    assert_eq!(rows.try_collect::<Vec<_>>().await?.len(), 5);
    TransactionSession::rollback(tx).await?;
    assert_eq!(count(db).await?, 4);

    let tx = db.begin().await?;
    a_dish("stew", 500).insert(&tx).await?;
    drop(tx);
    assert_eq!(count(db).await?, 4);
    Ok(())
}

async fn savepoints(db: &DatabaseConnection) -> Checked {
    let tx = db.begin().await?;
    let inner = tx.begin().await?;
    a_dish("stew", 500).insert(&inner).await?;
    inner.rollback().await?;
    let inner = tx.begin().await?;
    a_dish("pie", 400).insert(&inner).await?;
    {
        let innermost = inner.begin().await?;
        a_dish("stew", 500).insert(&innermost).await?;
    }
    inner.commit().await?;
    assert_eq!(count(&tx).await?, 5);
    tx.commit().await?;
    let stew = dish::Entity::find().filter(dish::Column::Name.eq("stew"));
    assert_eq!((count(db).await?, stew.count(db).await?), (5, 0));
    Ok(())
}

async fn closures(db: &DatabaseConnection) -> Checked {
    let id = db
        .transaction::<_, i32, DbErr>(|tx| {
            Box::pin(async move { Ok(a_dish("jam", 50).insert(tx).await?.id) })
        })
        .await?;
    assert!(dish::Entity::find_by_id(id).one(db).await?.is_some());
    let failed = db
        .transaction::<_, (), DbErr>(|tx| {
            Box::pin(async move {
                tx.transaction::<_, (), DbErr>(|tx| {
                    Box::pin(async move {
                        order::Entity::delete_many().exec(tx).await?;
                        Err(DbErr::Custom("on second thoughts".into()))
                    })
                })
                .await
                .expect_err("the closure fails");
                assert_eq!(order::Entity::find().count(tx).await?, 2);
                order::Entity::delete_many().exec(tx).await?;
                Err(DbErr::Custom("no".into()))
            })
        })
        .await;
    assert!(matches!(failed, Err(TransactionError::Transaction(DbErr::Custom(_)))));
    assert_eq!(order::Entity::find().count(db).await?, 2);
    Ok(())
}

async fn settings(db: &DatabaseConnection) -> Checked {
    if ConnectionTrait::get_database_backend(db) != DbBackend::Sqlite {
        let level = Some(IsolationLevel::Serializable);
        let tx = db.begin_with_config(level, Some(AccessMode::ReadOnly)).await?;
        assert_eq!(count(&tx).await?, 6);
        let error = raise(&tx, 1).await.expect_err("the transaction is read-only");
        assert!(matches!(error, DbErr::Exec(_)), "{error:?}");
        tx.rollback().await?;
    }
    let tx = db.begin_with_options(TransactionOptions::default()).await?;
    raise(&tx, 0).await?;
    tx.rollback().await?;
    Ok(())
}

async fn errors(db: &DatabaseConnection) -> Checked {
    let error = a_dish("soup", 1).insert(db).await.expect_err("the name is taken");
    assert!(
        matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))),
        "{error:?}"
    );
    let missing = dish::ActiveModel {
        id: Set(-1),
        price: Set(1),
        ..Default::default()
    };
    assert_eq!(missing.update(db).await.expect_err("no row"), DbErr::RecordNotUpdated);
    let error = db.execute_unprepared("nonsense").await.expect_err("no SQL");
    assert!(matches!(error, DbErr::Exec(_)), "{error:?}");
    Ok(())
}
