//! PostgreSQL.

use std::sync::Arc;

use diesel::pg::{Pg, PgMetadataLookup, PgNotification, PgQueryBuilder, PgTypeMetadata, PgValue};
use diesel::query_builder::bind_collector::RawBytesBindCollector;
use diesel::query_builder::{AsQuery, QueryBuilder, QueryFragment, QueryId};
use diesel::result::Error;
use diesel::row::{Field, Row};
use diesel::sql_types::{Nullable, Text};
use diesel::{ConnectionError::BadConnection, ConnectionResult, QueryResult, dsl, sql_query};
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig};
use diesel_async::{AsyncConnectionCore, AsyncPgConnection as Raw, SimpleAsyncConnection};
use futures_core::Stream;
use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, TryFutureExt, TryStreamExt};
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect, TlsStream};
use tokio_postgres::{CancelToken, Client, NoTls, Socket};

use super::connection::Connection;
use super::dialect::Diesel;
use super::driver::{ALLOCATION, BuiltQuery, Driver, Sealed};
use super::error::{database_error, report};
use super::object::Object;
use super::rows::Rows;
use super::transaction_builder::TransactionBuilder;
use crate::breaker::verdict::Class;
use crate::cache::not_a_read::NotARead;
use crate::cache::read_only;
use crate::cache::tokens::Dialect;
use crate::deadpool::builder::PoolBuilder;
use crate::deadpool::pool::Pool;
use crate::gate::admission::turned_away;
use crate::outcome::code::ErrorCode;
use crate::outcome::sqlstate;
use crate::pool::session::System;

/// A guarded connection to PostgreSQL, used like diesel-async's type of the same name.
pub type AsyncPgConnection = Connection<Raw>;

impl Connection<Raw> {
    /// Configures a transaction with an isolation level, a read mode and deferrability, as in
    /// diesel-async.
    pub fn build_transaction(&mut self) -> TransactionBuilder<'_> {
        TransactionBuilder::new(self)
    }

    /// Sets up a guarded connection outside of a pool, as in diesel-async. It is like one that is
    /// converted by `From` the driver's.
    ///
    /// # Errors
    ///
    /// diesel-async's.
    pub async fn try_from(client: Client) -> ConnectionResult<Self> {
        Ok(Raw::try_from(client).await?.into())
    }

    /// Sets up a guarded connection outside of a pool, for example with TLS, as in diesel-async. It is
    /// like one that is converted by `From` the driver's.
    ///
    /// # Errors
    ///
    /// diesel-async's.
    pub async fn try_from_client_and_connection<S>(
        client: Client,
        connection: tokio_postgres::Connection<Socket, S>,
    ) -> ConnectionResult<Self>
    where
        S: TlsStream + Unpin + Send + 'static,
    {
        let raw = Raw::try_from_client_and_connection(client, connection).await?;
        Ok(raw.into())
    }

    /// A token that cancels the statement that runs on this connection, as in diesel-async.
    #[must_use]
    pub fn cancel_token(&self) -> CancelToken {
        self.object.cancel_token()
    }

    /// A stream of the notifications on this connection, as in diesel-async. Waiting for one is not
    /// a statement: it is not guarded and has no deadline.
    pub fn notifications_stream(&mut self) -> impl Stream<Item = QueryResult<PgNotification>> + '_ {
        self.unguarded().notifications_stream()
    }
}

impl Pool<AsyncDieselConnectionManager<Raw>, Object<AsyncPgConnection>> {
    /// Starts to configure a pool whose connections use `tls`, and whose [cancel requests use
    /// it](PoolBuilder::cancel_tls), too.
    ///
    /// ```no_run
    /// use fusepool::deadpool::diesel::{AsyncPgConnection, Pool};
    ///
    /// # fn run(tls: tokio_postgres::NoTls) -> Result<(), Box<dyn std::error::Error>> {
    /// // `tls` is a connector such as tokio-postgres-rustls' `MakeRustlsConnect`.
    /// let url = "postgres://db.example.com/shop?sslmode=require";
    /// let pool: Pool<AsyncPgConnection> = Pool::builder_with_tls(url, tls).max_size(16).build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder_with_tls<T>(
        url: impl Into<String>,
        tls: T,
    ) -> PoolBuilder<AsyncDieselConnectionManager<Raw>, Object<AsyncPgConnection>>
    where
        T: MakeTlsConnect<Socket> + Clone + Sync + Send + 'static,
        T::Stream: Sync + Send + 'static,
        T::TlsConnect: Sync + Send,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        let connector = tls.clone();
        let mut config = ManagerConfig::default();
        config.custom_setup = Box::new(move |url| {
            let (url, tls) = (url.to_owned(), connector.clone());
            Box::pin(async move {
                let connected = tokio_postgres::connect(&url, tls).await;
                let failed = |error: tokio_postgres::Error| BadConnection(error.to_string());
                let (client, connection) = connected.map_err(failed)?;
                Raw::try_from_client_and_connection(client, connection).await
            })
        });
        let manager = AsyncDieselConnectionManager::new_with_config(url, config);
        Self::builder(manager).cancel_tls(tls)
    }
}

impl<S> PoolBuilder<AsyncDieselConnectionManager<Raw>, Object<AsyncPgConnection>, S> {
    /// The TLS for cancel requests: use the one with which the manager's `custom_setup` connects,
    /// because fusepool cannot learn it from a connection. Default: none. An abandoned statement on
    /// a connection with `sslmode=require` then keeps running on the server.
    ///
    /// ```no_run
    /// use fusepool::deadpool::diesel::{
    ///     AsyncDieselConnectionManager, AsyncPgConnection, ManagerConfig, Pool,
    /// };
    ///
    /// # fn run<T>(tls: T, config: ManagerConfig<AsyncPgConnection>)
    /// # -> Result<(), Box<dyn std::error::Error>>
    /// # where
    /// #     T: tokio_postgres::tls::MakeTlsConnect<tokio_postgres::Socket> + Clone + Send + Sync + 'static,
    /// #     T::Stream: Send + Sync,
    /// #     T::TlsConnect: Send + Sync,
    /// #     <T::TlsConnect as tokio_postgres::tls::TlsConnect<tokio_postgres::Socket>>::Future: Send,
    /// # {
    /// // `config` has a `custom_setup` that connects over `tls`.
    /// let manager = AsyncDieselConnectionManager::<AsyncPgConnection>::new_with_config(
    ///     "postgres://db.example.com/shop?sslmode=require",
    ///     config,
    /// );
    /// let pool: Pool<AsyncPgConnection> = Pool::builder(manager).cancel_tls(tls).build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn cancel_tls<T>(mut self, tls: T) -> Self
    where
        T: MakeTlsConnect<Socket> + Clone + Sync + Send + 'static,
        T::Stream: Sync + Send,
        T::TlsConnect: Sync + Send,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        let cancel = move |connection: &Raw| cancel(connection.cancel_token(), tls.clone());
        self.dialect = Arc::new(Diesel(Box::new(cancel)));
        self
    }
}

// The token (https://github.com/diesel-rs/diesel_async/pull/58) does not know the connection's TLS.
fn cancel<T>(token: CancelToken, tls: T) -> BoxFuture<'static, ()>
where
    T: MakeTlsConnect<Socket> + Send + 'static,
    T::Stream: Send,
    T::TlsConnect: Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    Box::pin(async move {
        // The result is ignored: the connection is closed next in any case.
        let _ = token.cancel_query(tls).await;
    })
}

/// Pipelining: concurrent statements on one connection, through shared references to it.
impl SimpleAsyncConnection for &Connection<Raw> {
    async fn batch_execute(&mut self, query: &str) -> QueryResult<()> {
        match self.pipelined(Some(query)) {
            Ok((mut raw, statement)) => statement.run(raw.batch_execute(query)).await,
            Err(error) => turned_away(Err(error)).await,
        }
    }
}

impl<'a> AsyncConnectionCore for &'a Connection<Raw> {
    type ExecuteFuture<'conn, 'query> = BoxFuture<'a, QueryResult<usize>>;
    type LoadFuture<'conn, 'query> = BoxFuture<'a, QueryResult<Rows<'a, Raw>>>;
    type Stream<'conn, 'query> = Rows<'a, Raw>;
    type Row<'conn, 'query> = <Raw as Driver>::OwnedRow;
    type Backend = Pg;

    fn load<'conn, 'query, T>(&'conn mut self, source: T) -> Self::LoadFuture<'conn, 'query>
    where
        T: AsQuery + 'query,
        T::Query: QueryFragment<Pg> + QueryId + 'query,
    {
        match self.pipelined(None) {
            Ok((mut raw, statement)) => {
                Box::pin(statement.load(raw.load(source).map_ok(StreamExt::boxed)))
            }
            Err(error) => Box::pin(turned_away(Err(error))),
        }
    }

    fn execute_returning_count<'conn, 'query, T>(
        &'conn mut self,
        source: T,
    ) -> Self::ExecuteFuture<'conn, 'query>
    where
        T: QueryFragment<Pg> + QueryId + 'query,
    {
        match self.pipelined(None) {
            Ok((mut raw, statement)) => {
                Box::pin(statement.run(raw.execute_returning_count(source)))
            }
            Err(error) => Box::pin(turned_away(Err(error))),
        }
    }
}

/// The types that a query names. Their names stand in for their OIDs, which only a connection knows.
#[derive(Default)]
struct Named(Vec<String>);

impl PgMetadataLookup for Named {
    fn lookup_type(&mut self, name: &str, schema: Option<&str>) -> PgTypeMetadata {
        self.0.push(format!("{schema:?} {name:?}"));
        PgTypeMetadata::new(0, 0)
    }
}

impl Sealed for Raw {}

impl Driver for Raw {
    const SYSTEM: System = System::Postgres;

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
        Box::pin(self.load(source).map_ok(StreamExt::boxed))
    }

    fn start_execute<'c, 'q, T>(&'c mut self, source: T) -> BoxFuture<'c, QueryResult<usize>>
    where
        T: QueryFragment<Self::Backend> + QueryId + 'q,
    {
        self.execute_returning_count(source)
    }

    /// Without TLS: the TLS of the connection is unknown.
    fn cancel(&self) -> BoxFuture<'static, ()> {
        cancel(self.cancel_token(), NoTls)
    }

    fn question(&mut self, sql: String) -> BoxFuture<'_, Option<String>> {
        Box::pin(async move {
            let text = dsl::sql::<Nullable<Text>>(&format!("({sql})"));
            diesel_async::RunQueryDsl::get_result(diesel::select(text), self)
                .await
                .ok()?
        })
    }

    fn is_read_only(&mut self) -> BoxFuture<'_, QueryResult<bool>> {
        let rows = self.start_load(sql_query(sqlstate::IS_READ_ONLY));
        Box::pin(rows.and_then(async |mut rows| Ok(rows.try_next().await?.is_some())))
    }

    fn classify(error: &Error, is_login: bool) -> Class {
        match database_error(error) {
            Some((kind, message)) => report(kind, message, is_login).class(),
            None => Class::Success,
        }
    }

    fn code(error: &Error) -> Option<ErrorCode> {
        let (kind, message) = database_error(error)?;
        ErrorCode::new(report(kind, message, false).code)
    }

    fn check_read(sql: &str) -> Result<(), NotARead> {
        read_only::check(sql, Dialect::Postgres)
    }

    fn build(query: &impl QueryFragment<Pg>) -> QueryResult<BuiltQuery> {
        let mut sql = PgQueryBuilder::new();
        query.to_sql(&mut sql, &Pg)?;
        let (mut binds, mut named) = (RawBytesBindCollector::<Pg>::new(), Named::default());
        query.collect_binds(&mut binds, &mut named, &Pg)?;
        let oids = binds.metadata.iter().map(|of| of.oid().unwrap_or_default());
        let mut types: Vec<_> = oids.map(|oid| oid.to_string()).collect();
        types.append(&mut named.0);
        Ok(BuiltQuery {
            sql: sql.finish(),
            values: binds.binds,
            types,
        })
    }

    fn row_bytes(row: &Self::OwnedRow) -> usize {
        let fields = (0..row.field_count()).filter_map(|index| row.get(index));
        let bytes = |field: Option<PgValue<'_>>| field.map_or(0, |value| value.as_bytes().len());
        fields.map(|field| ALLOCATION + bytes(field.value())).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use diesel::result::DatabaseErrorKind;

    /// The messages of PostgreSQL 17.
    #[test]
    fn the_table_is_complete() {
        use DatabaseErrorKind::{
            ReadOnlyTransaction, SerializationFailure, UniqueViolation, Unknown,
        };
        for (kind, message, class) in [
            (Unknown, "sorry, too many clients already", Class::Starved),
            (
                Unknown,
                "remaining connection slots are reserved for roles with the SUPERUSER attribute",
                Class::Starved,
            ),
            (
                Unknown,
                "too many connections for role \"app\"",
                Class::Starved,
            ),
            (Unknown, "out of memory", Class::Failure),
            (Unknown, "out of shared memory", Class::Failure),
            (
                Unknown,
                "could not extend file \"base/5/16384\": No space left on device",
                Class::Failure,
            ),
            (
                Unknown,
                "could not write to file \"pg_wal/xlogtemp.1\": No space left on device",
                Class::Failure,
            ),
            (
                Unknown,
                "could not open file \"base/5/16384\": No such file or directory",
                Class::Success,
            ),
            (
                Unknown,
                "could not access file \"base/5/16384\": No such file or directory",
                Class::Success,
            ),
            (
                Unknown,
                "could not read blocks 0..0 in file \"base/5/16384\": Input/output error",
                Class::Failure,
            ),
            (
                Unknown,
                "could not fsync file \"base/5/16384\": Input/output error",
                Class::Failure,
            ),
            (
                Unknown,
                "invalid page in block 0 of relation base/5/16384",
                Class::Failure,
            ),
            (
                Unknown,
                "terminating connection due to administrator command",
                Class::Failure,
            ),
            (
                Unknown,
                "terminating connection because of crash of another server process",
                Class::Failure,
            ),
            (
                Unknown,
                "terminating connection due to idle-session timeout",
                Class::Denied,
            ),
            (
                Unknown,
                "the database system is shutting down",
                Class::Failure,
            ),
            (
                Unknown,
                "the database system is starting up",
                Class::Failure,
            ),
            (
                ReadOnlyTransaction,
                "cannot execute INSERT in a read-only transaction",
                Class::ReadOnly,
            ),
            (
                Unknown,
                "canceling statement due to statement timeout",
                Class::Slow,
            ),
            (
                Unknown,
                "canceling statement due to user request",
                Class::Ignored,
            ),
            (
                Unknown,
                "canceling statement due to lock timeout",
                Class::Ignored,
            ),
            (Unknown, "deadlock detected", Class::Ignored),
            (
                SerializationFailure,
                "could not serialize access due to concurrent update",
                Class::Ignored,
            ),
            (
                Unknown,
                "password authentication failed for user \"app\"",
                Class::Denied,
            ),
            (
                Unknown,
                "terminating connection due to idle-in-transaction timeout",
                Class::Denied,
            ),
            (
                UniqueViolation,
                "duplicate key value violates unique constraint \"users_name_key\"",
                Class::Success,
            ),
            (Unknown, "query_wait_timeout", Class::Starved),
            (
                Unknown,
                "no more connections allowed (max_client_conn)",
                Class::Starved,
            ),
            (Unknown, "server conn crashed?", Class::Failure),
            (
                Unknown,
                "could not get connection from the pool - AllServersDown",
                Class::Starved,
            ),
            (
                Unknown,
                "result is ambiguous: error=node unavailable",
                Class::Failure,
            ),
            (Unknown, "syntax error at or near \"SELEC\"", Class::Success),
            (Unknown, "", Class::Success),
        ] {
            let error = Error::DatabaseError(kind, Box::new(message.to_owned()));
            assert_eq!(<Raw as Driver>::classify(&error, false), class, "{message}");
            // Nothing is an answer while a connection is opened.
            let login = <Raw as Driver>::classify(&error, true);
            assert_ne!(login, Class::Success, "{message}");
        }
    }
}
