//! If connections use TLS, cancel requests do, too.

use std::time::Duration;

use fusepool::deadline_exceeded;
use fusepool::deadpool::postgres::{Config, Manager, Pool, Runtime, SslMode};
use tokio_postgres::NoTls;
use tokio_postgres::error::SqlState;

use crate::deadpool::{is_cancelled, sleepers};
use crate::support::deadpool::{builder, direct};
use crate::support::eventually;
use crate::support::postgres::Postgres;
use crate::support::tls::{Opening, Tap, trusting};

async fn server() -> (Postgres, Tap) {
    let server = Postgres::start_with(&[("ssl", "on")]).await;
    let tap = Tap::start(server.addr()).await.unwrap();
    (server, tap)
}

/// The URL of the user that is accepted only over TLS.
fn secure(server: &Postgres, port: u16, ssl_mode: &str) -> String {
    server.url_as("secure", "secret", "postgres", port) + "?sslmode=" + ssl_mode
}

/// Gives up a sleep by dropping its future.
async fn is_cancelled_when_dropped(pool: &Pool, watch: &Pool) {
    is_cancelled(pool, watch, async |client| {
        let asleep = eventually("it sleeps", async || sleepers(watch).await == 1);
        tokio::select! {
            ended = client.execute("SELECT pg_sleep(60)", &[]) => panic!("{ended:?}"),
            () = asleep => {}
        }
    })
    .await;
}

/// The precondition of the other tests: the user is accepted only over TLS, and the tap distinguishes
/// the connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_tls_a_cancel_is_in_clear_text() {
    let (server, tap) = server().await;
    let url = secure(&server, tap.port(), "disable");
    let refused = tokio_postgres::connect(&url, NoTls).await.err().unwrap();
    let code = refused.code();
    assert_eq!(code, Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION));
    assert_eq!(tap.openings(), [Opening::Plain]);

    let pool = builder(&server, tap.port()).build().unwrap();
    is_cancelled_when_dropped(&pool, &direct(&server)).await;
    assert_eq!(tap.openings(), [Opening::Plain, Opening::PlainCancel]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_goes_over_the_same_tls() {
    let (server, tap) = server().await;
    let tls = trusting(&server).await;
    let watch = direct(&server);
    for ssl_mode in ["prefer", "require"] {
        let config = secure(&server, tap.port(), ssl_mode).parse().unwrap();
        let pool = Pool::builder(Manager::new(config, tls.clone()))
            .query_timeout(Duration::from_millis(1500))
            .build()
            .unwrap();
        is_cancelled_when_dropped(&pool, &watch).await;
        assert_eq!(tap.openings(), [Opening::Tls; 2], "{ssl_mode}");

        is_cancelled(&pool, &watch, async |client| {
            let late = client.execute("SELECT pg_sleep(60)", &[]).await;
            assert!(deadline_exceeded(&late.unwrap_err()).is_some());
        })
        .await;
        assert_eq!(tap.openings(), [Opening::Tls; 2], "{ssl_mode}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pools_made_of_a_configuration_cancel_over_tls() {
    let (server, tap) = server().await;
    let tls = trusting(&server).await;
    let watch = direct(&server);
    let by_url = Config {
        url: Some(secure(&server, tap.port(), "require")),
        ..Config::new()
    };
    let by_field = Config {
        user: Some("secure".to_owned()),
        password: Some("secret".to_owned()),
        dbname: Some("postgres".to_owned()),
        host: Some("127.0.0.1".to_owned()),
        port: Some(tap.port()),
        ssl_mode: Some(SslMode::Require),
        ..Config::new()
    };
    for config in [by_url, by_field] {
        let pool = config
            .create_pool(Some(Runtime::Tokio1), tls.clone())
            .unwrap();
        is_cancelled_when_dropped(&pool, &watch).await;
        assert_eq!(tap.openings(), [Opening::Tls; 2]);
    }
}
