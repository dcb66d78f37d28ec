//! MySQL and MariaDB.

use diesel::mysql::{Mysql, MysqlQueryBuilder, MysqlValue};
use diesel::query_builder::QueryBuilder;
use diesel::query_builder::bind_collector::RawBytesBindCollector;
use diesel::query_builder::{AsQuery, QueryFragment, QueryId};
use diesel::result::Error;
use diesel::row::{Field, Row};
use diesel::sql_types::{Nullable, Text};
use diesel::{QueryResult, dsl, sql_query};
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig};
use diesel_async::{
    AsyncConnectionCore, AsyncMysqlConnection as Raw, MysqlCancelToken, SimpleAsyncConnection,
};
use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use futures_util::{TryFutureExt, TryStreamExt};

use super::connection::Connection;
use super::driver::{ALLOCATION, BuiltQuery, Driver, Sealed};
use super::error::database_error;
use super::texts::number;
use crate::breaker::verdict::Class;
use crate::cache::not_a_read::NotARead;
use crate::cache::read_only;
use crate::cache::tokens::Dialect;
use crate::outcome::code::ErrorCode;
use crate::outcome::errno;
use crate::pool::session::System;

/// A guarded connection to MySQL or MariaDB, used like diesel-async's type of the same name.
pub type AsyncMysqlConnection = Connection<Raw>;

impl Connection<Raw> {
    /// A token that cancels the statement that runs on this connection, as in diesel-async.
    #[must_use]
    pub fn cancel_token(&self) -> MysqlCancelToken {
        self.object.cancel_token()
    }
}

impl Sealed for Raw {}

impl Driver for Raw {
    const SYSTEM: System = System::MySql;

    type Manager = AsyncDieselConnectionManager<Self>;
    type OwnedRow = <Self as AsyncConnectionCore>::Row<'static, 'static>;

    fn manager_of(config: ManagerConfig<Self>) -> Self::Manager {
        AsyncDieselConnectionManager::new_with_config("", config)
    }

    fn start_load<'c, 'q, T>(
        &'c mut self,
        source: T,
    ) -> BoxFuture<'c, QueryResult<BoxStream<'c, QueryResult<Self::OwnedRow>>>>
    where
        T: AsQuery + 'q,
        T::Query: QueryFragment<Self::Backend> + QueryId + 'q,
    {
        self.load(source)
    }

    fn start_execute<'c, 'q, T>(&'c mut self, source: T) -> BoxFuture<'c, QueryResult<usize>>
    where
        T: QueryFragment<Self::Backend> + QueryId + 'q,
    {
        self.execute_returning_count(source)
    }

    fn cancel(&self) -> BoxFuture<'static, ()> {
        let token = self.cancel_token();
        Box::pin(async move {
            // The result is ignored: the connection is closed next in any case.
            let _ = token.cancel_query().await;
        })
    }

    fn question(&mut self, sql: String) -> BoxFuture<'_, Option<String>> {
        Box::pin(async move {
            if sql.starts_with("KILL") {
                let _ = self.batch_execute(&sql).await;
                return None;
            }
            let text = dsl::sql::<Nullable<Text>>(&format!("({sql})"));
            diesel_async::RunQueryDsl::get_result(diesel::select(text), self)
                .await
                .ok()?
        })
    }

    fn is_read_only(&mut self) -> BoxFuture<'_, QueryResult<bool>> {
        let rows = self.start_load(sql_query(errno::IS_READ_ONLY));
        Box::pin(rows.and_then(async |mut rows| Ok(rows.try_next().await?.is_some())))
    }

    fn classify(error: &Error, _: bool) -> Class {
        match database_error(error) {
            Some((_, message)) => errno::classify(number(message), message),
            None => Class::Success,
        }
    }

    fn code(error: &Error) -> Option<ErrorCode> {
        match number(database_error(error)?.1) {
            0 => None,
            number => ErrorCode::new(&number.to_string()),
        }
    }

    fn check_read(sql: &str) -> Result<(), NotARead> {
        read_only::check(sql, Dialect::MySql)
    }

    fn build(query: &impl QueryFragment<Mysql>) -> QueryResult<BuiltQuery> {
        let mut sql = MysqlQueryBuilder::new();
        query.to_sql(&mut sql, &Mysql)?;
        let mut binds = RawBytesBindCollector::<Mysql>::new();
        query.collect_binds(&mut binds, &mut (), &Mysql)?;
        let types = binds.metadata.iter().map(|of| format!("{of:?}"));
        Ok(BuiltQuery {
            sql: sql.finish(),
            types: types.collect(),
            values: binds.binds,
        })
    }

    fn row_bytes(row: &Self::OwnedRow) -> usize {
        let fields = (0..row.field_count()).filter_map(|index| row.get(index));
        let bytes = |field: Option<MysqlValue<'_>>| field.map_or(0, |value| value.as_bytes().len());
        fields.map(|field| ALLOCATION + bytes(field.value())).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The messages of MySQL 8.4 and MariaDB 11.4.
    #[test]
    fn the_table_is_complete() {
        for (message, number, class) in [
            ("Too many connections", 1040, Class::Starved),
            (
                "WSREP has not yet prepared node for application use",
                1047,
                Class::Failure,
            ),
            ("Server shutdown in progress", 1053, Class::Failure),
            (
                "Host '10.0.0.1' is blocked because of many connection errors",
                1129,
                Class::Failure,
            ),
            (
                "Got an error reading communication packets",
                1158,
                Class::Failure,
            ),
            (
                "Got timeout reading communication packets",
                1159,
                Class::Failure,
            ),
            (
                "Got an error writing communication packets",
                1160,
                Class::Failure,
            ),
            (
                "Got timeout writing communication packets",
                1161,
                Class::Failure,
            ),
            ("Connection was killed", 1927, Class::Failure),
            (
                "The client was disconnected by the server because of inactivity.",
                4031,
                Class::Denied,
            ),
            ("Running in read-only mode", 1836, Class::ReadOnly),
            (
                "The MariaDB server is running with the --read-only option so it cannot execute \
                 this statement",
                1290,
                Class::ReadOnly,
            ),
            (
                "The MySQL server is running with the --secure-file-priv option so it cannot \
                 execute this statement",
                1290,
                Class::Success,
            ),
            (
                "Query execution was interrupted (max_statement_time exceeded)",
                1969,
                Class::Slow,
            ),
            (
                "Query execution was interrupted, maximum statement execution time exceeded",
                3024,
                Class::Slow,
            ),
            ("Query execution was interrupted", 1317, Class::Ignored),
            (
                "Access denied for user 'app'@'localhost' (using password: YES)",
                1045,
                Class::Denied,
            ),
            (
                "Lock wait timeout exceeded; try restarting transaction",
                1205,
                Class::Ignored,
            ),
            (
                "Deadlock found when trying to get lock; try restarting transaction",
                1213,
                Class::Ignored,
            ),
            (
                "User app already has more than 'max_user_connections' active connections",
                1203,
                Class::Starved,
            ),
            (
                "User 'app' has exceeded the 'max_user_connections' resource (current value: 1)",
                1226,
                Class::Starved,
            ),
            (
                "Disk full (/tmp/#sql_1); waiting for someone to free some space...",
                1021,
                Class::Failure,
            ),
            (
                "Got error 28 'No space left on device' from storage engine",
                1030,
                Class::Failure,
            ),
            (
                "Host '10.0.0.1' is not allowed to connect to this MariaDB server",
                1130,
                Class::Denied,
            ),
            (
                "The server is currently in offline mode",
                3032,
                Class::Failure,
            ),
            (
                "Max connect timeout reached while reaching hostgroup 1 after 10000ms",
                9001,
                Class::Starved,
            ),
            (
                "target: shop.-.primary: vttablet: rpc error: code = Unavailable desc = closed",
                1105,
                Class::Failure,
            ),
            (
                "Query execution was interrupted, query_timeout exceeded",
                1907,
                Class::Slow,
            ),
            // Of the application: a `SIGNAL`.
            ("Host 'web-1' has no rack", 0, Class::Success),
            (
                "Duplicate entry 'Ada' for key 'users.name'",
                0,
                Class::Success,
            ),
            ("", 0, Class::Success),
        ] {
            assert_eq!(super::number(message), number, "{message}");
            let error = Error::DatabaseError(
                diesel::result::DatabaseErrorKind::Unknown,
                Box::new(message.to_owned()),
            );
            assert_eq!(<Raw as Driver>::classify(&error, false), class, "{message}");
        }
    }
}
