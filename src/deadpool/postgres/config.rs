//! The configuration of a pool as plain values, for example from environment variables.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::PoolConfig;
use deadpool_postgres::{
    ChannelBinding, ConfigError, LoadBalanceHosts, ManagerConfig, SslMode, TargetSessionAttrs,
};
use tokio_postgres::Socket;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};

use super::manager::Manager;
use super::pool::{Pool, PoolBuilder};
use crate::deadpool::error::CreatePoolError;

/// The configuration of a guarded pool, with the fields of deadpool-postgres' `Config`. With the
/// feature `serde` it can be deserialized.
///
/// ```
/// use fusepool::deadpool::postgres::Config;
/// use tokio_postgres::NoTls;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut config = Config::new();
/// config.host = Some("localhost".to_owned());
/// config.dbname = Some("shop".to_owned());
/// let pool = config.builder(NoTls)?.max_size(16).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub struct Config {
    /// A connection URL. The other fields override its values, but hosts are added to its hosts.
    pub url: Option<String>,
    /// The user. Default: the environment variable `USER`, otherwise the OS user of the process.
    pub user: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// The database. Required, here or in the URL.
    pub dbname: Option<String>,
    /// Command-line options for the server.
    pub options: Option<String>,
    /// The application name that the server shows.
    pub application_name: Option<String>,
    /// Whether to use TLS. Default: if the server supports it.
    pub ssl_mode: Option<SslMode>,
    /// A host. Default: the usual directories of Unix domain sockets, `127.0.0.1` on other systems.
    pub host: Option<String>,
    /// More hosts.
    pub hosts: Option<Vec<String>>,
    /// The IP address of the host.
    pub hostaddr: Option<IpAddr>,
    /// The IP addresses of the hosts.
    pub hostaddrs: Option<Vec<IpAddr>>,
    /// The port. Default: 5432.
    pub port: Option<u16>,
    /// The ports of the hosts.
    pub ports: Option<Vec<u16>>,
    /// The timeout of connecting to each address. Default: none; the pool's timeouts bound it.
    pub connect_timeout: Option<Duration>,
    /// Whether to use TCP keepalive. Default: yes.
    pub keepalives: Option<bool>,
    /// The idle time before the first TCP keepalive probe. Default: 2 hours.
    pub keepalives_idle: Option<Duration>,
    /// Whether the server must accept writes. Default: no.
    pub target_session_attrs: Option<TargetSessionAttrs>,
    /// Whether to bind authentication to the TLS channel. Default: if possible.
    pub channel_binding: Option<ChannelBinding>,
    /// The order in which hosts are tried. Default: as given.
    pub load_balance_hosts: Option<LoadBalanceHosts>,
    /// How connections are recycled. Default: a connection is reused unless it is closed.
    pub manager: Option<ManagerConfig>,
    /// deadpool's own pool settings.
    pub pool: Option<PoolConfig>,
}

impl Config {
    /// An empty configuration.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Builds a pool with fusepool's default settings.
    ///
    /// # Errors
    ///
    /// [`CreatePoolError::Config`], if the URL cannot be parsed or no database is given.
    pub fn create_pool<T>(
        &self,
        runtime: Option<Runtime>,
        tls: T,
    ) -> Result<Pool, CreatePoolError<ConfigError>>
    where
        T: MakeTlsConnect<Socket> + Clone + Sync + Send + 'static,
        T::Stream: Sync + Send,
        T::TlsConnect: Sync + Send,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        let mut builder = self.builder(tls).map_err(CreatePoolError::Config)?;
        if let Some(runtime) = runtime {
            builder = builder.runtime(runtime);
        }
        Ok(builder.build()?)
    }

    /// Starts to configure a pool, for settings that are not in this configuration, such as the
    /// breaker.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`], if the URL cannot be parsed or no database is given.
    pub fn builder<T>(&self, tls: T) -> Result<PoolBuilder, ConfigError>
    where
        T: MakeTlsConnect<Socket> + Clone + Sync + Send + 'static,
        T::Stream: Sync + Send,
        T::TlsConnect: Sync + Send,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        let manager = Manager::from_config(self.get_pg_config()?, tls, self.get_manager_config());
        Ok(Pool::builder(manager).config(self.get_pool_config()))
    }

    /// The driver's configuration.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`], if the URL cannot be parsed or no database is given.
    pub fn get_pg_config(&self) -> Result<tokio_postgres::Config, ConfigError> {
        let mut config = self.clone().into_raw().get_pg_config()?;
        // deadpool-postgres has these fields, too, but ignores them.
        if let Some(attrs) = self.target_session_attrs {
            config.target_session_attrs(attrs.into());
        }
        if let Some(binding) = self.channel_binding {
            config.channel_binding(binding.into());
        }
        if let Some(hosts) = self.load_balance_hosts {
            config.load_balance_hosts(hosts.into());
        }
        Ok(config)
    }

    /// The configuration of the manager: [`manager`](Self::manager), or the default.
    #[must_use]
    pub fn get_manager_config(&self) -> ManagerConfig {
        self.manager.clone().unwrap_or_default()
    }

    /// deadpool's own pool settings: [`pool`](Self::pool), or the default.
    #[must_use]
    pub fn get_pool_config(&self) -> PoolConfig {
        self.pool.unwrap_or_default()
    }

    fn into_raw(self) -> deadpool_postgres::Config {
        deadpool_postgres::Config {
            url: self.url,
            user: self.user,
            password: self.password,
            dbname: self.dbname,
            options: self.options,
            application_name: self.application_name,
            ssl_mode: self.ssl_mode,
            host: self.host,
            hosts: self.hosts,
            hostaddr: self.hostaddr,
            hostaddrs: self.hostaddrs,
            port: self.port,
            ports: self.ports,
            connect_timeout: self.connect_timeout,
            keepalives: self.keepalives,
            keepalives_idle: self.keepalives_idle,
            target_session_attrs: self.target_session_attrs,
            channel_binding: self.channel_binding,
            load_balance_hosts: self.load_balance_hosts,
            manager: self.manager,
            pool: self.pool,
        }
    }
}

impl From<deadpool_postgres::Config> for Config {
    fn from(raw: deadpool_postgres::Config) -> Self {
        Self {
            url: raw.url,
            user: raw.user,
            password: raw.password,
            dbname: raw.dbname,
            options: raw.options,
            application_name: raw.application_name,
            ssl_mode: raw.ssl_mode,
            host: raw.host,
            hosts: raw.hosts,
            hostaddr: raw.hostaddr,
            hostaddrs: raw.hostaddrs,
            port: raw.port,
            ports: raw.ports,
            connect_timeout: raw.connect_timeout,
            keepalives: raw.keepalives,
            keepalives_idle: raw.keepalives_idle,
            target_session_attrs: raw.target_session_attrs,
            channel_binding: raw.channel_binding,
            load_balance_hosts: raw.load_balance_hosts,
            manager: raw.manager,
            pool: raw.pool,
        }
    }
}

/// Hides the password, and the URL, which may contain it.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hide = |secret: &Option<String>| secret.is_some().then(|| "...".to_owned());
        let raw = Self {
            url: hide(&self.url),
            password: hide(&self.password),
            ..self.clone()
        };
        raw.into_raw().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config;

    use super::*;

    /// deadpool-postgres ignores these fields, so that a standby would be accepted where a server
    /// that accepts writes is required.
    #[test]
    fn fields_that_deadpool_postgres_ignores_are_applied() {
        let mut ours = Config {
            url: Some("postgres://localhost/shop?channel_binding=require".to_owned()),
            target_session_attrs: Some(TargetSessionAttrs::ReadWrite),
            load_balance_hosts: Some(LoadBalanceHosts::Random),
            ..Config::default()
        };
        let made = ours.get_pg_config().unwrap();
        assert_eq!(
            made.get_target_session_attrs(),
            config::TargetSessionAttrs::ReadWrite
        );
        assert_eq!(
            made.get_load_balance_hosts(),
            config::LoadBalanceHosts::Random
        );
        let binding = made.get_channel_binding();
        assert_eq!(binding, config::ChannelBinding::Require, "the URL's");

        ours.channel_binding = Some(ChannelBinding::Disable);
        let binding = ours.get_pg_config().unwrap().get_channel_binding();
        assert_eq!(binding, config::ChannelBinding::Disable);
    }
}
