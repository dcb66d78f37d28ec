//! What a pool hands out.

use std::sync::Arc;

use deadpool::managed::Manager;

use super::dialect::{Dialect, Unknown};
use super::object::Object;

/// What a pool hands out: its [`Object`]s, or whatever they are wrapped in. For a wrapper of your own
/// an empty implementation does.
pub trait Wrapper<M: Manager + 'static>: From<Object<M>> {
    /// What is known of the objects that are wrapped.
    #[doc(hidden)]
    fn known() -> Known<M> {
        Known(Arc::new(Unknown))
    }
}

/// What is known of a manager's objects; this crate's affair.
pub struct Known<M: Manager + 'static>(pub(super) Arc<dyn Dialect<M>>);

impl<M: Manager + 'static> Wrapper<M> for Object<M> {}

impl<M: Manager + 'static> std::fmt::Debug for Known<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Known").finish_non_exhaustive()
    }
}
