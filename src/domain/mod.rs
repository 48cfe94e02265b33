//! The basic types of the program: jobs, costs, limits, outcomes, events.
//!
//! This module contains plain data and the rules for this data. The module uses no file, socket, clock or protocol.
//! Every other module is allowed to use `domain`. `domain` uses no other module, except for [`crate::clock::Instant`].

mod alike;
mod ask;
mod cost;
mod error_class;
pub(crate) mod event;
mod failure;
mod fallback;
mod fault;
mod halt;
mod interval;
mod job;
pub(crate) mod json;
mod key;
mod lane;
mod limit_use;
mod limits;
mod member_finder;
mod message;
mod outcome;
mod params;
mod prefix;
mod provider_features;
mod provider_kind;
mod reason;
mod request;
mod request_rules;
mod row;
mod run_forecast;
pub(crate) mod secrets;
mod shown;
mod taken;
mod verdict;

pub use alike::{Alike, Group};
pub use ask::{Ask, Purpose, SchemaMethod};
pub use cost::{Caching, Cost, Dimension, Expense, Money, Usage, UsageBound};
pub use error_class::ErrorClass;
pub use event::{
    Backoffs, BatchesEnd, BatchesStatus, EventBody, FailedRow, Outage, PoolStatus, RetriedRow, RunEvent, SteeredBy,
};
pub use failure::{Failure, LimitKind, StreamFault};
pub use fallback::{FallbackCase, FallbackOn};
pub use fault::{WireErrorKind, WriteCause, WriteFault, WriteTarget};
pub use halt::HaltReason;
pub use interval::Interval;
pub use job::{Job, JobId, Origin, Planned};
pub use key::{Identity, JobKey};
pub use lane::{Lane, LaneChoice};
pub use limit_use::LimitUse;
pub use limits::{LearnedPool, LimitSignal, ModelClass, PoolId, RateLimits, RateSignals, Speed, Tier};
pub(crate) use member_finder::{MemberFinder, top_level_value};
pub use message::{ANSWER_TOOL, Message, Quality};
pub use outcome::{AttemptRecord, Ended, Outcome};
pub(crate) use outcome::{cost_of, usage_of, without_cache_of};
pub use params::{Merged, Params};
pub use prefix::{Level, MarkPlace, Marked, Marks, PrefixId, Prefixes, PromptCache};
pub use provider_features::ProviderFeatures;
pub use provider_kind::ProviderKind;
pub use reason::Reason;
pub(crate) use request::{MAX_BODY_BYTES, too_large_words};
pub use request::{Request, Terms};
pub use request_rules::{MemberPath, RequestRules};
pub use row::{KeyPart, RowId};
pub use run_forecast::RunForecast;
pub use secrets::Secrets;
pub use shown::quoted;
pub(crate) use shown::{causes, shortened, shortened_to};
pub(crate) use taken::is_simulated_id;
pub use taken::{StoredAnswer, Taken, TakenFrom};
pub use verdict::Verdict;
