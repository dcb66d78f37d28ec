// An application's everyday use of sqlx. Included into each half of each driver's module, next to
// `imports` and `particular`. It uses pool types only through `imports`, and what differs between the
// drivers only through `driver`.

mod menu {
    include!("application/menu.rs");
}
mod queries {
    include!("application/queries.rs");
}
mod transactions {
    include!("application/transactions.rs");
}
mod functions {
    include!("application/functions.rs");
}
mod opening {
    include!("application/opening.rs");
}
mod pool {
    include!("application/pool.rs");
}

use super::driver;
use crate::Checked;

/// Runs every use against an empty database.
pub async fn all(url: &str) -> Checked {
    let pool = particular::open(url).await?;
    menu::migrations_run_on_the_pool(&pool).await?;
    queries::all(&pool, url).await?;
    transactions::all(&pool, url).await?;
    functions::all(&pool).await?;
    opening::all(&pool, url).await?;
    particular::all(&pool, url).await?;
    pool.close().await;
    pool::all(url).await
}
