//! The live page of `examples/storefront`, as a browser shows it in an outage.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::Html;
use axum::routing::get;
use fusepool::breaker::State;
use fusepool::live::{self, Live};
use fusepool::telemetry::{Change, Events};
use fusepool::{Breaker, Gate};
use tokio::time::timeout;

use crate::browser::Browser;
use crate::storefront::faults::Faults;
use crate::storefront::{self, routes, signals, visitors};
use crate::support::PATIENCE;
use crate::support::postgres::Postgres;
use crate::visitor::Shop;

/// Remembers when the page showed which state, and when its chart did.
const WATCH: &str = "
    const seen = {};
    /// Forgets what was seen before.
    const forget = () => { for (const key in seen) delete seen[key]; };
    const look = () => {
        const now = Date.now();
        const state = document.querySelector('.state').textContent;
        if (seen.state !== state) Object.assign(seen, { state, [state]: now });
        const last = document.querySelector('.states').lastChild.getAttribute('class');
        if (seen.bar !== last) Object.assign(seen, { bar: last, ['bar ' + last]: now });
    };
    look();
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributes: true });
";

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_an_outage_within_a_second() {
    let server = Postgres::start().await;
    let (faults, options) = Faults::of_postgres(server.url().parse().unwrap())
        .await
        .unwrap();
    let pool = storefront::database::postgres(options).await.unwrap();
    let (_running, stop) = tokio::sync::oneshot::channel::<()>();
    let stop = signals::shared(async { drop(stop.await) });
    let page = storefront::live::router(Live::new().watch(&pool), faults, stop);
    let shop = Shop::open_with(routes::router(pool.clone()).merge(page)).await;
    let visitors = visitors::send(&pool);
    let mut browser = Browser::start().await;
    browser.open(&shop.url("/live")).await;
    browser
        .holds("document.querySelector('.state')?.textContent === 'closed'")
        .await;
    browser
        .holds("document.querySelector('.calls .answered').getAttribute('d') !== ''")
        .await;
    browser.eval(WATCH).await;

    let mut events = pool.events();
    browser
        .eval("document.getElementById('stall').click()")
        .await;
    let opened = becomes(&mut events, State::Open).await;
    shows(&mut browser, "open", "open", opened).await;
    browser
        .holds("document.querySelector('.calls .refused').getAttribute('d') !== ''")
        .await;
    browser
        .holds("document.querySelector('.calls .fallbacks').getAttribute('d') !== ''")
        .await;
    browser
        .holds("/list.* old/.test(document.querySelector('.served').textContent)")
        .await;
    browser
        .holds("/Open for .* because/.test(document.querySelector('.story').textContent)")
        .await;

    browser
        .eval("document.getElementById('stall').click()")
        .await;
    let closed = becomes(&mut events, State::Closed).await;
    shows(&mut browser, "closed", "closed", closed).await;
    let order = "[...document.querySelectorAll('.changes b')].map(b => b.textContent).join()";
    browser
        .holds(&format!(
            "{order}.startsWith('closed,') && {order}.endsWith('open')"
        ))
        .await;

    drop(visitors);
    browser.open("about:blank").await;
    shop.close().await;
    pool.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_fits_a_phone_and_runs_nothing_from_a_name() {
    let name = format!("<img src=x onerror=document.title='run'>{}", "x".repeat(99));
    let gate = Gate::builder(Breaker::builder().name(name));
    let gate = Arc::new(gate.build().unwrap());
    let held = gate.breaker().force_open();
    let live = Live::new().watch(&gate);
    let events = async move || {
        let body = Body::from_stream(live.events());
        ([(CONTENT_TYPE, live::EVENT_STREAM)], body)
    };
    let routes = Router::new()
        .route("/deep/live/", get(async || Html(live::PAGE)))
        .route("/deep/live/events", get(events));
    let shop = Shop::open_with(routes).await;
    let mut browser = Browser::start().await;
    browser.resize(360, 640).await;
    browser.open(&shop.url("/deep/live/")).await;
    browser
        .holds("document.querySelector('.state')?.textContent === 'held open'")
        .await;
    browser
        .holds("document.querySelector('.name').textContent.startsWith('<img')")
        .await;
    let images = browser.eval("document.images.length").await;
    assert_eq!(images, 0);
    assert_ne!(browser.eval("document.title").await, "run");
    let width = browser.eval("document.documentElement.scrollWidth").await;
    assert_eq!(width, 360);
    drop(held);
    browser
        .holds("document.querySelector('.state').textContent === 'closed'")
        .await;
    drop(gate);
    browser
        .holds("document.getElementById('pools').children.length === 0")
        .await;
    browser.open("about:blank").await;
    shop.close().await;
}

/// The time at which the breaker came into this state.
async fn becomes(events: &mut Events, state: State) -> SystemTime {
    let reached = async {
        loop {
            match events.next().await {
                Some(Change::Transition(transition)) if transition.to == state => break,
                Some(_) => {}
                None => panic!("the pool has ended"),
            }
        }
    };
    timeout(PATIENCE, reached).await.expect("a transition");
    SystemTime::now()
}

/// The page shows the state, in words and in the chart, within a second of the change.
async fn shows(browser: &mut Browser, words: &str, bar: &str, since: SystemTime) {
    browser
        .holds(&format!("seen['{words}'] > 0 && seen['bar {bar}'] > 0"))
        .await;
    for what in [words.to_owned(), format!("bar {bar}")] {
        let shown = browser
            .eval(&format!("seen['{what}']"))
            .await
            .as_u64()
            .unwrap();
        let shown = UNIX_EPOCH + Duration::from_millis(shown);
        let late = shown.duration_since(since).unwrap_or_default();
        assert!(
            late < Duration::from_secs(1),
            "{what} was shown {late:?} late"
        );
    }
}
