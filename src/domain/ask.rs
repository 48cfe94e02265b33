//! What is sent for a row at this moment.
//!
//! A row is not its request. The row ([`super::Job`]) always keeps its label, its key and what it asked. What is sent for it
//! may change. After an answer that breaks its schema comes a request to repair it, after a truncated one a request with
//! more room, after a failure the same request on another route. Each of these is a new `Ask` of the same job.

use std::sync::Arc;

use super::{Cost, Expense, PoolId, Request, Terms};

/// What is sent for a row at this moment, where to, and what it is expected to cost.
#[derive(Clone, Debug)]
pub struct Ask {
    /// What is sent, without its wire form. The first ask of a row shares the bytes of [`super::Job::request`].
    pub request: Request,
    /// The model, as written in `request`.
    pub model: Arc<str>,
    /// On which terms.
    pub terms: Terms,
    /// The route: provider and account, which name an endpoint, and the pool of limits it counts against there.
    pub pool: Arc<PoolId>,
    /// Estimated cost: one request, uncached input by text statistics (not yet calibrated), output by `max_tokens`.
    pub cost: Cost,
    /// What one answer to it costs; `None` when its model has no price. It is computed from the request, so another request
    /// needs a new computation.
    pub expense: Option<Expense>,
    /// The most output tokens it may produce.
    pub max_tokens: u32,
    /// Which predictions it shares: rows with the same template, system prompt and `max_tokens` get answers of similar length.
    pub template: u64,
    /// Length of the request body in bytes, without what the provider adds before it is sent.
    pub body_bytes: u32,
    /// Why it is sent.
    pub purpose: Purpose,
}

/// Why a request is sent for a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// The row's own request. Tries after a fault or a limit are the same ask again, not a new one.
    #[default]
    First,
    /// An answer failed its policy, and the model is told why.
    Repair,
    /// An answer was truncated, and the same is asked with a larger `max_tokens`.
    MoreRoom,
    /// An answer was truncated, and the model is asked to continue.
    Continue,
    /// The row's own request again, on another route.
    Fallback,
    /// No row: shows whether the endpoint works.
    Canary,
}

/// How a request travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Lane {
    /// One request, one answer.
    #[default]
    Online,
    /// As a part of a Message Batch.
    Batch,
}

impl Lane {
    /// Returns the name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Batch => "batch",
        }
    }
}
