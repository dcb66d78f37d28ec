//! The queries of the shop, and what is served when they get no answer.
//!
//! Both databases understand the same SQL, so it is written once, for any driver. A service with one
//! database would have plain functions of its `&PgPool` here, without the trait and the `where`.

use std::sync::Arc;
use std::time::Duration;

use fusepool::Served;
use fusepool::cache::CachePolicy;
use fusepool::sqlx::{Driver, Pool, PoolSnapshot, ReadExt, WriteExt};
use sqlx::{Encode, FromRow, IntoArguments, Type};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// In an outage, prices of an hour ago are better than no shop. The list may also be a few seconds
/// old while the database is healthy, so that no visitor waits for it.
const LIST: CachePolicy = CachePolicy::named("list")
    .fresh_for(SECOND)
    .stale_while_revalidate(SECOND.saturating_mul(4))
    .stale_if_error(HOUR);

const PRODUCT: CachePolicy = CachePolicy::named("product")
    .fresh_for(SECOND)
    .stale_if_error(HOUR);

/// The deadline of optional content, which must not delay a page.
const NICE_TO_HAVE: Duration = Duration::from_millis(250);

/// A row of a list.
#[derive(FromRow)]
pub(crate) struct Item {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) price_cents: i64,
}

#[derive(FromRow)]
pub(crate) struct Product {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) price_cents: i64,
    pub(crate) stock: i64,
}

pub(crate) struct Order {
    pub(crate) key: String,
    pub(crate) product_id: i64,
    pub(crate) quantity: i64,
}

pub(crate) trait Catalogue: Clone + Send + Sync + 'static {
    fn list(&self) -> impl Future<Output = sqlx::Result<Served<Arc<Vec<Item>>>>> + Send;

    fn product(
        &self,
        id: i64,
    ) -> impl Future<Output = sqlx::Result<Served<Option<Arc<Product>>>>> + Send;

    /// The products that were sold most.
    fn popular(&self) -> impl Future<Output = sqlx::Result<Arc<Vec<Item>>>> + Send;

    /// Takes an order, once for each key: a second order with the same key is a unique violation.
    fn order(&self, order: Order) -> impl Future<Output = sqlx::Result<()>> + Send;

    fn snapshot(&self) -> PoolSnapshot;
}

impl<DB> Catalogue for Pool<DB>
where
    DB: Driver<Arguments: IntoArguments<DB>>,
    Item: for<'r> FromRow<'r, DB::Row>,
    Product: for<'r> FromRow<'r, DB::Row>,
    i64: for<'q> Encode<'q, DB> + Type<DB>,
    String: for<'q> Encode<'q, DB> + Type<DB>,
{
    async fn list(&self) -> sqlx::Result<Served<Arc<Vec<Item>>>> {
        sqlx::query_as("SELECT id, name, price_cents FROM storefront_product ORDER BY name")
            .cached(&LIST)
            .fetch_all_served(self)
            .await
    }

    async fn product(&self, id: i64) -> sqlx::Result<Served<Option<Arc<Product>>>> {
        sqlx::query_as(
            "SELECT id, name, description, price_cents, stock \
             FROM storefront_product WHERE id = $1",
        )
        .bind(id)
        .cached(&PRODUCT)
        .tag(product_tag(id))
        .fetch_optional_served(self)
        .await
    }

    async fn popular(&self) -> sqlx::Result<Arc<Vec<Item>>> {
        sqlx::query_as(
            "SELECT product.id, name, price_cents FROM storefront_product product \
             JOIN storefront_order ON product_id = product.id \
             GROUP BY product.id ORDER BY sum(quantity) DESC LIMIT 3",
        )
        .or_value(Vec::new())
        .fetch_all(self.with_timeout(NICE_TO_HAVE))
        .await
    }

    async fn order(&self, order: Order) -> sqlx::Result<()> {
        let mut tx = self.begin().await?;
        sqlx::query("INSERT INTO storefront_order (key, product_id, quantity) VALUES ($1, $2, $3)")
            .bind(order.key)
            .bind(order.product_id)
            .bind(order.quantity)
            .execute(&mut *tx)
            .await?;
        sqlx::query("UPDATE storefront_product SET stock = stock - $1 WHERE id = $2")
            .bind(order.quantity)
            .bind(order.product_id)
            // Only the product that was ordered: an invalidated answer is not served stale either.
            .invalidates(&[&product_tag(order.product_id)])
            .execute(&mut *tx)
            .await?;
        tx.commit().await
    }

    fn snapshot(&self) -> PoolSnapshot {
        self.snapshot()
    }
}

fn product_tag(id: i64) -> String {
    format!("product:{id}")
}
