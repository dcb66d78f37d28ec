// An application's everyday use of diesel-async with PostgreSQL; see ../diesel.rs.

mod model {
    include!("postgres/model.rs");
}
mod rows {
    include!("postgres/rows.rs");
}
mod transactions {
    include!("postgres/transactions.rs");
}
mod connections {
    include!("postgres/connections.rs");
}
mod paths {
    include!("postgres/paths.rs");
}
mod pools {
    include!("postgres/pools.rs");
}

use crate::Checked;
use imports::{AsyncDieselConnectionManager, AsyncPgConnection, Pool};

/// Runs every use against an empty database.
pub async fn all(url: String) -> Checked {
    let config = AsyncDieselConnectionManager::<AsyncPgConnection>::new(&url);
    let pool: Pool<AsyncPgConnection> = Pool::builder(config).max_size(4).build()?;
    model::schema(&pool).await?;
    rows::all(&pool).await?;
    transactions::all(&pool).await?;
    connections::all(&pool).await?;
    paths::all(&url).await?;
    pools::all(pool, &url).await
}
