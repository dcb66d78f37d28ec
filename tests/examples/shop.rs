//! `examples/storefront` in an outage: over HTTP, on real databases.

use fusepool::sqlx::PgPool;

use crate::storefront;
use crate::support::eventually;
use crate::support::postgres::Postgres;
use crate::support::proxy::{Fault, Proxy};
use crate::visitor::{Shop, Visit};

const LIST: &str = "/";
const MILLS: &str = "/products/2";
/// A page that is not requested before the outage.
const KETTLE: &str = "/products/4";

#[tokio::test]
async fn a_locked_sqlite_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("shop.db");
    let pool = storefront::database::sqlite(&file).await.unwrap();
    let shop = Shop::open(pool.clone()).await;
    sells(&shop).await;
    let lock = storefront::lock::lock(&file).await.unwrap();
    keeps_its_pages(&shop).await;
    sqlx::Connection::close(lock).await.unwrap();
    sells_again(&shop).await;
    shop.close().await;
    pool.close().await;
}

#[tokio::test]
async fn a_postgres_that_hangs() {
    let server = Postgres::start().await;
    let proxy = Proxy::start(server.addr()).await.unwrap();
    let url = server.url_via(proxy.addr().port());
    let pool = storefront::database::postgres(url.parse().unwrap())
        .await
        .unwrap();
    let shop = Shop::open(pool.clone()).await;
    sells(&shop).await;
    proxy.set(Fault::Stall);
    keeps_its_pages(&shop).await;
    proxy.set(Fault::None);
    sells_again(&shop).await;
    shop.close().await;
    pool.close().await;
}

#[tokio::test]
async fn a_postgres_that_is_killed() {
    let mut server = Postgres::start().await;
    let pool = storefront::database::postgres(server.url().parse().unwrap())
        .await
        .unwrap();
    let shop = Shop::open(pool.clone()).await;
    sells(&shop).await;
    server.kill();
    keeps_its_pages(&shop).await;
    has_no_pages(&shop, &pool).await;
    server.restart().await;
    sells_again(&shop).await;
    shop.close().await;
    pool.close().await;
}

/// While the database answers, the shop works like any other.
async fn sells(shop: &Shop) {
    let list = shop.get(LIST).await;
    assert_eq!(list.status, 200);
    assert_eq!(list.header("cache-status"), Some("shop; fwd=miss"));
    assert_eq!(list.header("age"), None);
    assert!(list.body.contains("Salt &amp; pepper mills"), "{list:?}");

    let mills = shop.get(MILLS).await;
    assert!(mills.body.contains("12 left"), "{mills:?}");
    // Values from the database are escaped, even if they look like markup.
    assert!(mills.body.contains("&lt;coarse&gt;"), "{mills:?}");
    assert!(!mills.body.contains("<coarse>"), "{mills:?}");

    // A form that is sent twice is one order, and the page shows it at once, however fresh it was.
    for _ in 0..2 {
        let ordered = shop.order(MILLS, "first", 2).await;
        assert_eq!(ordered.status, 303, "{ordered:?}");
        assert_eq!(ordered.header("location"), Some(MILLS));
    }
    let mills = shop.get(MILLS).await;
    assert!(mills.body.contains("10 left"), "{mills:?}");
    assert_eq!(mills.header("cache-status"), Some("shop; fwd=miss"));
    eventually("a page is spared the database", async || {
        let again = shop.get(MILLS).await;
        again.header("cache-status") == Some("shop; hit") && again.header("age").is_some()
    })
    .await;
    eventually("what is nice to have is there in time", async || {
        shop.get(MILLS).await.body.contains("Often bought")
    })
    .await;

    assert_eq!(shop.order(MILLS, "too many", 11).await.status, 409);
    assert_eq!(shop.order(MILLS, "none", 0).await.status, 422);
    assert_eq!(shop.order("/products/99", "lost", 1).await.status, 404);
    assert_eq!(shop.get("/products/99").await.status, 404);
    assert_eq!(shop.get("/healthz").await.status, 200);
    let ready = shop.get("/readyz").await;
    assert_eq!(ready.status, 200);
    assert_eq!(ready.json()["state"], "closed");
}

/// From the start of the outage, pages are served and orders are refused.
async fn keeps_its_pages(shop: &Shop) {
    refuses(&shop.order(MILLS, "second", 1).await);
    let mut last_age = 0;
    eventually("both pages are stale, and grow older", async || {
        let (list, mills) = (shop.get(LIST).await, shop.get(MILLS).await);
        assert_eq!((list.status, mills.status), (200, 200));
        assert!(mills.body.contains("10 left"), "{mills:?}");
        assert!(!mills.body.contains("Often bought"), "{mills:?}");
        let ages = [&list, &mills].map(|page| is_stale(page).then(|| page.age()));
        let [Some(_), Some(age)] = ages else {
            return false;
        };
        let has_grown = last_age > 0 && age > last_age;
        last_age = age;
        has_grown
    })
    .await;
    eventually("the breaker is open", async || {
        let ready = shop.get("/readyz").await;
        // It has pages to serve, so it stays in rotation.
        assert_eq!(ready.status, 200, "{ready:?}");
        ready.json()["state"] == "open" && ready.json()["serves"] == "stale"
    })
    .await;
    assert_eq!(shop.get("/healthz").await.status, 200);
    refuses(&shop.order(MILLS, "second", 1).await);
    // A page that was not cached is refused, without a wait.
    refuses(&shop.get(KETTLE).await);
}

/// An instance with an empty cache, as if it had started in the outage, can serve nothing, and is not
/// ready.
async fn has_no_pages(shop: &Shop, pool: &PgPool) {
    pool.cache().invalidate_all();
    let ready = shop.get("/readyz").await;
    assert_eq!(ready.status, 503, "{ready:?}");
    assert_eq!(ready.json()["serves"], serde_json::Value::Null);
    refuses(&shop.get(LIST).await);
    assert_eq!(shop.get("/healthz").await.status, 200);
}

/// Once the database has recovered, the shop recovers without any action.
async fn sells_again(shop: &Shop) {
    eventually("orders are taken", async || {
        let ordered = shop.order(MILLS, "second", 1).await;
        if ordered.status != 303 {
            refuses(&ordered);
        }
        ordered.status == 303
    })
    .await;
    eventually("the breaker is closed", async || {
        let ready = shop.get("/readyz").await;
        ready.status == 200 && ready.json()["state"] == "closed"
    })
    .await;
    let mills = shop.get(MILLS).await;
    // The order was sent several times, and placed once.
    assert!(mills.body.contains("9 left"), "{mills:?}");
    assert!(!is_stale(&mills), "{mills:?}");
    assert_eq!(shop.get(KETTLE).await.status, 200);
    eventually("the list is up to date", async || {
        !is_stale(&shop.get(LIST).await)
    })
    .await;
}

/// The page is stale because the database does not answer, and says so to people and machines.
fn is_stale(page: &Visit) -> bool {
    let status = page
        .header("cache-status")
        .expect("a page tells its source");
    let is_stale =
        status.starts_with("shop; hit; detail=\"stale: ") && !status.contains("revalidating");
    assert_eq!(is_stale, page.body.contains("class=notice"), "{page:?}");
    is_stale
}

fn refuses(visit: &Visit) {
    assert_eq!(visit.status, 503, "{visit:?}");
    let seconds = visit.header("retry-after").map(str::parse::<u32>);
    assert!(matches!(seconds, Some(Ok(1..=60))), "{visit:?}");
}
