//! The settings of a pool of any kind.

use std::time::Duration;

use fusepool::breaker::Builder;

use crate::events::Events;

#[derive(Clone)]
pub struct Options {
    pub max_connections: u32,
    pub max_queue: Option<u32>,
    pub acquire_timeout: Duration,
    pub query_timeout: Duration,
    pub alive_bypass: Option<Duration>,
    pub probe_query: Option<&'static str>,
    pub breaker: Builder,
    pub events: Events,
}

impl Options {
    pub fn max_connections(mut self, connections: u32) -> Self {
        self.max_connections = connections;
        self
    }

    pub fn max_queue(mut self, callers: u32) -> Self {
        self.max_queue = Some(callers);
        self
    }

    pub fn acquire_timeout(mut self, timeout: Duration) -> Self {
        self.acquire_timeout = timeout;
        self
    }

    pub fn query_timeout(mut self, timeout: Duration) -> Self {
        self.query_timeout = timeout;
        self
    }

    pub fn alive_bypass(mut self, idle: Duration) -> Self {
        self.alive_bypass = Some(idle);
        self
    }

    pub fn probe_query(mut self, sql: &'static str) -> Self {
        self.probe_query = Some(sql);
        self
    }

    pub fn breaker(mut self, breaker: Builder) -> Self {
        self.breaker = breaker;
        self
    }
}
