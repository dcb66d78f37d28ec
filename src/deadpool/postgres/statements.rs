//! The methods that run a statement on PostgreSQL, for the types that have them.

/// The statement methods of a type that has a `guarded()` method. This is a macro, because all
/// three types need them as inherent methods.
macro_rules! statements {
    () => {
        /// Executes a statement and returns all rows; see [`tokio_postgres::Client::query`].
        ///
        /// # Errors
        ///
        /// The driver's error, which may hold a refusal or a deadline; see
        /// [the module's page](crate::deadpool::postgres#errors).
        pub async fn query<T>(
            &self,
            statement: &T,
            params: &[&(dyn ToSql + Sync)],
        ) -> Result<Vec<Row>, Error>
        where
            T: ?Sized + ToStatement,
        {
            let on = self.guarded();
            on.run(on.client.query(statement, params)).await
        }

        /// Executes a statement that returns exactly one row; see
        /// [`tokio_postgres::Client::query_one`].
        ///
        /// # Errors
        ///
        /// The driver's error, which may hold a refusal or a deadline; see
        /// [the module's page](crate::deadpool::postgres#errors).
        pub async fn query_one<T>(
            &self,
            statement: &T,
            params: &[&(dyn ToSql + Sync)],
        ) -> Result<Row, Error>
        where
            T: ?Sized + ToStatement,
        {
            let on = self.guarded();
            on.run(on.client.query_one(statement, params)).await
        }

        /// Executes a statement that returns at most one row; see
        /// [`tokio_postgres::Client::query_opt`].
        ///
        /// # Errors
        ///
        /// The driver's error, which may hold a refusal or a deadline; see
        /// [the module's page](crate::deadpool::postgres#errors).
        pub async fn query_opt<T>(
            &self,
            statement: &T,
            params: &[&(dyn ToSql + Sync)],
        ) -> Result<Option<Row>, Error>
        where
            T: ?Sized + ToStatement,
        {
            let on = self.guarded();
            on.run(on.client.query_opt(statement, params)).await
        }

        /// Executes a statement and returns the first column of all rows; see
        /// [`tokio_postgres::Client::query_scalar`].
        ///
        /// # Errors
        ///
        /// The driver's error, which may hold a refusal or a deadline; see
        /// [the module's page](crate::deadpool::postgres#errors).
        pub async fn query_scalar<R: FromSqlOwned, T>(
            &self,
            statement: &T,
            params: &[&(dyn ToSql + Sync)],
        ) -> Result<Vec<R>, Error>
        where
            T: ?Sized + ToStatement + fmt::Debug,
        {
            let on = self.guarded();
            on.run(on.client.query_scalar(statement, params)).await
        }

        /// Executes a statement that returns exactly one row, and returns its first column; see
        /// [`tokio_postgres::Client::query_one_scalar`].
        ///
        /// # Errors
        ///
        /// The driver's error, which may hold a refusal or a deadline; see
        /// [the module's page](crate::deadpool::postgres#errors).
        pub async fn query_one_scalar<R: FromSqlOwned, T>(
            &self,
            statement: &T,
            params: &[&(dyn ToSql + Sync)],
        ) -> Result<R, Error>
        where
            T: ?Sized + ToStatement + fmt::Debug,
        {
            let on = self.guarded();
            on.run(on.client.query_one_scalar(statement, params)).await
        }

        /// Executes a statement that returns at most one row, and returns its first column; see
        /// [`tokio_postgres::Client::query_opt_scalar`].
        ///
        /// # Errors
        ///
        /// The driver's error, which may hold a refusal or a deadline; see
        /// [the module's page](crate::deadpool::postgres#errors).
        pub async fn query_opt_scalar<R: FromSqlOwned, T>(
            &self,
            statement: &T,
            params: &[&(dyn ToSql + Sync)],
        ) -> Result<Option<R>, Error>
        where
            T: ?Sized + ToStatement + fmt::Debug,
        {
            let on = self.guarded();
            on.run(on.client.query_opt_scalar(statement, params)).await
        }

        /// Executes a statement and returns a stream of rows; see
        /// [`tokio_postgres::Client::query_raw`]. It is guarded until the server has accepted the
        /// statement. The rows have no deadline and are not recorded.
        ///
        /// # Errors
        ///
        /// The driver's error, which may hold a refusal or a deadline; see
        /// [the module's page](crate::deadpool::postgres#errors).
        pub async fn query_raw<T, P, I>(&self, statement: &T, params: I) -> Result<RowStream, Error>
        where
            T: ?Sized + ToStatement,
            P: BorrowToSql,
            I: IntoIterator<Item = P>,
            I::IntoIter: ExactSizeIterator,
        {
            let on = self.guarded();
            on.run_open(on.client.query_raw(statement, params)).await
        }

        /// Executes a statement with the types of its parameters and returns all rows; see
        /// [`tokio_postgres::Client::query_typed`].
        ///
        /// # Errors
        ///
        /// The driver's error, which may hold a refusal or a deadline; see
        /// [the module's page](crate::deadpool::postgres#errors).
        pub async fn query_typed(
            &self,
            sql: &str,
            params: &[(&(dyn ToSql + Sync), Type)],
        ) -> Result<Vec<Row>, Error> {
            let on = self.guarded();
            on.run(on.client.query_typed(sql, params)).await
        }

        /// Executes a statement with the types of its parameters that returns exactly one row; see
        /// [`tokio_postgres::Client::query_typed_one`].
        ///
        /// # Errors
        ///
        /// The driver's error, which may hold a refusal or a deadline; see
        /// [the module's page](crate::deadpool::postgres#errors).
        pub async fn query_typed_one(
            &self,
            sql: &str,
            params: &[(&(dyn ToSql + Sync), Type)],
        ) -> Result<Row, Error> {
            let on = self.guarded();
            on.run(on.client.query_typed_one(sql, params)).await
        }

        /// Executes a statement with the types of its parameters that returns at most one row; see
        /// [`tokio_postgres::Client::query_typed_opt`].
        ///
        /// # Errors
        ///
        /// The driver's error, which may hold a refusal or a deadline; see
        /// [the module's page](crate::deadpool::postgres#errors).
        pub async fn query_typed_opt(
            &self,
            sql: &str,
            params: &[(&(dyn ToSql + Sync), Type)],
        ) -> Result<Option<Row>, Error> {
            let on = self.guarded();
            on.run(on.client.query_typed_opt(sql, params)).await
        }

        /// Executes a statement with the types of its parameters and returns a stream of rows; see
        /// [`tokio_postgres::Client::query_typed_raw`]. It is guarded until the server has accepted
        /// the statement. The rows have no deadline and are not recorded.
        ///
        /// # Errors
        ///
        /// The driver's error, which may hold a refusal or a deadline; see
        /// [the module's page](crate::deadpool::postgres#errors).
        pub async fn query_typed_raw<P, I>(&self, sql: &str, params: I) -> Result<RowStream, Error>
        where
            P: BorrowToSql,
            I: IntoIterator<Item = (P, Type)>,
        {
            let on = self.guarded();
            on.run_open(on.client.query_typed_raw(sql, params)).await
        }

        /// Executes a statement and returns the number of affected rows; see
        /// [`tokio_postgres::Client::execute`].
        ///
        /// # Errors
        ///
        /// The driver's error, which may hold a refusal or a deadline; see
        /// [the module's page](crate::deadpool::postgres#errors).
        pub async fn execute<T>(
            &self,
            statement: &T,
            params: &[&(dyn ToSql + Sync)],
        ) -> Result<u64, Error>
        where
            T: ?Sized + ToStatement,
        {
            let on = self.guarded();
            on.run(on.client.execute(statement, params)).await
        }

        /// Executes a statement with the types of its parameters and returns the number of affected
        /// rows; see [`tokio_postgres::Client::execute_typed`].
        ///
        /// # Errors
        ///
        /// The driver's error, which may hold a refusal or a deadline; see
        /// [the module's page](crate::deadpool::postgres#errors).
        pub async fn execute_typed(
            &self,
            sql: &str,
            params: &[(&(dyn ToSql + Sync), Type)],
        ) -> Result<u64, Error> {
            let on = self.guarded();
            on.run(on.client.execute_typed(sql, params)).await
        }

        /// Executes a statement with any iterator of parameters and returns the number of affected
        /// rows; see [`tokio_postgres::Client::execute_raw`].
        ///
        /// # Errors
        ///
        /// The driver's error, which may hold a refusal or a deadline; see
        /// [the module's page](crate::deadpool::postgres#errors).
        pub async fn execute_raw<T, P, I>(&self, statement: &T, params: I) -> Result<u64, Error>
        where
            T: ?Sized + ToStatement,
            P: BorrowToSql,
            I: IntoIterator<Item = P>,
            I::IntoIter: ExactSizeIterator,
        {
            let on = self.guarded();
            on.run(on.client.execute_raw(statement, params)).await
        }

        /// Prepares a statement; see [`tokio_postgres::Client::prepare`].
        ///
        /// # Errors
        ///
        /// The driver's error, which may hold a refusal or a deadline; see
        /// [the module's page](crate::deadpool::postgres#errors).
        pub async fn prepare(&self, sql: &str) -> Result<tokio_postgres::Statement, Error> {
            let on = self.guarded();
            on.run(on.client.prepare(sql)).await
        }

        /// Prepares a statement with the types of its parameters; see
        /// [`tokio_postgres::Client::prepare_typed`].
        ///
        /// # Errors
        ///
        /// The driver's error, which may hold a refusal or a deadline; see
        /// [the module's page](crate::deadpool::postgres#errors).
        pub async fn prepare_typed(
            &self,
            sql: &str,
            types: &[Type],
        ) -> Result<tokio_postgres::Statement, Error> {
            let on = self.guarded();
            on.run(on.client.prepare_typed(sql, types)).await
        }

        /// Starts a `COPY FROM STDIN`; see [`tokio_postgres::Client::copy_in`]. It is guarded until
        /// the server is ready. The transfer has no deadline and is not recorded.
        ///
        /// # Errors
        ///
        /// The driver's error, which may hold a refusal or a deadline; see
        /// [the module's page](crate::deadpool::postgres#errors).
        pub async fn copy_in<T, U>(&self, statement: &T) -> Result<CopyInSink<U>, Error>
        where
            T: ?Sized + ToStatement,
            U: Buf + 'static + Send,
        {
            let on = self.guarded();
            on.run_open(on.client.copy_in(statement)).await
        }

        /// Starts a `COPY TO STDOUT`; see [`tokio_postgres::Client::copy_out`]. It is guarded until
        /// the server is ready. The transfer has no deadline and is not recorded.
        ///
        /// # Errors
        ///
        /// The driver's error, which may hold a refusal or a deadline; see
        /// [the module's page](crate::deadpool::postgres#errors).
        pub async fn copy_out<T>(&self, statement: &T) -> Result<CopyOutStream, Error>
        where
            T: ?Sized + ToStatement,
        {
            let on = self.guarded();
            on.run_open(on.client.copy_out(statement)).await
        }

        /// Executes SQL text and returns its rows as text; see
        /// [`tokio_postgres::Client::simple_query`]. Text that begins with `COMMIT` or `ROLLBACK`
        /// passes while the breaker is open. After text that begins with `BEGIN`, so does every
        /// statement until then.
        ///
        /// # Errors
        ///
        /// The driver's error, which may hold a refusal or a deadline; see
        /// [the module's page](crate::deadpool::postgres#errors).
        pub async fn simple_query(&self, sql: &str) -> Result<Vec<SimpleQueryMessage>, Error> {
            let on = self.guarded();
            on.run_sql(sql, on.client.simple_query(sql)).await
        }

        /// Executes SQL text and returns a stream of rows as text; see
        /// [`tokio_postgres::Client::simple_query_raw`]. This does not wait for the server: it may
        /// be refused, but its answer has no deadline and is not recorded.
        ///
        /// # Errors
        ///
        /// The driver's error, which may hold a refusal; see
        /// [the module's page](crate::deadpool::postgres#errors).
        pub async fn simple_query_raw(&self, sql: &str) -> Result<SimpleQueryStream, Error> {
            let on = self.guarded();
            on.run_at_once(on.client.simple_query_raw(sql)).await
        }

        /// Executes SQL text without returning rows; see [`tokio_postgres::Client::batch_execute`].
        /// Text that begins with `COMMIT` or `ROLLBACK` passes while the breaker is open. After
        /// text that begins with `BEGIN`, so does every statement until then.
        ///
        /// # Errors
        ///
        /// The driver's error, which may hold a refusal or a deadline; see
        /// [the module's page](crate::deadpool::postgres#errors).
        pub async fn batch_execute(&self, sql: &str) -> Result<(), Error> {
            let on = self.guarded();
            on.run_sql(sql, on.client.batch_execute(sql)).await
        }

        /// [`prepare`](Self::prepare), unless the connection's statement cache holds the statement.
        ///
        /// # Errors
        ///
        /// The driver's error, which may hold a refusal or a deadline; see
        /// [the module's page](crate::deadpool::postgres#errors).
        pub async fn prepare_cached(&self, sql: &str) -> Result<tokio_postgres::Statement, Error> {
            let on = self.guarded();
            on.run_cached(on.cache.prepare(on.client, sql)).await
        }

        /// [`prepare_typed`](Self::prepare_typed), unless the connection's statement cache holds
        /// the statement.
        ///
        /// # Errors
        ///
        /// The driver's error, which may hold a refusal or a deadline; see
        /// [the module's page](crate::deadpool::postgres#errors).
        pub async fn prepare_typed_cached(
            &self,
            sql: &str,
            types: &[Type],
        ) -> Result<tokio_postgres::Statement, Error> {
            let on = self.guarded();
            on.run_cached(on.cache.prepare_typed(on.client, sql, types))
                .await
        }

        /// Checks that the server answers on this connection; see
        /// [`tokio_postgres::Client::check_connection`].
        ///
        /// # Errors
        ///
        /// The driver's error, which may hold a refusal or a deadline; see
        /// [the module's page](crate::deadpool::postgres#errors).
        pub async fn check_connection(&self) -> Result<(), Error> {
            let on = self.guarded();
            on.run(on.client.check_connection()).await
        }
    };
}

pub(super) use statements;
