//! A situation: a pool, a database with its faults, and callers.

use std::time::Duration;

use fusepool::GuardedBuilder;

use crate::adapter::Simulated;
use crate::callers::{Arrivals, Callers};
use crate::fault::Episode;
use crate::script::Script;
use crate::server::Machine;

#[derive(Clone, Debug)]
pub(crate) struct Situation {
    pub(crate) name: String,
    pub(crate) pool: u32,
    /// All connections are open before the first call.
    pub(crate) warm: bool,
    /// An abandoned statement is canceled at the server.
    pub(crate) cancels: bool,
    pub(crate) machine: Machine,
    pub(crate) script: Script,
    pub(crate) callers: Vec<Callers>,
    /// The time in which calls are made.
    pub(crate) length: Duration,
    pub(crate) seed: u64,
    /// The settings of the guard that differ from the defaults.
    pub(crate) configure: fn(GuardedBuilder<Simulated>) -> GuardedBuilder<Simulated>,
}

impl Situation {
    pub(crate) fn new(name: impl Into<String>, pool: u32, length: Duration) -> Self {
        Self {
            name: name.into(),
            pool,
            warm: true,
            cancels: false,
            machine: Machine::default(),
            script: Script::default(),
            callers: Vec::new(),
            length,
            seed: 1,
            configure: |builder| builder,
        }
    }

    pub(crate) fn callers(mut self, callers: Callers) -> Self {
        self.callers.push(callers);
        self
    }

    pub(crate) fn fault(mut self, episode: Episode) -> Self {
        self.script.0.push(episode);
        self
    }

    pub(crate) fn cold(self) -> Self {
        Self {
            warm: false,
            ..self
        }
    }

    /// Whether each call has a twin in every run.
    pub(crate) fn has_twins(&self, group: usize) -> bool {
        !matches!(self.callers[group].arrivals, Arrivals::Workers(..))
    }
}
