//! The support of the tests, put to the test itself. The tests are in `tests/`; all beside it is the
//! module `support`, which each test binary includes by its path.

#[path = "mod.rs"]
mod support;

mod tests {
    mod proxy;
    #[cfg(all(feature = "sqlx-mysql", feature = "sqlx-postgres"))]
    mod servers;
}
