//! The state of the batch lane (the part that sends rows in batches) in a run in progress.

use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;

use super::batch_calls::{BatchCalls, Reported};
use super::lane_parts::{LaneParts, Replan};
use crate::batches::Lane;
use crate::clock::RunClock;
use crate::domain::PoolId;
use crate::provider::Provider;
use crate::transport::Transport;

/// The batch lane (the part that sends rows in batches) of a run in progress.
pub(super) struct RunLane<T> {
    pub(super) lane: Lane,
    pub(super) calls: BatchCalls<T>,
    pub(super) replan: Replan,
    pub(super) route: Arc<PoolId>,
    pub(super) leaves_rows: bool,
    pub(super) is_stopped: bool,
    /// Whether the reporter was told of open batches.
    pub(super) is_shown: bool,
}

impl<T: Transport> RunLane<T> {
    pub(super) fn new(
        parts: LaneParts,
        transport: Arc<T>,
        provider: Arc<dyn Provider>,
        clock: RunClock,
        came: UnboundedSender<Reported>,
    ) -> Self {
        let LaneParts { lane, replan, route, leaves_rows } = parts;
        let calls = BatchCalls::new(transport, provider, lane.disk().clone(), clock, route.clone(), came);
        let (is_stopped, is_shown) = (false, false);
        Self { lane, calls, replan, route, leaves_rows, is_stopped, is_shown }
    }
}
