//! What the module documentation promises, rule by rule.

#[cfg(fusepool_loom)]
mod loom;
