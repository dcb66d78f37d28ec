//! SeaORM's queries, with a cache and fallbacks, on all databases.

use std::sync::Arc;
use std::time::Duration;

use fusepool::cache::CachePolicy;
use fusepool::sqlx::sea_orm::{
    Backend, DatabaseConnection, Delivery, ReadExt, delivery, sqlx_error,
};
use fusepool::{
    NotARead, Refused, Served, Source, StaleReason, Unanswered, deadline_exceeded, refusal,
};
use sea_orm::entity::prelude::*;
use sea_orm::{
    ActiveValue::Set, QueryOrder, QuerySelect, Statement, StreamTrait, TransactionTrait,
};

use crate::kitchen::{FRESH, Kind, Kitchen, MENU};

mod dish {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "dish")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i32,
        pub name: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        #[sea_orm(
            belongs_to = "super::note::Entity",
            from = "Column::Id",
            to = "super::note::Column::Id"
        )]
        Note,
    }

    impl Related<super::note::Entity> for Entity {
        fn to() -> RelationDef {
            Relation::Note.def()
        }
    }

    impl ActiveModelBehavior for ActiveModel {}
}

mod note {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "note")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i32,
        pub text: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

on_all! {
    an_answer_is_served_again_until_a_write_invalidates_it
    a_key_is_the_statement_its_values_and_its_types
    the_usual_selects_are_cached
    an_outage_is_refused_and_bridged
    a_deadline_is_found_in_the_error
    transactions_go_to_the_database
    a_transaction_in_use_is_rolled_back_later
    what_is_no_read_is_not_cached
}

async fn open<K: Kind<Db: Backend>>() -> (Kitchen<K>, DatabaseConnection<K::Db>) {
    let kitchen = Kitchen::<K>::open().await;
    let db = DatabaseConnection::from(kitchen.pool.clone());
    (kitchen, db)
}

async fn ask<DB: Backend>(
    db: &DatabaseConnection<DB>,
) -> Result<Served<Option<Arc<dish::Model>>>, DbErr> {
    dish::Entity::find_by_id(1)
        .cached(&MENU)
        .one_served(db)
        .await
}

fn name(served: &Served<Option<Arc<dish::Model>>>) -> &str {
    &served.value.as_ref().unwrap().name
}

fn renamed(to: &str) -> dish::ActiveModel {
    dish::ActiveModel {
        id: Set(1),
        name: Set(to.to_owned()),
    }
}

async fn an_answer_is_served_again_until_a_write_invalidates_it<K: Kind<Db: Backend>>() {
    let (kitchen, db) = open::<K>().await;
    assert_eq!(ask(&db).await.unwrap().source, Source::Live);
    kitchen.set("changed elsewhere").await;
    let served = ask(&db).await.unwrap();
    assert!(matches!(served.source, Source::Fresh { .. }));
    assert_eq!(name(&served), "old");

    let model = renamed("new").update(&db.invalidates(&["dishes"])).await;
    assert_eq!(model.unwrap().name, "new");
    let served = ask(&db).await.unwrap();
    assert_eq!((served.source, name(&served)), (Source::Live, "new"));

    // In a transaction, when it commits.
    let tx = db.begin().await.unwrap();
    let write = tx.invalidates(&["dishes"]);
    renamed("never").update(&write).await.unwrap();
    tx.rollback().await.unwrap();
    assert!(matches!(
        ask(&db).await.unwrap().source,
        Source::Fresh { .. }
    ));
    let tx = db.begin().await.unwrap();
    let inner = tx.begin().await.unwrap();
    let write = inner.invalidates(&["dishes"]);
    renamed("newer").update(&write).await.unwrap();
    inner.commit().await.unwrap();
    assert!(matches!(
        ask(&db).await.unwrap().source,
        Source::Fresh { .. }
    ));
    tx.commit().await.unwrap();
    let served = ask(&db).await.unwrap();
    assert_eq!((served.source, name(&served)), (Source::Live, "newer"));

    let by_hand = dish::Entity::find_by_id(1).cached(&MENU).invalidate(&db);
    by_hand.unwrap();
    assert_eq!(ask(&db).await.unwrap().source, Source::Live);
}

async fn a_key_is_the_statement_its_values_and_its_types<K: Kind<Db: Backend>>() {
    let (kitchen, db) = open::<K>().await;
    kitchen.kind.run("INSERT INTO dish VALUES (2, 'two')").await;
    let find = |id| dish::Entity::find_by_id(id).cached(&MENU);
    for (id, expected) in [(1, "old"), (2, "two"), (1, "old"), (2, "two")] {
        assert_eq!(find(id).one(&db).await.unwrap().unwrap().name, expected);
    }
    assert_eq!(kitchen.loads(), 2);
    let all = |by| {
        let query = dish::Entity::find().order_by(dish::Column::Id, by);
        query.cached(&MENU).all(&db)
    };
    assert_eq!(all(sea_orm::Order::Asc).await.unwrap()[0].name, "old");
    assert_eq!(all(sea_orm::Order::Desc).await.unwrap()[0].name, "two");
    assert_eq!(kitchen.loads(), 4);

    // The same statement, as another type.
    let names = || {
        dish::Entity::find()
            .select_only()
            .column(dish::Column::Name)
    };
    let as_texts = names().into_tuple::<String>().cached(&MENU).all(&db).await;
    assert_eq!(as_texts.unwrap().len(), 2);
    let as_options = names().into_tuple::<Option<String>>().cached(&MENU);
    assert!(as_options.all(&db).await.unwrap()[0].is_some());
    assert_eq!(kitchen.loads(), 6);

    // Varied by something that the statement does not contain.
    for tenant in ["a", "b", "a"] {
        find(1).vary_by(tenant).one(&db).await.unwrap();
    }
    assert_eq!(kitchen.loads(), 8);

    // The statement is that of SeaORM itself.
    let one = names().into_tuple::<String>().cached(&MENU).one(&db).await;
    let plain = names().into_tuple::<String>().one(&db).await;
    assert_eq!(one.unwrap().as_deref(), plain.unwrap().as_ref());
}

async fn the_usual_selects_are_cached<K: Kind<Db: Backend>>() {
    #[derive(Debug, DerivePartialModel)]
    #[sea_orm(entity = "dish::Entity")]
    struct Name {
        name: String,
    }
    let (kitchen, db) = open::<K>().await;
    for sql in [
        "CREATE TABLE note (id int PRIMARY KEY, text varchar(9) NOT NULL)",
        "INSERT INTO note VALUES (1, 'hot')",
        "INSERT INTO dish VALUES (2, 'two')",
    ] {
        kitchen.kind.run(sql).await;
    }
    let find = || dish::Entity::find().order_by_asc(dish::Column::Id);
    for source in ["live", "fresh"] {
        let from = |served: Source| assert_eq!(served.as_str(), source);

        let pairs = find().find_also_related(note::Entity).cached(&MENU);
        let pairs = pairs.all_served(&db).await.unwrap();
        from(pairs.source);
        assert_eq!(pairs.value[0].1.as_ref().unwrap().text, "hot");
        assert_eq!(pairs.value[1].1, None);

        let names = find().into_model::<Name>().cached(&MENU);
        let names = names.all_served(&db).await.unwrap();
        from(names.source);
        assert_eq!(names.value[1].name, "two");

        let first = find().into_partial_model::<Name>().cached(&MENU);
        let first = first.one_served(&db).await.unwrap();
        from(first.source);
        assert_eq!(first.value.unwrap().name, "old");

        let sql = "SELECT id, name FROM dish WHERE id = 2";
        let raw = Statement::from_string(StreamTrait::get_database_backend(&db), sql);
        let raw = dish::Entity::find().from_raw_sql(raw).cached(&MENU);
        let raw = raw.one_served(&db).await.unwrap();
        from(raw.source);
        assert_eq!(raw.value.unwrap().name, "two");

        let page = find().limit(1).offset(1).cached(&MENU);
        let page = page.all_served(&db).await.unwrap();
        from(page.source);
        assert_eq!(page.value[0].id, 2);

        let all = dish::Entity::find().select_only();
        let count = all.column_as(dish::Column::Id.count(), "count");
        let count = count.into_tuple::<i64>().cached(&MENU);
        let count = count.one_served(&db).await.unwrap();
        from(count.source);
        assert_eq!(count.value.as_deref(), Some(&2));
    }
}

async fn an_outage_is_refused_and_bridged<K: Kind<Db: Backend>>() {
    let (mut kitchen, db) = open::<K>().await;
    ask(&db).await.unwrap();
    kitchen.clock.advance(FRESH * 10);
    kitchen.kind.break_down().await;
    let error = dish::Entity::find().all(&db).await.unwrap_err();
    assert!(db.unanswered(&error).is_some(), "{error:?}");
    assert_eq!(refusal(&error), None);

    let open = db.gate().breaker().force_open();
    let error = dish::Entity::find().all(&db).await.unwrap_err();
    assert!(matches!(error, DbErr::Conn(_)), "{error:?}");
    let refused = refusal(&error).expect("a refusal");
    assert!(matches!(refused, Refused::Circuit { .. }), "{refused:?}");
    assert_eq!(delivery(&error), Delivery::NotSent);
    assert_eq!(db.unanswered(&error), Some(Unanswered::Open));
    assert!(sqlx_error(&error).is_some());
    let error = db.begin().await.unwrap_err();
    assert!(refusal(&error).is_some(), "{error:?}");
    let rows = db.stream(&sea_orm::QueryTrait::into_query(dish::Entity::find()));
    let mut rows = rows.await.unwrap();
    let error = futures_util::TryStreamExt::try_next(&mut rows)
        .await
        .unwrap_err();
    assert!(refusal(&error).is_some(), "{error:?}");

    let served = ask(&db).await.unwrap();
    let reason = StaleReason::Unanswered(Unanswered::Open);
    assert!(
        matches!(served.source, Source::Stale { reason: why, .. } if why == reason),
        "{served:?}"
    );
    assert_eq!(name(&served), "old");
    let served = dish::Entity::find()
        .or_value(Vec::new())
        .all_served(&db)
        .await;
    let served = served.unwrap();
    assert!(served.value.is_empty());
    assert!(
        matches!(served.source, Source::Default { .. }),
        "{served:?}"
    );
    let alternative = async {
        Ok::<_, DbErr>(vec![dish::Model {
            id: 0,
            name: "none".into(),
        }])
    };
    let served = dish::Entity::find()
        .or_else(alternative)
        .all(&db)
        .await
        .unwrap();
    assert_eq!(served[0].name, "none");
    drop(open);

    kitchen.kind.mend();
    let replica = Kitchen::<K>::open().await;
    replica.set("of the replica").await;
    let replica = (DatabaseConnection::from(replica.pool.clone()), replica);
    let _open = db.gate().breaker().force_open();
    let served = dish::Entity::find()
        .or_from(&replica.0)
        .all_served(&db)
        .await;
    let served = served.unwrap();
    assert_eq!(served.value[0].name, "of the replica");
    assert!(
        matches!(served.source, Source::OtherPool { .. }),
        "{served:?}"
    );
}

async fn a_deadline_is_found_in_the_error<K: Kind<Db: Backend>>() {
    let (mut kitchen, db) = open::<K>().await;
    kitchen.kind.lock().await;
    let patience = Duration::from_millis(20);
    let error = dish::Entity::find().one(&db.with_timeout(patience)).await;
    let error = error.unwrap_err();
    let late = deadline_exceeded(&error).expect("a deadline");
    assert_eq!(late.limit(), patience);
    assert!(matches!(error, DbErr::Query(_)), "{error:?}");
    assert_eq!(delivery(&error), Delivery::Unknown);
    kitchen.kind.unlock().await;
}

async fn transactions_go_to_the_database<K: Kind<Db: Backend>>() {
    let (kitchen, db) = open::<K>().await;
    ask(&db).await.unwrap();
    let tx = db.begin().await.unwrap();
    renamed("mine").update(&tx).await.unwrap();
    // The breaker does not refuse what is in a transaction.
    let open = db.gate().breaker().force_open();
    let read = dish::Entity::find_by_id(1).cached(&MENU).or_value(None);
    let served = read.one_served(&tx).await.unwrap();
    assert_eq!((served.source, name(&served)), (Source::Live, "mine"));
    drop(open);
    tx.commit().await.unwrap();
    assert_eq!(kitchen.loads(), 1);

    // SeaORM's own type returns `Ok` here, and rolls back afterwards.
    let tx = db.begin().await.unwrap();
    let inner = tx.begin().await.unwrap();
    renamed("lost").update(&inner).await.unwrap();
    let error = tx.commit().await.unwrap_err();
    assert!(error.to_string().contains("savepoint"), "{error}");
    drop(inner);
    let dish = dish::Entity::find().one(&db).await.unwrap().unwrap();
    assert_eq!(dish.name, "mine");
}

/// SeaORM's own type panics.
async fn a_transaction_in_use_is_rolled_back_later<K: Kind<Db: Backend>>() {
    let (_kitchen, db) = open::<K>().await;
    let tx = db.begin().await.unwrap();
    let inner = tx.begin().await.unwrap();
    renamed("lost").update(&inner).await.unwrap();
    let query = sea_orm::QueryTrait::into_query(dish::Entity::find());
    let rows = tx.stream(&query).await.unwrap();
    drop(inner); // while the rows hold the connection
    drop(rows);
    let dish = dish::Entity::find().one(&tx).await.unwrap().unwrap();
    assert_eq!(dish.name, "old");
    renamed("kept").update(&tx).await.unwrap();
    tx.commit().await.unwrap();
    let dish = dish::Entity::find().one(&db).await.unwrap().unwrap();
    assert_eq!(dish.name, "kept");
}

async fn what_is_no_read_is_not_cached<K: Kind<Db: Backend>>() {
    let (kitchen, db) = open::<K>().await;
    let locking = dish::Entity::find().lock_exclusive().cached(&MENU).all(&db);
    let locking = locking.await;
    if <K::Db as sqlx::Database>::NAME == "SQLite" {
        locking.unwrap(); // SeaORM omits the lock
    } else {
        let error = locking.unwrap_err();
        let Some(sqlx::Error::Configuration(inner)) = sqlx_error(&error) else {
            panic!("{error:?}");
        };
        assert_eq!(inner.downcast_ref(), Some(&NotARead::Locks("FOR UPDATE")));
        assert_eq!(delivery(&error), Delivery::NotSent);
        assert_eq!(kitchen.loads(), 0);
    }
    const NOTHING: CachePolicy = CachePolicy::named("nothing");
    let read = dish::Entity::find().cached(&NOTHING).all(&db).await;
    assert_eq!(delivery(&read.unwrap_err()), Delivery::NotSent);

    // A row that is not of this type is an error of that row, for each caller.
    let wrong = || {
        dish::Entity::find()
            .select_only()
            .column(dish::Column::Name)
    };
    let read = || {
        wrong()
            .into_tuple::<(String, i32)>()
            .or_value(Vec::new())
            .all(&db)
    };
    let error = read().await.unwrap_err();
    let plain = wrong().into_tuple::<(String, i32)>().all(&db).await;
    assert_eq!(error, plain.unwrap_err());
    assert_eq!(db.gate().snapshot().breaker.totals.failures, 0);
}
