//! What an operator does with a running breaker.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::builder::Builder;
use super::config::ConfigError;
use super::event::Event;
use super::handle::Breaker;
use super::state::Mode;

impl Breaker {
    /// The current mode.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.inner.epoch.load().mode
    }

    /// Changes the mode. The state and the counts are kept.
    ///
    /// ```
    /// use fusepool::Breaker;
    /// use fusepool::breaker::Mode;
    ///
    /// let breaker = Breaker::builder().build()?;
    /// breaker.set_mode(Mode::Disabled); // a switch for emergencies
    /// assert_eq!(breaker.mode(), Mode::Disabled);
    /// # Ok::<(), fusepool::ConfigError>(())
    /// ```
    pub fn set_mode(&self, mode: Mode) {
        self.inner.operate(|core| core.mode = mode);
    }

    /// Holds the breaker open, in every mode, until this handle and all others are dropped. Its state
    /// is [`State::ForcedOpen`](super::State::ForcedOpen) meanwhile, and then the previous one. In a
    /// pool, callers in the queue are refused, too.
    ///
    /// ```
    /// use fusepool::Breaker;
    ///
    /// let breaker = Breaker::builder().build()?;
    /// let maintenance = breaker.force_open();
    /// assert!(breaker.try_acquire().is_err());
    /// drop(maintenance);
    /// assert!(breaker.try_acquire().is_ok());
    /// # Ok::<(), fusepool::ConfigError>(())
    /// ```
    pub fn force_open(&self) -> ForcedOpen {
        self.inner.operate(|core| core.forced_open += 1);
        ForcedOpen {
            breaker: self.clone(),
        }
    }

    /// Opens the breaker for this duration, without jitter, as if a rule had tripped it. It then turns
    /// half-open, and probes decide whether it closes.
    ///
    /// If it is open already, this replaces the rest of the open duration. To hold it open without
    /// an end, in every mode, use [`force_open`](Self::force_open).
    ///
    /// ```
    /// use fusepool::Breaker;
    /// use fusepool::breaker::State;
    /// use std::time::Duration;
    ///
    /// let breaker = Breaker::builder().build()?;
    /// breaker.trip_for(Duration::from_secs(60)); // the database is being moved
    /// assert_eq!(breaker.state(), State::Open);
    /// # Ok::<(), fusepool::ConfigError>(())
    /// ```
    pub fn trip_for(&self, duration: Duration) {
        let now = self.inner.now();
        let mut core = self.inner.core();
        let counts = self.inner.epoch.load().ledger.recent.counts(now);
        let change = core.machine.trip_for(now, duration, counts);
        self.inner.publish(&mut core, now);
        drop(core);
        self.inner.report([change]);
    }

    /// Closes the breaker and empties its window. The results of calls in progress are discarded.
    ///
    /// ```
    /// use fusepool::Breaker;
    /// use fusepool::breaker::State;
    /// use std::time::Duration;
    ///
    /// let breaker = Breaker::builder().build()?;
    /// breaker.trip_for(Duration::from_secs(600));
    /// breaker.reset(); // the database is back sooner
    /// assert_eq!(breaker.state(), State::Closed);
    /// # Ok::<(), fusepool::ConfigError>(())
    /// ```
    pub fn reset(&self) {
        let now = self.inner.now();
        let mut core = self.inner.core();
        let change = core.machine.reset();
        self.inner.publish(&mut core, now);
        drop(core);
        self.inner.report(change);
    }

    /// Changes the rules at run time. All of them are replaced: to change some and keep the others,
    /// start from [`to_builder`](Self::to_builder).
    ///
    /// The state and the consecutive failures are kept; the window is kept if its shape is the
    /// same. The results of calls in progress are discarded, and a half-open batch starts again.
    /// The ramp is kept if `builder` sets none. The name, mode, clock and observer of `builder` are
    /// ignored.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] for the first field whose value breaks a rule. Nothing has changed then. In a
    /// pool or a gate, a call must be slow before its deadline, as when it was built.
    ///
    /// ```
    /// use fusepool::Breaker;
    ///
    /// let breaker = Breaker::builder().minimum_calls(20).build()?;
    /// breaker.reconfigure(breaker.to_builder().failure_rate(0.3))?; // `minimum_calls` stays 20
    /// # Ok::<(), fusepool::ConfigError>(())
    /// ```
    pub fn reconfigure(&self, builder: Builder) -> Result<(), ConfigError> {
        builder.settings.check()?;
        let deadline = *(self.inner.deadline.lock()).unwrap_or_else(PoisonError::into_inner);
        if let Some(deadline) = deadline {
            builder.settings.check_deadline(deadline)?;
        }
        let mut settings = builder.settings;
        let now = self.inner.now();
        let mut core = self.inner.core();
        settings.ramp = settings.ramp.or(core.settings.ramp);
        let ledger = self
            .inner
            .epoch
            .load()
            .ledger
            .reconfigured(&core.settings, &settings, now);
        core.settings = Arc::new(settings);
        let settings = Arc::clone(&core.settings);
        core.machine.restart_batch(&settings);
        self.inner.publish_with(&mut core, now, ledger);
        drop(core);
        self.inner.emit(&Event::Reconfigured);
        Ok(())
    }

    /// A builder with the current rules, name, mode and clock of this breaker, but without its
    /// observer. In a pool, its [`ramp`](Builder::ramp) is the one that follows from the pool's size.
    ///
    /// Use it to ask for the rules, to change single ones with [`reconfigure`](Self::reconfigure), or to
    /// build another breaker with the same rules.
    ///
    /// ```
    /// use fusepool::Breaker;
    ///
    /// let breaker = Breaker::builder().failure_rate(0.3).build()?;
    /// assert_eq!(breaker.to_builder().get_failure_rate(), Some(0.3));
    /// # Ok::<(), fusepool::ConfigError>(())
    /// ```
    #[must_use]
    pub fn to_builder(&self) -> Builder {
        let epoch = self.inner.epoch.load();
        Builder {
            settings: (*epoch.settings).clone(),
            name: Some(Arc::clone(&self.inner.name)),
            mode: epoch.mode,
            clock: self.inner.clock.clone(),
            observer: None,
        }
    }
}

/// Holds a breaker open until it is dropped. Returned by [`Breaker::force_open`].
#[derive(Debug)]
#[must_use = "the breaker is held open only until this is dropped"]
pub struct ForcedOpen {
    breaker: Breaker,
}

impl Drop for ForcedOpen {
    fn drop(&mut self) {
        self.breaker.inner.operate(|core| core.forced_open -= 1);
    }
}
