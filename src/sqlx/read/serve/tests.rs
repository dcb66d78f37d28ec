//! Keys distinguish arguments exactly as far as the driver does.
//!
//! The key of a statement contains the `Debug` text of the driver's arguments. These tests encode
//! arguments that differ as little as possible with the driver; that needs no server. Two lists of
//! arguments may have the same key only if they are equal to the database.

use std::collections::HashMap;
use std::fmt::Debug;

use proptest::collection::vec;
use proptest::prelude::*;
use sqlx::{Arguments, AssertSqlSafe, Database, IntoArguments};

use super::{Reading, with_statement};
use crate::cache::key::{Key, KeyHasher};
use crate::cache::policy::CachePolicy;
use crate::sqlx::driver::Driver;
use crate::sqlx::statement::Statement;

/// An argument. Two arguments are equal if the database cannot distinguish them.
trait Argument<DB: Database>: Clone + Debug + PartialEq {
    fn encode(&self, arguments: &mut DB::Arguments);
}

fn key<DB>(sql: &str, arguments: &[impl Argument<DB>]) -> Key
where
    DB: Driver,
    DB::Arguments: IntoArguments<DB>,
{
    let mut encoded = DB::Arguments::default();
    for argument in arguments {
        argument.encode(&mut encoded);
    }
    let query = sqlx::query_with(AssertSqlSafe(sql.to_owned()), encoded);
    let statement = Statement::take(query).unwrap();
    with_statement(KeyHasher::new(), &statement).finish()
}

/// Checks that equal lists have equal keys, and different lists have different keys.
fn assert_told_apart<DB, A: Argument<DB>>(lists: &[Vec<A>])
where
    DB: Driver,
    DB::Arguments: IntoArguments<DB>,
{
    let mut known: HashMap<Key, &Vec<A>> = HashMap::new();
    for list in lists {
        let key = key("SELECT 1", list);
        let same = known.entry(key).or_insert(list);
        assert_eq!(*same, list, "two lists of arguments have one key");
    }
    for (one, list) in lists.iter().enumerate() {
        for other in &lists[..one] {
            if list == other {
                assert_eq!(key("SELECT 1", list), key("SELECT 1", other), "{list:?}");
            }
        }
    }
}

/// Texts that are printed like another value, or almost like one another.
fn text() -> impl Strategy<Value = String> {
    let tricky = proptest::sample::select(vec![
        "",
        " ",
        "0",
        "1",
        "a",
        "A",
        "é",
        "e\u{301}",
        "ab",
        "\0",
        "\"",
        "\\",
        "\\\"",
        "\n",
        "\\n",
        "None",
        "Null",
        "NULL",
        "), Null, (",
        "\"), Text(\"",
        ", ",
        "[49]",
        "49",
        "\u{1f35c}",
        "\u{feff}",
        "{\"a\":1}",
    ]);
    prop_oneof![
        8 => tricky.prop_map(str::to_owned),
        1 => "[ab\",\\\\]{0,3}",
        1 => (0..3_usize).prop_map(|more| "x".repeat(10_000 + more)),
    ]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => text().prop_map(String::into_bytes),
        1 => vec(prop_oneof![Just(0), Just(1), Just(255)], 0..4),
    ]
}

fn integer() -> impl Strategy<Value = i64> {
    prop_oneof![
        -2..=2_i64,
        Just(i64::from(i32::MIN)),
        Just(i64::MAX),
        any::<i64>()
    ]
}

fn float() -> impl Strategy<Value = f64> {
    proptest::sample::select(vec![
        0.0,
        -0.0,
        1.0,
        0.1,
        0.1 + f64::EPSILON,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MIN_POSITIVE,
        f64::from_bits(1),
    ])
}

#[cfg(feature = "sqlx-postgres")]
mod postgres {
    use sqlx::postgres::{PgArguments, Postgres};
    use sqlx::types::Json;

    use super::*;

    /// Floats are held as bits, so that 0 and -0, and different NaNs, are unequal.
    #[derive(Clone, Debug, PartialEq)]
    enum Value {
        Bool(Option<bool>),
        Small(Option<i16>),
        Int(Option<i32>),
        Big(Option<i64>),
        Real(u32),
        Double(u64),
        Text(Option<String>),
        Bytes(Option<Vec<u8>>),
        Json(String),
        Bools(Vec<bool>),
        Ints(Vec<Option<i32>>),
        Texts(Vec<Option<String>>),
        /// Of a custom type, whose OID only the server knows.
        Mood(String),
        Moods(Vec<String>),
    }

    #[derive(Clone, sqlx::Type)]
    #[sqlx(type_name = "mood", no_pg_array)]
    struct Mood(String);

    impl sqlx::postgres::PgHasArrayType for Mood {
        fn array_type_info() -> sqlx::postgres::PgTypeInfo {
            sqlx::postgres::PgTypeInfo::array_of("mood")
        }
    }

    impl Argument<Postgres> for Value {
        fn encode(&self, to: &mut PgArguments) {
            match self.clone() {
                Self::Bool(value) => to.add(value),
                Self::Small(value) => to.add(value),
                Self::Int(value) => to.add(value),
                Self::Big(value) => to.add(value),
                Self::Real(bits) => to.add(f32::from_bits(bits)),
                Self::Double(bits) => to.add(f64::from_bits(bits)),
                Self::Text(value) => to.add(value),
                Self::Bytes(value) => to.add(value),
                Self::Json(value) => to.add(Json(value)),
                Self::Bools(value) => to.add(value),
                Self::Ints(value) => to.add(value),
                Self::Texts(value) => to.add(value),
                Self::Mood(value) => to.add(Mood(value)),
                Self::Moods(values) => to.add(values.into_iter().map(Mood).collect::<Vec<_>>()),
            }
            .unwrap();
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let maybe = proptest::option::of::<BoxedStrategy<i64>>;
        let number = || maybe(integer().boxed());
        prop_oneof![
            any::<Option<bool>>().prop_map(Value::Bool),
            number().prop_map(|n| Value::Small(n.map(|n| n as i16))),
            number().prop_map(|n| Value::Int(n.map(|n| n as i32))),
            number().prop_map(Value::Big),
            float().prop_map(|n| Value::Real((n as f32).to_bits())),
            float().prop_map(|n| Value::Double(n.to_bits())),
            proptest::option::of(text()).prop_map(Value::Text),
            proptest::option::of(bytes()).prop_map(Value::Bytes),
            text().prop_map(Value::Json),
            vec(any::<bool>(), 0..3).prop_map(Value::Bools),
            vec(any::<Option<i32>>(), 0..3).prop_map(Value::Ints),
            vec(proptest::option::of(text()), 0..3).prop_map(Value::Texts),
            text().prop_map(Value::Mood),
            vec(text(), 0..3).prop_map(Value::Moods),
        ]
    }

    proptest! {
        #[test]
        fn arguments_are_told_apart(lists in vec(vec(value(), 0..4), 2..24)) {
            assert_told_apart::<Postgres, _>(&lists);
        }
    }
}

#[cfg(feature = "sqlx-mysql")]
mod mysql {
    use sqlx::mysql::{MySql, MySqlArguments};
    use sqlx::types::Json;

    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    enum Value {
        Bool(Option<bool>),
        Tiny(i8),
        TinyUnsigned(u8),
        Int(Option<i32>),
        Unsigned(u32),
        Big(Option<i64>),
        BigUnsigned(u64),
        Real(u32),
        Double(u64),
        Text(Option<String>),
        Bytes(Option<Vec<u8>>),
        Json(String),
    }

    impl Argument<MySql> for Value {
        fn encode(&self, to: &mut MySqlArguments) {
            match self.clone() {
                Self::Bool(value) => to.add(value),
                Self::Tiny(value) => to.add(value),
                Self::TinyUnsigned(value) => to.add(value),
                Self::Int(value) => to.add(value),
                Self::Unsigned(value) => to.add(value),
                Self::Big(value) => to.add(value),
                Self::BigUnsigned(value) => to.add(value),
                Self::Real(bits) => to.add(f32::from_bits(bits)),
                Self::Double(bits) => to.add(f64::from_bits(bits)),
                Self::Text(value) => to.add(value),
                Self::Bytes(value) => to.add(value),
                Self::Json(value) => to.add(Json(value)),
            }
            .unwrap();
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<Option<bool>>().prop_map(Value::Bool),
            integer().prop_map(|n| Value::Tiny(n as i8)),
            integer().prop_map(|n| Value::TinyUnsigned(n as u8)),
            proptest::option::of(integer()).prop_map(|n| Value::Int(n.map(|n| n as i32))),
            integer().prop_map(|n| Value::Unsigned(n as u32)),
            proptest::option::of(integer()).prop_map(Value::Big),
            integer().prop_map(|n| Value::BigUnsigned(n as u64)),
            float().prop_map(|n| Value::Real((n as f32).to_bits())),
            float().prop_map(|n| Value::Double(n.to_bits())),
            proptest::option::of(text()).prop_map(Value::Text),
            proptest::option::of(bytes()).prop_map(Value::Bytes),
            text().prop_map(Value::Json),
        ]
    }

    proptest! {
        #[test]
        fn arguments_are_told_apart(lists in vec(vec(value(), 0..10), 2..24)) {
            assert_told_apart::<MySql, _>(&lists);
        }
    }
}

#[cfg(feature = "sqlx-sqlite")]
mod sqlite {
    use sqlx::sqlite::{Sqlite, SqliteArguments};

    use super::*;

    /// SQLite has a single NULL for all types. The driver binds every NaN alike, a `bool` as an
    /// `i32`, and JSON as text.
    #[derive(Clone, Debug, PartialEq)]
    enum Value {
        Null,
        Int(i32),
        Big(i64),
        Double(u64),
        NotANumber,
        Text(String),
        Bytes(Vec<u8>),
    }

    impl Argument<Sqlite> for Value {
        fn encode(&self, to: &mut SqliteArguments) {
            match self.clone() {
                Self::Null => to.add(None::<String>),
                Self::Int(value) => to.add(value),
                Self::Big(value) => to.add(value),
                Self::Double(bits) => to.add(f64::from_bits(bits)),
                Self::NotANumber => to.add(f64::NAN),
                Self::Text(value) => to.add(value),
                Self::Bytes(value) => to.add(value),
            }
            .unwrap();
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            integer().prop_map(|n| Value::Int(n as i32)),
            integer().prop_map(Value::Big),
            float().prop_map(|n| match n.is_nan() {
                true => Value::NotANumber,
                false => Value::Double(n.to_bits()),
            }),
            any::<f64>()
                .prop_filter("told apart by bits", |n| !n.is_nan())
                .prop_map(|n| Value::Double(n.to_bits())),
            text().prop_map(Value::Text),
            bytes().prop_map(Value::Bytes),
        ]
    }

    proptest! {
        #[test]
        fn arguments_are_told_apart(lists in vec(vec(value(), 0..4), 2..24)) {
            assert_told_apart::<Sqlite, _>(&lists);
        }

        #[test]
        fn statements_policies_and_scopes_are_told_apart(
            parts in vec((text(), proptest::sample::select(vec!["", "a", "ab", "b"]), vec(text(), 0..3)), 2..24),
        ) {
            let mut known = HashMap::new();
            for part in &parts {
                let (sql, policy, scopes) = part;
                let statement = Statement::<Sqlite>::take(AssertSqlSafe(sql.clone())).unwrap();
                let mut reading = Reading::<Sqlite, ()>::new();
                reading.cached(&CachePolicy::named(policy));
                for scope in scopes {
                    reading.vary_by(scope.as_bytes());
                }
                let key = with_statement(reading.wording.key(), &statement).finish();
                prop_assert_eq!(*known.entry(key).or_insert(part), part);
            }
        }
    }

    /// The Rust type that holds a value does not matter.
    #[test]
    fn equal_arguments_have_one_key() {
        let key = |add: &dyn Fn(&mut SqliteArguments)| {
            let mut arguments = SqliteArguments::default();
            add(&mut arguments);
            let statement = Statement::take(sqlx::query_with("SELECT ?", arguments)).unwrap();
            with_statement::<Sqlite>(KeyHasher::new(), &statement).finish()
        };
        let text = key(&|to| to.add("a").unwrap());
        assert_eq!(text, key(&|to| to.add(String::from("a")).unwrap()));
        assert_eq!(text, key(&|to| to.add(Some("a")).unwrap()));
        let one = key(&|to| to.add(1_i32).unwrap());
        assert_eq!(one, key(&|to| to.add(true).unwrap()));
        assert_ne!(one, key(&|to| to.add(1_i64).unwrap()));
    }
}
