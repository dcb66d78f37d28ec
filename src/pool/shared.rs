//! The state that all handles of a guarded pool share.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::Semaphore;

use super::adapter::Adapter;
use super::long_running::LongRunning;
use super::role::Role;
use super::settings::Settings;
use super::snapshot::{PoolSnapshot, PoolStatus};
use super::tasks::Background;
#[cfg(feature = "sql")]
use super::unsettled::Unsettled;
#[cfg(feature = "cache")]
use crate::cache::answers::Answers;
#[cfg(feature = "cache")]
use crate::cache::snapshot::CacheSnapshot;
use crate::gate::Gate;
use crate::lint::Load;

pub(crate) struct Shared<A: Adapter> {
    pub(crate) adapter: Arc<A>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) background: Background,
    /// The number of connections that tasks are opening for callers.
    pub(super) opening: AtomicU32,
    /// The task that samples has ended.
    pub(super) sampling_ended: AtomicBool,
    /// Whether connections beside the pool may be opened to ask the server.
    pub(super) side_connections: bool,
    /// The statement of the probes, if it is not a ping.
    pub(super) probe_query: Option<Arc<str>>,
    /// The one connection beside the pool.
    pub(super) side: Semaphore,
    pub(super) long_running: LongRunning,
    /// The server has said what it is.
    pub(super) is_system_known: OnceLock<()>,
    /// The load that its user expects.
    pub(super) load: Load,
    pub(crate) role: Arc<Role>,
    #[cfg(feature = "sql")]
    pub(super) unsettled: Unsettled,
    /// Built at its first use, so that a pool without cached reads allocates no cache.
    #[cfg(feature = "cache")]
    answers: OnceLock<Arc<Answers>>,
    #[cfg(feature = "cache")]
    cache_bytes: u64,
}

impl<A: Adapter> Shared<A> {
    pub(crate) fn new(adapter: A, gate: Arc<Gate>, settings: &Settings) -> Arc<Self> {
        Arc::new(Self {
            role: Arc::new(Role::new(adapter.tells_read_only())),
            adapter: Arc::new(adapter),
            gate,
            background: Background::default(),
            opening: AtomicU32::new(0),
            sampling_ended: AtomicBool::new(false),
            side_connections: settings.side_connections,
            probe_query: settings.probe_query.as_deref().map(Arc::from),
            side: Semaphore::new(1),
            long_running: LongRunning::default(),
            is_system_known: OnceLock::new(),
            load: settings.load,
            #[cfg(feature = "sql")]
            unsettled: Unsettled::default(),
            #[cfg(feature = "cache")]
            answers: OnceLock::new(),
            #[cfg(feature = "cache")]
            cache_bytes: settings.cache_bytes,
        })
    }

    pub(crate) fn snapshot(&self) -> PoolSnapshot {
        let PoolStatus {
            size,
            idle,
            max_connections,
        } = self.adapter.status();
        PoolSnapshot {
            gate: self.gate.snapshot(),
            #[cfg(feature = "cache")]
            cache: self.cache_snapshot(),
            size,
            idle,
            max_connections,
        }
    }

    /// Remembers the current runtime, if it is the first, and starts sampling in it, and the check of
    /// the server. Called when a connection is leased.
    pub(crate) fn remember_runtime(self: &Arc<Self>) {
        if self.background.remember_runtime() {
            self.start_sampling();
            self.lint_in_background();
        } else if self.sampling_ended.load(Ordering::Acquire) {
            self.sample_again();
        }
    }

    #[cold]
    fn sample_again(self: &Arc<Self>) {
        if self.sampling_ended.swap(false, Ordering::AcqRel) && !self.adapter.is_closed() {
            self.start_sampling();
        }
    }

    #[cfg(feature = "cache")]
    pub(crate) fn answers(&self) -> &Arc<Answers> {
        let new = || Arc::new(Answers::new(self.cache_bytes));
        self.answers.get_or_init(new)
    }

    #[cfg(feature = "cache")]
    pub(crate) fn cache_snapshot(&self) -> CacheSnapshot {
        match self.answers.get() {
            Some(answers) => answers.snapshot(),
            None => CacheSnapshot {
                max_bytes: self.cache_bytes,
                ..CacheSnapshot::default()
            },
        }
    }
}
