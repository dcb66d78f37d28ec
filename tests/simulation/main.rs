//! Situations of production, simulated: the real pool, gate and breaker on tokio's paused clock, against
//! a scripted database and scripted callers.
//!
//! Each situation is played twice with the same callers: on a naked pool, and on the same pool with the
//! guard. `laws.rs` judges the pair. The database is a script, because thousands of situations must be
//! played and every run of one must be the same; `tests/outage` shows the same faults on real servers.
//!
//! | variable | effect | default |
//! |---|---|---|
//! | `SITUATIONS` | the number of random situations | 1000 |
//! | `SITUATION` | `table_of_situations` shows those whose names contain this, in detail | |
//! | `SEED` | plays the random situation of this seed only, and prints what happened | |

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

mod adapter;
mod callers;
mod fault;
mod figures;
mod known;
mod latency;
mod laws;
mod play;
mod pool;
mod record;
mod script;
mod server;
mod situation;

mod healthy;
mod outages;
mod partial;
mod patience;
mod random;
