//! Queries to a PostgreSQL server on this machine, over TCP.

use std::sync::Arc;

use benches::{Group, Path, Row, row};
use sqlx::Executor;
use sqlx::postgres::{PgPoolOptions, Postgres};
use tokio::runtime::Runtime;
use tokio_postgres::NoTls;

const CONNECTIONS: u32 = 10;
const QUERY: &str = "SELECT $1::int";

static SELECT_1: [(u64, [Row; 2]); 3] = [
    (
        1,
        select_1("`SELECT 1` over TCP, one task", [Some(0.5), None]),
    ),
    (
        8,
        select_1("`SELECT 1` over TCP, 8 tasks", [None, Some(1.0)]),
    ),
    (
        64,
        select_1("`SELECT 1` over TCP, 64 tasks", [None, Some(1.0)]),
    ),
];

/// The goals are beside sqlx, and beside sqlx without its test.
const fn select_1(path: &'static str, goals: [Option<f64>; 2]) -> [Row; 2] {
    [
        row(path, &["sqlx"], [goals[0], None]),
        row(
            path,
            &["sqlx, `test_before_acquire(false)`"],
            [goals[1], None],
        ),
    ]
}

const LEASE: &[Row] = &[row(
    "deadpool-postgres, `get` and drop",
    &["`get` and drop of deadpool-postgres itself"],
    [Some(1.15), None],
)];
const PREPARED: &[Row] = &[row(
    "deadpool-postgres, prepared `SELECT $1` over TCP",
    &["deadpool-postgres itself"],
    [Some(1.01), None],
)];

/// The leases and queries. `url` is the server's.
pub(crate) fn groups(runtime: &Arc<Runtime>, url: &str) -> Vec<Group> {
    let options = || PgPoolOptions::new().max_connections(CONNECTIONS);
    let tested = runtime.block_on(options().connect(url)).unwrap();
    let untested = options().test_before_acquire(false).connect(url);
    let untested = runtime.block_on(untested).unwrap();
    let guarded = fusepool::sqlx::PgPoolOptions::new().max_connections(CONNECTIONS);
    let guarded = runtime.block_on(guarded.connect(url)).unwrap();
    let select_1 = SELECT_1.iter().map(|(tasks, rows)| {
        let [of_default, of_untested] = rows;
        let paths = vec![
            load(runtime, of_default.path, &guarded, *tasks),
            load(runtime, of_default.beside[0], &tested, *tasks),
            load(runtime, of_untested.beside[0], &untested, *tasks),
        ];
        (paths, &rows[..])
    });
    select_1.chain(deadpool(runtime, url)).collect()
}

fn load<P>(runtime: &Arc<Runtime>, name: &str, pool: &P, tasks: u64) -> Path
where
    P: Clone + Send + Sync + 'static,
    for<'p> &'p P: Executor<'p, Database = Postgres>,
{
    let pool = pool.clone();
    Path::of_tasks(runtime, name, tasks, move || {
        let pool = pool.clone();
        async move { sqlx::query("SELECT 1").execute(&pool).await.unwrap() }
    })
}

fn deadpool(runtime: &Arc<Runtime>, url: &str) -> [Group; 2] {
    let naked = || {
        let manager = deadpool_postgres::Manager::new(url.parse().unwrap(), NoTls);
        let pool = deadpool_postgres::Pool::builder(manager);
        pool.max_size(CONNECTIONS as usize).build().unwrap()
    };
    let guarded = || {
        let manager = fusepool::deadpool::postgres::Manager::new(url.parse().unwrap(), NoTls);
        let pool = fusepool::deadpool::postgres::Pool::builder(manager);
        pool.max_size(CONNECTIONS as usize).build().unwrap()
    };
    let (plain, watched) = (naked(), guarded());
    let lease = vec![
        Path::on(runtime, LEASE[0].path, async move |_| {
            drop(watched.get().await.unwrap());
        }),
        Path::on(runtime, LEASE[0].beside[0], async move |_| {
            drop(plain.get().await.unwrap());
        }),
    ];
    // All connections are used in turns, since their speeds differ.
    let (naked, guarded) = (naked(), guarded());
    let (mut plain, mut watched) = (Vec::new(), Vec::new());
    runtime.block_on(async {
        for _ in 0..CONNECTIONS {
            let client = naked.get().await.unwrap();
            let statement = client.prepare(QUERY).await.unwrap();
            plain.push((client, statement));
            let client = guarded.get().await.unwrap();
            let statement = client.prepare(QUERY).await.unwrap();
            watched.push((client, statement));
        }
    });
    let prepared = vec![
        Path::on(runtime, PREPARED[0].path, async move |number| {
            let (client, statement) = &watched[number as usize % watched.len()];
            drop(client.query_one(statement, &[&1]).await.unwrap());
        }),
        Path::on(runtime, PREPARED[0].beside[0], async move |number| {
            let (client, statement) = &plain[number as usize % plain.len()];
            drop(client.query_one(statement, &[&1]).await.unwrap());
        }),
    ];
    [(lease, LEASE), (prepared, PREPARED)]
}
