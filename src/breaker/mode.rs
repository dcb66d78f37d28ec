//! What the operator wants of a breaker, whatever its state.

/// Whether the breaker does what its state says. Set by the operator, never by the breaker.
///
/// A breaker can also be held open by handles: see
/// [`Breaker::force_open`](super::Breaker::force_open).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// Rejects calls as its state demands.
    #[default]
    Enforce,
    /// Records, changes state and reports, but never rejects: for trying a configuration on
    /// real traffic. A pool's deadlines and its `max_waiting` end and refuse nothing either; a deadline
    /// of a statement's own holds.
    Observe,
    /// Admits every call and records nothing; the state stays as it is. As in
    /// [`Observe`](Self::Observe), nothing is ended or refused.
    Disabled,
}

impl Mode {
    /// The mode in `snake_case`, as events spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Observe => "observe",
            Self::Disabled => "disabled",
        }
    }
}
