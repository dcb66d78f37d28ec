//! The routes of the shop.

use std::num::NonZeroU16;

use axum::Router;
use axum::extract::{Form, Path, State};
use axum::response::Redirect;
use axum::routing::{get, post};
use serde::Deserialize;

use super::catalogue::{Catalogue, Order};
use super::error::ShopError;
use super::health;
use super::page::Page;

pub(crate) fn router<C: Catalogue>(catalogue: C) -> Router {
    Router::new()
        .route("/", get(list::<C>))
        .route("/products/{id}", get(product::<C>))
        .route("/products/{id}/orders", post(order::<C>))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready::<C>))
        .with_state(catalogue)
}

async fn list<C: Catalogue>(State(catalogue): State<C>) -> Result<Page, ShopError> {
    let items = catalogue.list().await?;
    Ok(Page::list(&items.value, items.source))
}

async fn product<C: Catalogue>(
    State(catalogue): State<C>,
    Path(id): Path<i64>,
) -> Result<Page, ShopError> {
    let (product, popular) = tokio::try_join!(catalogue.product(id), catalogue.popular())?;
    let found = product.value.ok_or(ShopError::NotFound)?;
    Ok(Page::product(&found, &popular, product.source))
}

#[derive(Deserialize)]
struct OrderForm {
    key: String,
    quantity: NonZeroU16,
}

async fn order<C: Catalogue>(
    State(catalogue): State<C>,
    Path(product_id): Path<i64>,
    Form(form): Form<OrderForm>,
) -> Result<Redirect, ShopError> {
    let order = Order {
        key: form.key,
        product_id,
        quantity: form.quantity.get().into(),
    };
    match catalogue.order(order).await {
        // The form was sent before, and the order was accepted then.
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {}
        placed => placed?,
    }
    Ok(Redirect::to(&format!("/products/{product_id}")))
}
