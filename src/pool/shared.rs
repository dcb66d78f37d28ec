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
