//! A trait for code that takes a client or a transaction.

use async_trait::async_trait;
use tokio_postgres::types::{BorrowToSql, ToSql, Type};
use tokio_postgres::{Error, Row, RowStream, Statement, ToStatement};

use super::client::Client;
use super::transaction::Transaction;

/// The parameters of a statement.
type Params<'p> = &'p [&'p (dyn ToSql + Sync)];

/// The common methods of [`Client`] and [`Transaction`], like deadpool-postgres' trait of the same
/// name. Unlike that one, it is not sealed: other types may implement it.
///
/// ```
/// use fusepool::deadpool::postgres::GenericClient;
/// use tokio_postgres::Error;
///
/// async fn one(client: &impl GenericClient) -> Result<i32, Error> {
///     Ok(client.query_one("SELECT 1", &[]).await?.get(0))
/// }
/// ```
// tokio-postgres' and deadpool-postgres' traits are sealed:
// https://github.com/rust-postgres/rust-postgres/issues/912,
// https://github.com/deadpool-rs/deadpool/issues/298, https://github.com/deadpool-rs/deadpool/issues/56.
#[async_trait]
pub trait GenericClient: Send + Sync {
    /// See [`Client::prepare`].
    async fn prepare(&self, query: &str) -> Result<Statement, Error> {
        self.prepare_typed(query, &[]).await
    }

    /// See [`Client::prepare_typed`].
    async fn prepare_typed(&self, query: &str, types: &[Type]) -> Result<Statement, Error>;

    /// See [`Client::prepare_cached`].
    async fn prepare_cached(&self, query: &str) -> Result<Statement, Error> {
        self.prepare_typed_cached(query, &[]).await
    }

    /// See [`Client::prepare_typed_cached`].
    async fn prepare_typed_cached(&self, query: &str, types: &[Type]) -> Result<Statement, Error>;

    /// See [`Client::batch_execute`].
    async fn batch_execute(&self, query: &str) -> Result<(), Error>;

    /// See [`Client::transaction`].
    async fn transaction(&mut self) -> Result<Transaction<'_>, Error>;

    /// See [`Client::query`].
    async fn query<T>(&self, statement: &T, params: Params<'_>) -> Result<Vec<Row>, Error>
    where
        T: ?Sized + ToStatement + Sync + Send;

    /// See [`Client::query_one`].
    async fn query_one<T>(&self, statement: &T, params: Params<'_>) -> Result<Row, Error>
    where
        T: ?Sized + ToStatement + Sync + Send;

    /// See [`Client::query_opt`].
    async fn query_opt<T>(&self, statement: &T, params: Params<'_>) -> Result<Option<Row>, Error>
    where
        T: ?Sized + ToStatement + Sync + Send;

    /// See [`Client::query_raw`].
    async fn query_raw<T, P, I>(&self, statement: &T, params: I) -> Result<RowStream, Error>
    where
        T: ?Sized + ToStatement + Sync + Send,
        P: BorrowToSql,
        I: IntoIterator<Item = P> + Sync + Send,
        I::IntoIter: ExactSizeIterator;

    /// See [`Client::execute`].
    async fn execute<T>(&self, statement: &T, params: Params<'_>) -> Result<u64, Error>
    where
        T: ?Sized + ToStatement + Sync + Send;

    /// See [`Client::execute_raw`].
    async fn execute_raw<P, I, T>(&self, statement: &T, params: I) -> Result<u64, Error>
    where
        T: ?Sized + ToStatement + Sync + Send,
        P: BorrowToSql,
        I: IntoIterator<Item = P> + Sync + Send,
        I::IntoIter: ExactSizeIterator;
}

/// Forwards to the inherent methods of the same names.
macro_rules! forward {
    ($($client:tt)*) => {
        #[async_trait]
        impl GenericClient for $($client)* {
            async fn prepare_typed(&self, query: &str, types: &[Type]) -> Result<Statement, Error> {
                self.prepare_typed(query, types).await
            }

            async fn prepare_typed_cached(
                &self,
                query: &str,
                types: &[Type],
            ) -> Result<Statement, Error> {
                self.prepare_typed_cached(query, types).await
            }

            async fn batch_execute(&self, query: &str) -> Result<(), Error> {
                self.batch_execute(query).await
            }

            async fn transaction(&mut self) -> Result<Transaction<'_>, Error> {
                self.transaction().await
            }

            async fn query<T>(&self, statement: &T, params: Params<'_>) -> Result<Vec<Row>, Error>
            where
                T: ?Sized + ToStatement + Sync + Send,
            {
                self.query(statement, params).await
            }

            async fn query_one<T>(&self, statement: &T, params: Params<'_>) -> Result<Row, Error>
            where
                T: ?Sized + ToStatement + Sync + Send,
            {
                self.query_one(statement, params).await
            }

            async fn query_opt<T>(
                &self,
                statement: &T,
                params: Params<'_>,
            ) -> Result<Option<Row>, Error>
            where
                T: ?Sized + ToStatement + Sync + Send,
            {
                self.query_opt(statement, params).await
            }

            async fn query_raw<T, P, I>(&self, statement: &T, params: I) -> Result<RowStream, Error>
            where
                T: ?Sized + ToStatement + Sync + Send,
                P: BorrowToSql,
                I: IntoIterator<Item = P> + Sync + Send,
                I::IntoIter: ExactSizeIterator,
            {
                self.query_raw(statement, params).await
            }

            async fn execute<T>(&self, statement: &T, params: Params<'_>) -> Result<u64, Error>
            where
                T: ?Sized + ToStatement + Sync + Send,
            {
                self.execute(statement, params).await
            }

            async fn execute_raw<P, I, T>(&self, statement: &T, params: I) -> Result<u64, Error>
            where
                T: ?Sized + ToStatement + Sync + Send,
                P: BorrowToSql,
                I: IntoIterator<Item = P> + Sync + Send,
                I::IntoIter: ExactSizeIterator,
            {
                self.execute_raw(statement, params).await
            }
        }
    };
}

forward!(Client);
forward!(Transaction<'_>);
