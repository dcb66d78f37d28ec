//! Invalid configurations are errors.

use std::time::Duration;

use fusepool::ConfigError;
use fusepool::sqlx::PoolOptions;
use sqlx::{Database, Error};

use crate::dialect::Dialect;

on_sqlx! {
    broken_rules
    unparsable_url
}

type Change<D> = fn(PoolOptions<<D as Dialect>::Db>) -> PoolOptions<<D as Dialect>::Db>;

fn field(error: &Error) -> &'static str {
    let Error::Configuration(source) = error else {
        panic!("not about the configuration: {error:?}");
    };
    let config: &ConfigError = source.downcast_ref().expect("fusepool's own error");
    assert!(error.to_string().contains(config.field()), "{error}");
    config.field()
}

/// The error comes without a server.
async fn broken_rules<D: Dialect>() {
    let url = format!("{}://nobody@127.0.0.1:1/nothing", D::Db::URL_SCHEMES[0]);
    let changes: [(&str, Change<D>); 7] = [
        ("acquire_timeout", |options| {
            options.acquire_timeout(Duration::ZERO)
        }),
        ("query_timeout", |options| {
            options.query_timeout(Duration::ZERO)
        }),
        ("max_queue", |options| options.max_queue(0)),
        ("max_connections", |options| options.max_connections(0)),
        ("failure_rate", |options| {
            options.breaker(fusepool::Breaker::builder().failure_rate(1.5))
        }),
        ("half_open_probes", |options| {
            options.breaker(fusepool::Breaker::builder().half_open_probes(0))
        }),
        ("slow_call_threshold", |options| {
            options.query_timeout(Duration::from_millis(500))
        }),
    ];
    for (name, change) in changes {
        let options = || change(PoolOptions::new());
        assert_eq!(field(&options().connect(&url).await.unwrap_err()), name);
        assert_eq!(field(&options().connect_lazy(&url).unwrap_err()), name);
        // This constructor cannot return an error, so the first use of the pool does.
        let pool = options().connect_lazy_with(url.parse().ok().unwrap());
        assert_eq!(field(&D::ask(&pool).await.unwrap_err()), name);
        assert_eq!(field(&pool.acquire().await.unwrap_err()), name);
        assert_eq!(field(&pool.begin().await.unwrap_err()), name);
        assert_eq!(
            field(&D::through_acquire(&pool, "SELECT 1").await.unwrap_err()),
            name
        );
        assert!(pool.try_acquire().is_none());
    }
}

async fn unparsable_url<D: Dialect>() {
    for url in ["", "nonsense", "http://localhost:port/"] {
        let error = PoolOptions::<D::Db>::new().connect(url).await.unwrap_err();
        assert!(matches!(error, Error::Configuration(_)), "{error:?}");
        let error = PoolOptions::<D::Db>::new().connect_lazy(url).unwrap_err();
        assert!(matches!(error, Error::Configuration(_)), "{error:?}");
    }
}
