//! What a statement does to cached answers, and to the transaction that it is part of.

#[cfg(any(feature = "sqlx", feature = "diesel"))]
use std::mem::take;

use super::adapter::Adapter;
use super::connection_state::ConnectionState;
use super::statement::{Statement, Watch};
use super::transaction::Effect;
use crate::cache::doubt::Doubt;
use crate::cache::invalidation::Name;
use crate::cache::publication::Publication;
use crate::outcome::error::GateError;

/// The consequences of a statement that was admitted, until its result is known.
#[derive(Default)]
pub(crate) struct Consequences<'l> {
    /// The connection, and the effect of the text on its transaction.
    text: Option<(&'l ConnectionState, Effect)>,
    /// The answers that the statement invalidates.
    publication: Option<Publication<'l>>,
}

impl Consequences<'_> {
    /// The statement ended with this result. `answered`: the server itself reported the error.
    pub(crate) fn settle<E>(self, result: Result<(), &GateError<E>>, answered: bool) {
        if let Some((state, effect)) = self.text {
            state.follow(effect, result.is_ok());
        }
        let Some(publication) = self.publication else {
            return;
        };
        match result {
            Ok(()) => publication.publish(),
            Err(GateError::Failed(_)) if answered => publication.failed(),
            // It is unknown whether the statement has ended.
            Err(_) => drop(publication),
        }
    }
}

impl<'l, A: Adapter> Statement<'l, A> {
    /// Adds what the statement invalidates when it succeeds; in a transaction, when that is committed.
    pub(crate) fn invalidating(mut self, names: Vec<Name>) -> Self {
        if !names.is_empty() {
            let names = self.watch().hold(names);
            self.consequences.publication = self.watch().publication(names);
        }
        self
    }

    /// Adds the effects of a text, which may begin and end transactions, and what it invalidates.
    pub(crate) fn by_text(mut self, effect: Effect, names: Vec<Name>) -> Self {
        if effect == Effect::default() {
            return self.invalidating(names);
        }
        let effect = self.state.resolve(effect);
        self.consequences.text = Some((self.state, effect));
        let watch = self.watch();
        let unpublished = &self.state.unpublished;
        if effect.may_commit && (self.state.is_in_transaction() || unpublished.is_open()) {
            watch.doubt(unpublished.distrust());
        }
        let mut published = Vec::new();
        if effect.ends {
            let held = unpublished.take();
            published.extend(held.into_iter().filter(|_| effect.commits));
        }
        if effect.leaves_open == Some(true) {
            unpublished.hold(names, true);
        } else if effect.ends {
            published.extend(names);
        } else {
            published.extend(watch.hold(names));
        }
        self.consequences.publication = watch.publication(published);
        match effect.is_trivial {
            true => self.trivial(),
            false => self,
        }
    }

    /// Adds what the transaction invalidates, whose commit this is.
    #[cfg(any(feature = "sqlx", feature = "deadpool-postgres"))]
    pub(crate) fn committing(mut self) -> Self {
        // The writes of a savepoint take effect with the transaction around it.
        if self.state.unpublished.is_outermost() {
            self.consequences.publication = self.watch().commits();
        }
        self
    }

    /// Marks a statement that goes on after the driver's call, as a stream of rows or a `COPY` does. Its
    /// end is not seen: what it invalidates is in doubt until the connection is known to be done with it.
    #[cfg(feature = "deadpool-postgres")]
    pub(crate) fn open_ended(self, names: Vec<Name>) -> Self {
        let watch = self.watch();
        watch.doubt(watch.hold(names));
        watch.state.leave_unread();
        self
    }

    #[cfg(any(feature = "sqlx", feature = "diesel"))]
    pub(super) fn take_consequences(&mut self) -> Consequences<'l> {
        take(&mut self.consequences)
    }
}

impl<'l, A: Adapter> Watch<'l, A> {
    /// The effect of a text on the transaction of the connection.
    pub(crate) fn effect(self, sql: &str) -> Effect {
        Effect::of(sql, self.shared.adapter.system())
    }

    /// What the transaction of the connection invalidates when it is committed.
    pub(crate) fn commits(self) -> Option<Publication<'l>> {
        self.publication(self.state.unpublished.take())
    }

    /// Holds names until the end of the transaction. Without one, returns them.
    fn hold(self, names: Vec<Name>) -> Vec<Name> {
        let in_transaction = self.state.is_in_transaction();
        let is_distrusted = self.state.unpublished.is_distrusted();
        if is_distrusted {
            self.doubt(names.clone());
        }
        self.state.unpublished.hold(names, in_transaction)
    }

    fn publication(self, names: Vec<Name>) -> Option<Publication<'l>> {
        let Self { state, shared } = self;
        (!names.is_empty())
            .then(|| Publication::new(shared.answers(), &shared.gate, &state.doubts, names))
    }

    /// Doubts the answers that depend on these names, until the connection is known to be done with
    /// its statements.
    fn doubt(self, names: Vec<Name>) {
        if !names.is_empty() {
            let doubt = Doubt::begin(self.shared.answers(), names);
            self.state.doubts.add(doubt);
        }
    }
}
