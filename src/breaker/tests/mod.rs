//! What the module documentation promises, rule by rule.

#[cfg(fusepool_loom)]
mod loom;

#[cfg(not(fusepool_loom))]
mod rules {
    mod closed;
    mod config;
    mod generations;
    mod half_open;
    mod modes;
    mod open;
    mod permits;
    mod rig;
    mod snapshot;
    mod window;
}
