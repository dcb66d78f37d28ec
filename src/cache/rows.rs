//! The shapes of a result: all rows, or the first row.

use std::mem::size_of;
use std::sync::Arc;

/// A result. It is cheap to clone, since the cache shares it with every caller.
pub(crate) trait Shape<O>: Clone + Send + Sync + 'static {
    const IS_FIRST: bool;

    fn of(values: Vec<O>) -> Self;

    /// The heap memory of the result in bytes, without the memory that the values refer to.
    fn bytes(&self) -> usize;
}

/// The size of the two counts of an [`Arc`].
const COUNTS: usize = 2 * size_of::<usize>();

impl<O: Send + Sync + 'static> Shape<O> for Arc<Vec<O>> {
    const IS_FIRST: bool = false;

    fn of(values: Vec<O>) -> Self {
        Arc::new(values)
    }

    fn bytes(&self) -> usize {
        COUNTS + size_of::<Vec<O>>() + self.capacity() * size_of::<O>()
    }
}

impl<O: Send + Sync + 'static> Shape<O> for Option<Arc<O>> {
    const IS_FIRST: bool = true;

    fn of(values: Vec<O>) -> Self {
        values.into_iter().next().map(Arc::new)
    }

    fn bytes(&self) -> usize {
        self.as_ref().map_or(0, |_| COUNTS + size_of::<O>())
    }
}
