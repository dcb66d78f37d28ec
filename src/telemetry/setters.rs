//! The setters of builders that collect sinks.

/// The setters, for a builder with a [`SinkList`](super::sinks::SinkList) in this field.
///
/// They have no `#[must_use]`, because the builders themselves have it.
macro_rules! sink_setters {
    ($($field:ident).+) => {
        /// Adds a receiver of the events, beside `tracing` and those added before.
        pub fn sink(mut self, sink: impl $crate::telemetry::Sink) -> Self {
            self.$($field).+.others.push(::std::sync::Arc::new(sink));
            self
        }

        /// Whether the events are emitted with `tracing`. Default: `true`.
        pub fn tracing(mut self, on: bool) -> Self {
            self.$($field).+.tracing = on;
            self
        }

        /// Whether each call has a [span](crate::telemetry#spans) of `tracing`. Default: `false`.
        pub fn spans(mut self, on: bool) -> Self {
            self.$($field).+.spans = on;
            self
        }

        /// Records [metrics](crate::telemetry#metrics) with the crate `metrics`. Each call is then
        /// timed.
        #[cfg(feature = "metrics")]
        #[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
        pub fn metrics(mut self) -> Self {
            self.$($field).+.metrics = true;
            self
        }

        /// Records the same [metrics](crate::telemetry#metrics) with a meter of the crate
        /// `opentelemetry`, version 0.33.
        #[cfg(feature = "opentelemetry_0_33")]
        #[cfg_attr(docsrs, doc(cfg(feature = "opentelemetry_0_33")))]
        pub fn opentelemetry_0_33(mut self, meter: ::opentelemetry::metrics::Meter) -> Self {
            self.$($field).+.meter = Some(meter);
            self
        }
    };
}

pub(crate) use sink_setters;
