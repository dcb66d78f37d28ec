//! The guide: how to adopt fusepool, and how to run it in production.
//!
//! | page | answers |
//! |---|---|
//! | [Quick start](quick_start) | What do I write, with my driver? |
//! | [Migration](migration) | What changes in an existing service? Which statements stay unguarded? |
//! | [Fallbacks and cache](fallbacks) | What is served when the database cannot answer? |
//! | [Errors and retries](errors) | What happened to my statement? May I send it again? |
//! | [Production](production) | What must the server, the pooler and Kubernetes know? |
//! | [Roll-out](roll_out) | How do I try it on real traffic before it refuses a call? |
//! | [Tuning](tuning) | Which setting do I change, when, and what goes wrong? |
//! | [Observing](observing) | What do I watch, and what do I do about it? |
//! | [Testing](testing) | How do I cause an outage, and what should happen then? |
//! | [How it works](how_it_works) | What happens inside? |
//! | [Situations](situations) | What happens in which situation, with and without the guard? |
//! | [Measurements](measurements) | What does it cost, and what does it save? |
//! | [Comparison](comparison) | Why not a timeout, a pooler, or another breaker? |
//! | [Decisions](decisions) | Why is it as it is? |
//! | [Versions](versions) | What may a release change? Which Rust does it need? |
//! | [Questions](faq) | Frequently asked questions |
//!
//! The module exists only in the documentation. The examples are compiled by the tests of this crate.

#[doc = include_str!("quick_start.md")]
pub mod quick_start {}

#[doc = include_str!("migration.md")]
pub mod migration {}

#[doc = include_str!("fallbacks.md")]
pub mod fallbacks {}

#[doc = include_str!("errors.md")]
pub mod errors {}

#[doc = include_str!("production.md")]
pub mod production {}

#[doc = include_str!("roll_out.md")]
pub mod roll_out {}

#[doc = include_str!("tuning.md")]
pub mod tuning {}

#[doc = include_str!("observing.md")]
pub mod observing {}

#[doc = include_str!("testing.md")]
pub mod testing {}

#[doc = include_str!("how_it_works.md")]
pub mod how_it_works {}

#[doc = include_str!("situations.md")]
pub mod situations {}

#[doc = include_str!("measurements.md")]
#[doc = include_str!("how_fast.md")]
pub mod measurements {}

#[doc = include_str!("comparison.md")]
pub mod comparison {}

#[doc = include_str!("decisions.md")]
pub mod decisions {}

#[doc = include_str!("versions.md")]
pub mod versions {}

#[doc = include_str!("faq.md")]
pub mod faq {}
