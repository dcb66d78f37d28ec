//! SeaORM's traits for a connection and for a transaction, which differ only in where a statement runs and
//! a transaction begins.

use std::fmt;
use std::pin::Pin;

use async_trait::async_trait;
use sea_orm::{
    AccessMode, ConnectionTrait, DbBackend, DbErr, ExecResult, IsolationLevel, QueryResult,
    Statement, StreamTrait, TransactionError, TransactionOptions, TransactionTrait,
};

use super::backend::Backend;
use super::configured::{Configured, Connection, Rows, Sealed};
use super::connection::DatabaseConnection;
use super::transaction::DatabaseTransaction;

macro_rules! implement_stream {
    ($type:ty) => {
        impl<DB: Backend> StreamTrait for $type {
            type Stream<'a>
                = Rows<'a>
            where
                Self: 'a;

            fn get_database_backend(&self) -> DbBackend {
                DB::BACKEND
            }

            fn stream_raw<'a>(
                &'a self,
                statement: Statement,
            ) -> Pin<Box<dyn Future<Output = Result<Rows<'a>, DbErr>> + Send + 'a>> {
                Box::pin(async { Ok(self.configured().rows(statement).await) })
            }
        }
    };
}

macro_rules! implement_traits {
    ($type:ident) => {
        impl<DB: Backend> Sealed for $type<DB> {}

        #[async_trait]
        impl<DB: Backend> ConnectionTrait for $type<DB> {
            fn get_database_backend(&self) -> DbBackend {
                DB::BACKEND
            }

            async fn execute_raw(&self, query: Statement) -> Result<ExecResult, DbErr> {
                self.configured().execute_raw(query).await
            }

            async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
                self.configured().execute_unprepared(sql).await
            }

            async fn query_one_raw(&self, query: Statement) -> Result<Option<QueryResult>, DbErr> {
                self.configured().query_one_raw(query).await
            }

            async fn query_all_raw(&self, query: Statement) -> Result<Vec<QueryResult>, DbErr> {
                self.configured().query_all_raw(query).await
            }
        }

        implement_stream!($type<DB>);

        #[async_trait]
        impl<DB: Backend> TransactionTrait for $type<DB> {
            type Transaction = DatabaseTransaction<DB>;

            async fn begin(&self) -> Result<DatabaseTransaction<DB>, DbErr> {
                self.begin_with_options(TransactionOptions::default()).await
            }

            async fn begin_with_config(
                &self,
                isolation_level: Option<IsolationLevel>,
                access_mode: Option<AccessMode>,
            ) -> Result<DatabaseTransaction<DB>, DbErr> {
                let options = TransactionOptions {
                    isolation_level,
                    access_mode,
                    ..TransactionOptions::default()
                };
                self.begin_with_options(options).await
            }

            async fn begin_with_options(
                &self,
                options: TransactionOptions,
            ) -> Result<DatabaseTransaction<DB>, DbErr> {
                self.begin_transaction(options).await
            }

            async fn transaction<F, T, E>(&self, callback: F) -> Result<T, TransactionError<E>>
            where
                F: for<'c> FnOnce(
                        &'c DatabaseTransaction<DB>,
                    )
                        -> Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'c>>
                    + Send,
                T: Send,
                E: fmt::Display + fmt::Debug + Send,
            {
                self.transaction_with_config(callback, None, None).await
            }

            async fn transaction_with_config<F, T, E>(
                &self,
                callback: F,
                isolation_level: Option<IsolationLevel>,
                access_mode: Option<AccessMode>,
            ) -> Result<T, TransactionError<E>>
            where
                F: for<'c> FnOnce(
                        &'c DatabaseTransaction<DB>,
                    )
                        -> Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'c>>
                    + Send,
                T: Send,
                E: fmt::Display + fmt::Debug + Send,
            {
                let begun = self.begin_with_config(isolation_level, access_mode).await;
                begun?.run(callback).await
            }
        }
    };
}

implement_traits!(DatabaseConnection);
implement_traits!(DatabaseTransaction);
implement_stream!(Configured<'_, DB>);
