//! Before, during and after the stall.

use std::time::Duration;

/// When the phases began, after the start of the load.
#[derive(Clone, Copy)]
pub(crate) struct Phases {
    pub(crate) stalled: Duration,
    pub(crate) healed: Duration,
    pub(crate) end: Duration,
}

impl Phases {
    pub(crate) const NAMES: [&'static str; 3] = ["healthy", "stalled", "healed"];

    /// The index of the phase that a call belongs to that started then.
    pub(crate) fn at(&self, started: Duration) -> usize {
        usize::from(started >= self.stalled) + usize::from(started >= self.healed)
    }
}
