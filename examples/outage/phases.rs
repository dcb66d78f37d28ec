//! The phases of a run: before, during and after the stall.

use std::time::Duration;

/// The starts of the phases, from the start of the load.
#[derive(Clone, Copy)]
pub(crate) struct Phases {
    pub(crate) stalled: Duration,
    pub(crate) healed: Duration,
    pub(crate) end: Duration,
}

impl Phases {
    pub(crate) const NAMES: [&'static str; 3] = ["healthy", "stalled", "healed"];

    /// The index of the phase to which a call that started at this time belongs.
    pub(crate) fn at(&self, started: Duration) -> usize {
        usize::from(started >= self.stalled) + usize::from(started >= self.healed)
    }
}
