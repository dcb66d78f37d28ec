//! The type of the objects that a pool leases.

use std::sync::Arc;

use deadpool::managed::Manager;

use super::dialect::{Dialect, Unknown};
use super::object::Object;

/// The type that a pool leases: [`Object`], or a type that wraps it. A custom wrapper needs only an
/// empty implementation:
///
/// ```
/// use fusepool::deadpool::{Manager, Object, Pool, Wrapper};
///
/// struct Store<M: Manager + 'static>(Object<M>);
///
/// impl<M: Manager + 'static> From<Object<M>> for Store<M> {
///     fn from(object: Object<M>) -> Self {
///         Self(object)
///     }
/// }
///
/// impl<M: Manager + 'static> Wrapper<M> for Store<M> {}
///
/// # fn build<M: Manager + 'static>(manager: M) -> Result<(), fusepool::deadpool::BuildError> {
/// let pool: Pool<M, Store<M>> = Pool::builder(manager).build()?;
/// # Ok(())
/// # }
/// ```
pub trait Wrapper<M: Manager + 'static>: From<Object<M>> {
    /// What fusepool knows about the wrapped objects.
    #[doc(hidden)]
    fn known() -> Known<M> {
        Known(Arc::new(Unknown))
    }
}

/// What fusepool knows about a manager's objects. Internal to this crate.
pub struct Known<M: Manager + 'static>(pub(super) Arc<dyn Dialect<M>>);

impl<M: Manager + 'static> Wrapper<M> for Object<M> {}

impl<M: Manager + 'static> std::fmt::Debug for Known<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Known").finish_non_exhaustive()
    }
}
