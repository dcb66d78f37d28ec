//! An HTTP client that visits the shop.

use std::net::SocketAddr;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, header};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::storefront::{catalogue::Catalogue, routes, serve};
use crate::support::PATIENCE;

/// A running shop, and its client.
pub struct Shop {
    addr: SocketAddr,
    client: Client<HttpConnector, Body>,
    stop: oneshot::Sender<()>,
    service: JoinHandle<std::io::Result<()>>,
}

/// The response to a request.
#[derive(Debug)]
pub struct Visit {
    pub status: u16,
    headers: HeaderMap,
    pub body: String,
}

impl Shop {
    pub async fn open(catalogue: impl Catalogue) -> Self {
        Self::open_with(routes::router(catalogue)).await
    }

    pub async fn open_with(routes: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let stopped = async { drop(stopped.await) };
        Self {
            addr,
            client: Client::builder(TokioExecutor::new()).build_http(),
            stop,
            service: tokio::spawn(serve(listener, routes, stopped)),
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    pub async fn get(&self, path: &str) -> Visit {
        let request = Request::get(self.url(path));
        self.visit(request.body(Body::empty()).unwrap()).await
    }

    /// Sends the form of a product's page.
    pub async fn order(&self, product: &str, key: &str, quantity: u32) -> Visit {
        let request = Request::post(self.url(&format!("{product}/orders")))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(format!("key={key}&quantity={quantity}")));
        self.visit(request.unwrap()).await
    }

    async fn visit(&self, request: Request<Body>) -> Visit {
        let response = timeout(PATIENCE, self.client.request(request));
        let response = response.await.expect("the shop answers").unwrap();
        let (head, body) = response.into_parts();
        let body = to_bytes(Body::new(body), usize::MAX).await.unwrap();
        Visit {
            status: head.status.as_u16(),
            headers: head.headers,
            body: String::from_utf8(body.into()).unwrap(),
        }
    }

    /// Shuts down gracefully, like the service.
    pub async fn close(self) {
        self.stop.send(()).expect("the shop is open");
        let stopped = timeout(PATIENCE, self.service);
        stopped.await.expect("it stops").unwrap().unwrap();
    }
}

impl Visit {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The value in seconds.
    pub fn age(&self) -> u64 {
        self.header("age")
            .expect("a stale page has an age")
            .parse()
            .unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}
