//! What is served instead of an answer, in the order it was written.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use crate::outcome::served::{Served, Source, Unanswered};

type Alternative<'f, T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'f>>;

/// One thing to serve instead. `P` is another pool to ask.
pub(crate) enum Step<'f, T, E, P> {
    /// What the cache has.
    Stale,
    Value(T),
    Alternative(Alternative<'f, T, E>),
    Pool(P),
}

impl<'f, T: Send + 'f, E: Send + 'f, P> Step<'f, T, E, P> {
    pub(crate) fn map<U: 'f>(self, f: fn(T) -> U) -> Step<'f, U, E, P> {
        match self {
            Self::Stale => Step::Stale,
            Self::Value(value) => Step::Value(f(value)),
            Self::Alternative(alternative) => {
                Step::Alternative(Box::pin(async move { alternative.await.map(f) }))
            }
            Self::Pool(pool) => Step::Pool(pool),
        }
    }
}

/// Takes the steps in their order, until one gives a value. `None` if none does: one that fails is
/// passed over.
///
/// Cancellation: drops the step under way.
pub(crate) async fn fall_back<T, E, P, A>(
    steps: Vec<Step<'_, T, E, P>>,
    reason: Unanswered,
    mut stale: Option<Served<T>>,
    mut ask: impl FnMut(P) -> A,
) -> Option<Served<T>>
where
    A: Future<Output = Result<T, E>>,
{
    for step in steps {
        let served = match step {
            Step::Stale => stale.take(),
            Step::Value(value) => Some(Served::new(value, Source::Default { reason })),
            Step::Alternative(alternative) => (alternative.await.ok())
                .map(|value| Served::new(value, Source::Alternative { reason })),
            Step::Pool(pool) => {
                (ask(pool).await.ok()).map(|value| Served::new(value, Source::OtherPool { reason }))
            }
        };
        if served.is_some() {
            return served;
        }
    }
    None
}

impl<T, E, P> fmt::Debug for Step<'_, T, E, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stale => "Stale",
            Self::Value(_) => "Value",
            Self::Alternative(_) => "Alternative",
            Self::Pool(_) => "Pool",
        })
    }
}
