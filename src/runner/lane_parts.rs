//! The parts of the batch lane of a run.

use std::sync::Arc;

use crate::batches::Lane;
use crate::domain::{Job, Planned, PoolId};
use crate::plan::Rejected;

/// Plans a row again after it was read back from the files of a batch.
pub(super) type Replan = Box<dyn FnMut(Job) -> Result<Planned, Box<Rejected>> + Send>;

/// The parts of the batch lane of a run.
pub struct LaneParts {
    /// The lane, with the batches that earlier runs left open.
    pub lane: Lane,
    /// Plans a row again.
    pub replan: Replan,
    /// The route of the calls; it identifies the endpoint.
    pub route: Arc<PoolId>,
    /// Whether rows that must be sent again are left for a later run.
    pub leaves_rows: bool,
}
