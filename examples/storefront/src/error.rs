//! The errors of the shop, as responses.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use fusepool::sqlx::{Delivery, delivery};
use sqlx::error::ErrorKind;

use super::page::Page;

pub(crate) enum ShopError {
    NotFound,
    SoldOut,
    Database(sqlx::Error),
}

/// The constraints of the schema are the rules of the shop.
impl From<sqlx::Error> for ShopError {
    fn from(error: sqlx::Error) -> Self {
        match error.as_database_error().map(|error| error.kind()) {
            Some(ErrorKind::ForeignKeyViolation) => Self::NotFound,
            Some(ErrorKind::CheckViolation) => Self::SoldOut,
            _ => Self::Database(error),
        }
    }
}

impl IntoResponse for ShopError {
    fn into_response(self) -> Response {
        match self {
            Self::NotFound => apology(StatusCode::NOT_FOUND, "There is no such product."),
            Self::SoldOut => apology(StatusCode::CONFLICT, "There are not that many left."),
            Self::Database(error) => match retry_after(&error) {
                Some(seconds) => {
                    // The pool has already told the operator, once for all refused calls.
                    tracing::debug!(%error, "unavailable");
                    let said = format!(
                        "The shop cannot do that just now. Reload in {seconds} s; an order is \
                         placed once, however often it is sent."
                    );
                    let mut response = apology(StatusCode::SERVICE_UNAVAILABLE, &said);
                    let headers = response.headers_mut();
                    headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
                    response
                }
                None => {
                    tracing::error!(%error, "failed");
                    apology(
                        StatusCode::INTERNAL_SERVER_ERROR,
                        "Something is broken here.",
                    )
                }
            },
        }
    }
}

/// The number of seconds until a retry may succeed, at least 1. `None` if the database answered with
/// this error, or the application made a mistake: a retry would fail, too.
///
/// A call whose outcome is unknown can be retried like one that was not sent, because orders have
/// keys.
fn retry_after(error: &sqlx::Error) -> Option<u64> {
    use sqlx::Error::{Configuration, Encode, InvalidArgument};
    let is_mistake = matches!(error, Configuration(_) | Encode(_) | InvalidArgument(_));
    if is_mistake || delivery(error) == Delivery::Answered {
        return None;
    }
    let after = fusepool::refusal(error).and_then(|refused| refused.retry_after());
    Some(after.map_or(1, |after| after.as_secs_f64().ceil().max(1.0) as u64))
}

fn apology(status: StatusCode, said: &str) -> Response {
    (status, Page::apology(said)).into_response()
}
