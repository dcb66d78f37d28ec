//! The pages of the shop, which show how old they are.
//!
//! People see a line on the page. Machines get two headers:
//!
//! - `Age` ([RFC 9111](https://www.rfc-editor.org/rfc/rfc9111#section-5.1)): the seconds since the database
//!   was asked. Absent if it has answered just now.
//! - `Cache-Status` ([RFC 9211](https://www.rfc-editor.org/rfc/rfc9211)): `shop; hit` from the cache,
//!   with a `detail` such as `"stale: open"` if the answer is stale; `shop; fwd=miss` from the database.

use std::time::Duration;

use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};
use fusepool::{Source, StaleReason};

use super::catalogue::{Item, Product};
use super::html::{Price, Text};

pub(crate) struct Page {
    title: String,
    main: String,
    /// The source of the content; `None` if it is not from the database.
    source: Option<Source>,
}

impl Page {
    pub(crate) fn list(list: &[Item], source: Source) -> Self {
        Self {
            title: "All products".to_owned(),
            main: items(list),
            source: Some(source),
        }
    }

    pub(crate) fn product(product: &Product, popular: &[Item], source: Source) -> Self {
        // A new key for each page: a form that is sent twice is one order.
        let key = format!("{:032x}", fastrand::u128(..));
        let main = format!(
            "<p>{description}</p>\
             <p class=price>{price} <small>{stock} left</small></p>\
             <form method=post action=/products/{id}/orders>\
             <input type=hidden name=key value={key}>\
             <input type=number name=quantity value=1 min=1 aria-label=Quantity>\
             <button>Order</button></form>",
            description = Text(&product.description),
            price = Price(product.price_cents),
            stock = product.stock,
            id = product.id,
        );
        let popular = match popular {
            [] => String::new(),
            popular => format!("<h2>Often bought</h2>{}", items(popular)),
        };
        Self {
            title: product.name.clone(),
            main: main + &popular,
            source: Some(source),
        }
    }

    pub(crate) fn apology(said: &str) -> Self {
        Self {
            title: "Sorry".to_owned(),
            main: format!("<p>{}</p>", Text(said)),
            source: None,
        }
    }

    fn html(&self) -> String {
        format!(
            "<!DOCTYPE html><html lang=en><meta charset=utf-8>\
             <meta name=viewport content=\"width=device-width\">\
             <title>{title} · Storefront</title><style>{style}</style>\
             <header><a href=/>Storefront</a></header>\
             {notice}<main><h1>{title}</h1>{main}</main><footer>{footer}</footer></html>",
            title = Text(&self.title),
            style = include_str!("style.css"),
            notice = self.source.map(notice).unwrap_or_default(),
            main = self.main,
            footer = self.source.map(footer).unwrap_or_default(),
        )
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let mut response = Html(self.html()).into_response();
        let headers = response.headers_mut();
        // Freshness is decided here: another cache on the way would add to the age.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(source) = self.source {
            if let Some(age) = source.age() {
                headers.insert(header::AGE, HeaderValue::from(age.as_secs()));
            }
            if let Ok(status) = cache_status(source).parse() {
                headers.insert("cache-status", status);
            }
        }
        response
    }
}

fn items(items: &[Item]) -> String {
    let line = |item: &Item| {
        format!(
            "<li><a href=/products/{}>{}</a> <span class=price>{}</span>",
            item.id,
            Text(&item.name),
            Price(item.price_cents),
        )
    };
    let lines: String = items.iter().map(line).collect();
    format!("<ul class=items>{lines}</ul>")
}

/// The notice to the visitor: the page may be out of date, and orders are not accepted.
fn notice(source: Source) -> String {
    match source {
        Source::Stale {
            age,
            reason: StaleReason::Unanswered(_),
        } => format!(
            "<p class=notice role=status>You see the shop as it was {} ago. \
             Orders have to wait a moment.</p>",
            in_words(age),
        ),
        _ => String::new(),
    }
}

fn footer(source: Source) -> String {
    match source.age() {
        Some(age) => format!("As of {} ago", in_words(age)),
        None => "As of now".to_owned(),
    }
}

fn cache_status(source: Source) -> String {
    match (source, source.reason()) {
        (Source::Live, _) => "shop; fwd=miss".to_owned(),
        (source, Some(reason)) => format!("shop; hit; detail=\"{}: {reason}\"", source.as_str()),
        (_, None) => "shop; hit".to_owned(),
    }
}

fn in_words(age: Duration) -> String {
    match age.as_secs() {
        0 => "less than a second".to_owned(),
        1 => "1 second".to_owned(),
        seconds @ 2..120 => format!("{seconds} seconds"),
        seconds => format!("{} minutes", seconds / 60),
    }
}
