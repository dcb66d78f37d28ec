//! The facts that only the user of a pool knows.

use std::time::Duration;

/// Facts about a service that its pool cannot know. The lint does not check facts that are not set.
///
/// ```
/// use fusepool::lint::Load;
/// use std::time::Duration;
///
/// let load = Load::default()
///     .calls_per_second(20.0)
///     .request_deadline(Duration::from_secs(10))
///     .replicas(4);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[must_use]
pub struct Load {
    pub(super) calls_per_second: Option<f64>,
    pub(super) request_deadline: Option<Duration>,
    pub(crate) replicas: Option<u32>,
}

impl Load {
    /// The statements that one instance of the service makes in a second, at its quietest time at which
    /// the breaker should still work.
    pub fn calls_per_second(mut self, calls: f64) -> Self {
        self.calls_per_second = Some(calls);
        self
    }

    /// The time after which the client of the service, or a proxy in front of it, gives up.
    pub fn request_deadline(mut self, deadline: Duration) -> Self {
        self.request_deadline = Some(deadline);
        self
    }

    /// The largest number of instances of the service, such as during a deployment or at the upper limit
    /// of an autoscaler.
    pub fn replicas(mut self, instances: u32) -> Self {
        self.replicas = Some(instances);
        self
    }
}
