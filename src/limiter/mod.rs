//! Rate limits: buckets and pools of buckets. When a request ends, its reservation is replaced by its real usage.
//!
//! This module is pure: callers pass `now`. This module owns the arithmetic of limits: it reserves amounts, replaces
//! them with the real usage, corrects levels, changes limits, and makes pools wait. This module knows nothing of
//! queues, concurrency windows, retries or the wire format.
//!
//! A [`Bucket`] is a token bucket. The crate `governor` decides which requests the bucket grants; its algorithm is
//! GCRA. A `DimensionState` (`dimension`) is a bucket, together with what was learned about the server's own bucket. A
//! [`Pool`] contains all dimensions of one [`PoolId`](crate::domain::PoolId). A request is admitted by all dimensions
//! of its pool or by none.

mod admission;
mod bucket;
mod dimension;
mod drift;
mod headroom;
mod hidden;
mod pool;
mod production;
mod slow_start;
mod used;

pub use admission::{Admission, Reservation};
pub use bucket::Bucket;
pub use headroom::Headroom;
pub(crate) use pool::LONGEST_UNSAID_HOLD;
pub use pool::Pool;
