//! The database behind a pool, as metrics describe it.

/// The database behind a pool, in the terms of OpenTelemetry's
/// [conventions](https://opentelemetry.io/docs/specs/semconv/database/). Metrics and spans have these
/// values as attributes. What is unknown is omitted.
///
/// ```
/// use fusepool::telemetry::Backend;
///
/// let backend = Backend::new("redis").server("cache.internal", 6379).namespace("0");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backend {
    pub(crate) system: Option<&'static str>,
    pub(crate) address: Option<String>,
    pub(crate) port: Option<u16>,
    pub(crate) namespace: Option<String>,
}

impl Backend {
    /// A database of this system: `db.system.name`, for instance `postgresql`.
    #[must_use]
    pub fn new(system: &'static str) -> Self {
        Self {
            system: Some(system),
            ..Self::default()
        }
    }

    /// The server: `server.address` and `server.port`.
    #[must_use]
    pub fn server(mut self, address: impl Into<String>, port: impl Into<Option<u16>>) -> Self {
        self.address = Some(address.into());
        self.port = port.into();
        self
    }

    /// The database on the server, or its file: `db.namespace`.
    #[must_use]
    pub fn namespace(mut self, name: impl Into<String>) -> Self {
        self.namespace = Some(name.into());
        self
    }

    /// The default name of the pool: server and database, or what is known of them.
    #[cfg(any(feature = "sqlx", feature = "deadpool-postgres"))]
    pub(crate) fn pool_name(&self) -> String {
        let namespace = self.namespace.as_deref().unwrap_or_default();
        match (&self.address, self.port) {
            (Some(address), Some(port)) => format!("{address}:{port}/{namespace}"),
            (Some(address), None) => format!("{address}/{namespace}"),
            (None, _) => namespace.to_owned(),
        }
    }
}
