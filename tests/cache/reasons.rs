//! Fallbacks for each reason why the database cannot answer, on each family: the last answer, a default, a
//! simpler query and another pool.

use std::any::Any;
use std::pin::Pin;

use fusepool::breaker::ForcedOpen;
use fusepool::{Source, StaleReason, Unanswered};

use crate::shop::{
    DEFAULT, Deadpool, DieselMysql, DieselPostgres, Fallback, SIMPLER, Server, Settings, Shop,
    Sqlx, World, set,
};
use crate::support::eventually;
use crate::support::proxy::Fault;

/// The price in the other shop.
const THERE: i32 = 7;

#[derive(Clone, Copy, Debug)]
enum Reason {
    Open,
    Saturated,
    Failure,
    Deadline,
    /// The user may not log in any more.
    Denied,
}

impl Reason {
    const ALL: [Self; 5] = [
        Self::Open,
        Self::Saturated,
        Self::Failure,
        Self::Deadline,
        Self::Denied,
    ];

    fn unanswered(self) -> Unanswered {
        match self {
            Self::Open => Unanswered::Open,
            Self::Saturated => Unanswered::Saturated,
            Self::Failure | Self::Denied => Unanswered::Failure,
            Self::Deadline => Unanswered::Deadline,
        }
    }
}

type Leasing<'s> = Pin<Box<dyn Future<Output = Box<dyn Any + Send>> + 's>>;

/// What is undone when it is dropped.
#[derive(Default)]
struct Struck {
    _open: Option<ForcedOpen>,
    _leases: Vec<Box<dyn Any + Send>>,
}

async fn each_fallback_stands_in_for_each_reason<S: Shop>() {
    let settings = Settings {
        max_queue: 1,
        ..Settings::default()
    };
    let mut world = World::<S>::open(settings).await;
    let mut other = World::<S>::open(Settings::default()).await;
    other.admin.run(&set(THERE)).await;
    for reason in Reason::ALL {
        let port = world.proxy.addr().port();
        world.admin.admit_app(true).await;
        // A new pool, so that nothing is left of the last reason.
        world.shop = S::open(&world.server.url_of_app(port), settings);
        let (price, source) = (world.shop.fall_back(Fallback::Cached, &other.shop).await).unwrap();
        assert_eq!((price, source), (0, Source::Live), "{reason:?}");
        strike(&mut world, &other, reason).await;
    }
}

async fn strike<S: Shop>(world: &mut World<S>, other: &World<S>, reason: Reason) {
    let World {
        shop, admin, proxy, ..
    } = world;
    let mut struck = Struck::default();
    let mut waiting: Option<Leasing<'_>> = None;
    match reason {
        Reason::Open => struck._open = Some(shop.gate().breaker().force_open()),
        Reason::Saturated => {
            for _ in 0..4 {
                struck._leases.push(shop.hold().await);
            }
            // One more, which is all that may wait.
            let mut more = Box::pin(shop.hold());
            assert!(futures_util::poll!(&mut more).is_pending());
            waiting = Some(more);
        }
        Reason::Failure => {
            proxy.set(Fault::Cut);
            eventually("connections are cut", async || proxy.live() == 0).await;
        }
        Reason::Deadline => admin.lock_table().await,
        Reason::Denied => admin.admit_app(false).await,
    }
    let why = reason.unanswered();
    for (to, expected) in [
        (Fallback::Cached, 0),
        (Fallback::Default, DEFAULT),
        (Fallback::OtherQuery, SIMPLER),
        (Fallback::OtherPool, THERE),
    ] {
        let (price, source) = shop
            .fall_back(to, &other.shop)
            .await
            .unwrap_or_else(|error| panic!("{reason:?}, {to:?}: {error}"));
        assert_eq!(price, expected, "{reason:?}, {to:?}: {source:?}");
        let is_expected = match (to, source) {
            (Fallback::Cached, Source::Stale { reason, .. }) => {
                reason == StaleReason::Unanswered(why)
            }
            (Fallback::Default, Source::Default { reason })
            | (Fallback::OtherQuery, Source::Alternative { reason })
            | (Fallback::OtherPool, Source::OtherPool { reason }) => reason == why,
            _ => false,
        };
        assert!(is_expected, "{reason:?}, {to:?}: {source:?}");
    }
    drop((waiting, struck));
    match reason {
        Reason::Failure => proxy.set(Fault::None),
        Reason::Deadline => admin.unlock_table().await,
        Reason::Open | Reason::Saturated | Reason::Denied => {}
    }
}

macro_rules! on_all_shops {
    ($($name:ident $shop:ty;)*) => {
        $(mod $name {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn each_fallback_stands_in_for_each_reason() {
                super::each_fallback_stands_in_for_each_reason::<$shop>().await;
            }
        })*
    };
}

on_all_shops! {
    sqlx_postgres Sqlx<sqlx::Postgres>;
    sqlx_mariadb Sqlx<sqlx::MySql>;
    deadpool_postgres Deadpool;
    diesel_postgres DieselPostgres;
    diesel_mariadb DieselMysql;
}
