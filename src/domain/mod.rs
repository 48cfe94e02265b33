//! The words of the program: jobs, costs, limits, outcomes, events.
//!
//! Plain data and the rules that hold for it. Knows no file, socket, clock or foreign protocol; every other module may
//! use it and it uses none of them (beside [`crate::clock::Instant`]).

pub mod ask;
pub mod cost;
pub mod event;
pub mod fault;
pub mod job;
pub(crate) mod json;
pub mod limits;
pub mod merged;
pub mod outcome;
pub mod request;
pub mod row;
pub mod secrets;
pub mod shown;

pub use ask::{Ask, Lane, Purpose};
pub use cost::{Caching, Cost, Dimension, Expense, Money, Usage, UsageBound};
pub use event::{Backoffs, EventBody, FailedRow, Outage, PoolStatus, RunEvent};
pub use fault::{WireErrorKind, WriteCause, WriteFault, WriteTarget};
pub use job::{Identity, Job, JobId, JobKey, Origin, Params, Planned};
pub use limits::{LimitSignal, ModelClass, PoolId, RateLimits, RateSignals, Speed, Tier};
pub use merged::Merged;
pub use outcome::{
    AttemptRecord, Ended, ErrorClass, Failure, HaltReason, LimitKind, Message, Outcome, Quality, Reason, StreamFault,
    Verdict,
};
pub use request::{Request, Terms};
pub use row::{KeyPart, RowId};
pub use secrets::Secrets;
pub use shown::{causes, quoted, shortened};
