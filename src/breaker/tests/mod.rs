//! Tests of the rules in the module documentation.

#[cfg(fusepool_loom)]
mod loom;

#[cfg(not(fusepool_loom))]
mod rules {
    mod closed;
    mod config;
    mod generations;
    mod half_open;
    mod learning;
    mod model;
    mod modes;
    mod open;
    mod operator;
    mod permits;
    mod properties;
    mod rig;
    mod settings;
    mod snapshot;
    mod stall;
    mod threads;
    mod window;
}
