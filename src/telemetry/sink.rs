//! The receivers of events.

use super::event::Event;

/// Receives the events of pools and gates.
///
/// It is called on the task that caused the event. It must be quick and must not panic.
///
/// ```
/// use fusepool::telemetry::{Event, Sink};
/// use fusepool::{Breaker, Gate};
///
/// struct Rejections(std::sync::atomic::AtomicU64);
///
/// impl Sink for Rejections {
///     fn event(&self, _pool: &str, event: &Event<'_>) {
///         if let Event::Rejected(_) = event {
///             self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
///         }
///     }
/// }
///
/// // The events also go to `tracing`.
/// let gate = Gate::builder(Breaker::builder()).sink(Rejections(0.into())).build()?;
/// # Ok::<(), fusepool::ConfigError>(())
/// ```
pub trait Sink: Send + Sync + 'static {
    /// Receives an event of the pool or gate with this name.
    fn event(&self, pool: &str, event: &Event<'_>);

    /// Whether the sink receives an event for each step of each call: [`Event::Acquired`],
    /// [`AcquireFailed`](Event::AcquireFailed), [`Ended`](Event::Ended), [`Released`](Event::Released)
    /// and [`Connected`](Event::Connected). Default: `false`.
    ///
    /// It is asked once, when the pool or gate is built. Without such a sink, calls are not timed.
    ///
    /// ```
    /// use fusepool::telemetry::{Event, Sink};
    ///
    /// struct Durations;
    ///
    /// impl Sink for Durations {
    ///     fn event(&self, pool: &str, event: &Event<'_>) {
    ///         if let Event::Ended { took, .. } = event {
    ///             println!("{pool}: {took:?}");
    ///         }
    ///     }
    ///
    ///     fn wants_calls(&self) -> bool {
    ///         true
    ///     }
    /// }
    /// ```
    fn wants_calls(&self) -> bool {
        false
    }

    /// Whether the sink receives [`Event::Sampled`]. Default: `false`.
    ///
    /// It is asked once, when the pool is built. With such a sink, a pool has one more background
    /// task, which starts when a connection is first leased.
    fn wants_samples(&self) -> bool {
        false
    }
}
