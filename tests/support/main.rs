//! Tests of the support code. They are in `tests/`; the other files are the module `support`, which each
//! test binary includes by path.

#[path = "mod.rs"]
mod support;

mod tests {
    mod proxy;
    #[cfg(all(feature = "sqlx-mysql", feature = "sqlx-postgres"))]
    mod servers;
}
