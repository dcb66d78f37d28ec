//! What the handles of one guarded pool share.

use std::sync::Arc;

use super::adapter::Adapter;
use super::tasks::Background;
use crate::gate::Gate;

pub(crate) struct Shared<A: Adapter> {
    pub(crate) adapter: Arc<A>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) background: Background,
}

impl<A: Adapter> Shared<A> {
    pub(crate) fn new(adapter: A, gate: Gate) -> Arc<Self> {
        Arc::new(Self {
            adapter: Arc::new(adapter),
            gate: Arc::new(gate),
            background: Background::default(),
        })
    }
}
