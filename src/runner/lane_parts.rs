//! The parts of the batch lane (the part of a run that sends rows in batches).

use std::sync::Arc;

use crate::batches::Lane;
use crate::domain::{Job, Planned, PoolId};
use crate::plan::Rejected;

/// A function that plans a row again after the row was read back from the files of a batch.
pub(super) type Replan = Box<dyn FnMut(Job) -> Result<Planned, Box<Rejected>> + Send>;

/// The parts of the batch lane (the part of a run that sends rows in batches).
pub struct LaneParts {
    /// The batch lane, with the batches that earlier runs left open.
    pub lane: Lane,
    /// The function that plans a row again.
    pub replan: Replan,
    /// The pool id that the calls use; it identifies the endpoint.
    pub route: Arc<PoolId>,
    /// Whether rows are left for a later run if they must be sent again.
    pub leaves_rows: bool,
}
