//! `examples/lint` on real servers.

use crate::support::mariadb::MariaDb;
use crate::support::postgres::Postgres;

#[path = "../../examples/lint.rs"]
#[expect(dead_code, reason = "its `main`")]
mod command;

async fn lint(arguments: &[&str]) -> Vec<String> {
    let arguments = arguments.iter().map(|argument| (*argument).to_owned());
    let warnings = command::run(arguments).await.unwrap();
    warnings.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn it_warns_about_a_file_and_asks_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pool.toml");
    std::fs::write(&file, "query_timeout = '9s'\n[breaker]\njitter = 0\n").unwrap();
    let file = file.to_str().unwrap();
    let (postgres, mariadb) = (Postgres::start().await, MariaDb::start().await);
    let fleet = ["--config", file, "--replicas", "50", "--deadline", "20"];
    let alone = lint(&fleet).await;
    assert_eq!(alone.len(), 1, "{alone:?}");
    assert!(alone[0].starts_with("open_durations_align: "), "{alone:?}");
    for url in [postgres.url(), mariadb.url()] {
        let seen = lint(&[&fleet[..], &[&*url]].concat()).await;
        assert_eq!(seen.len(), 2, "{seen:?}");
        assert!(
            seen[1].starts_with("connections_beyond_server: "),
            "{seen:?}"
        );
        let small = ["--size", "2", "--replicas", "4", "--rate", "5", &*url];
        assert_eq!(lint(&small).await, [""; 0]);
    }
    let wrong = ["--replicas"].map(str::to_owned);
    assert!(
        command::run(wrong)
            .await
            .unwrap_err()
            .to_string()
            .starts_with("lint [options]")
    );
}
