//! The current request of a row: what is sent for the row at this moment.
//!
//! A row and its request are different things. The row ([`super::Job`]) always keeps its label, its key and its own
//! request. The request that is sent may change. If an answer does not fit its schema, a request to repair the answer
//! is sent. If an answer is truncated, a request that allows a longer answer is sent. After a failure, the same request
//! may be sent on another route. Each of these is a new `Ask` of the same job.

use std::sync::Arc;

use super::{Caching, Cost, Expense, Interval, Money, PoolId, Prefixes, Request, Terms};

/// A request for a row, with its route and its expected cost.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The request. Before it is sent, the provider converts it to the form that the API expects. The first ask of a
    /// row shares the bytes of [`super::Job::request`].
    pub request: Request,
    /// The model, as written in `request`.
    pub model: Arc<str>,
    /// The terms of the request.
    pub terms: Terms,
    /// The route. Provider and account identify the endpoint. The whole id identifies the limits that apply to the
    /// request at this endpoint.
    pub pool: Arc<PoolId>,
    /// The estimated cost. It consists of one request, the input tokens estimated from its text, and `max_tokens`
    /// output tokens. The estimate assumes that no input is cached. It does not use the answers of this run.
    pub cost: Cost,
    /// The estimated input tokens as an interval. `cost` contains the likely value of this interval.
    pub input_tokens: Interval<u32>,
    /// The cost of one answer to this request; `None` when its model has no price. The cost is computed from the
    /// request, so a policy that changes the request must compute the cost again.
    pub expense: Option<Expense>,
    /// The highest number of output tokens that the answer may have.
    pub max_tokens: u32,
    /// Rows with the same number share their predictions. They have the same template, system prompt and `max_tokens`,
    /// so their answers have similar lengths.
    pub template: u64,
    /// Length of the request body in bytes, before the provider adds anything to it.
    pub body_bytes: u32,
    /// Why the request is sent.
    pub purpose: Purpose,
    /// The first request for the row, if this request is a later request for the row.
    pub base: Option<Box<Request>>,
    /// How the schema for the answer is put into the request; `None` without a schema.
    pub rung: Option<Rung>,
    /// The prefixes of the request that the prompt cache may keep; `None` if there is no such prefix.
    pub prefixes: Option<Arc<Prefixes>>,
    /// Whether the row has cache marks of its own (`cache_control`).
    pub has_own_marks: bool,
}

impl Ask {
    /// Raises the highest cost of an answer in each lane: the request is marked, and `lifetime` is the longest lifetime
    /// of its marks.
    pub(crate) fn expect_writes(&mut self, prefixes: &Prefixes, lifetime: Caching) {
        let [minutes, hour] = prefixes.extra_most;
        if let Some(expense) = &mut self.expense {
            let more = match lifetime {
                Caching::None => Money::ZERO,
                Caching::FiveMinutes => minutes,
                Caching::Hour => hour,
            };
            expense.most += more;
            expense.most_in_batch += more.half();
        }
    }
}

/// Why a request is sent for a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// The row's own request. A retry after a fault or a limit uses the same ask, not a new ask.
    #[default]
    First,
    /// The policy did not accept an answer, and the model is told why.
    Repair,
    /// The policy did not accept an answer, and the same request is sent once more.
    Again,
    /// An answer was truncated, and the same request is sent with a larger `max_tokens`.
    MoreRoom,
    /// An answer was truncated, and the model is asked to continue.
    Continue,
    /// The API paused an answer, and is asked to continue it.
    Unpause,
    /// The row's own request again, on another route or to another model.
    Fallback,
    /// A canary: it belongs to no row, and shows whether the endpoint works.
    Canary,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 8] = [
        Self::First,
        Self::Repair,
        Self::Again,
        Self::MoreRoom,
        Self::Continue,
        Self::Unpause,
        Self::Fallback,
        Self::Canary,
    ];

    /// Returns the name that files use.
    pub fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Repair => "repair",
            Self::Again => "again",
            Self::MoreRoom => "more_room",
            Self::Continue => "continue",
            Self::Unpause => "unpause",
            Self::Fallback => "fallback",
            Self::Canary => "canary",
        }
    }

    /// Returns the purpose with this name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.name() == name)
    }
}

/// How a schema for the answer is put into a request. The first rung that the model supports is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rung {
    /// Structured output: the API makes the model follow the schema.
    Format,
    /// A tool that the model must call, with `strict`: the API makes the input of the call follow the schema.
    StrictTool,
    /// A tool that the model must call. Its input may break the schema.
    Tool,
    /// A text that asks for JSON of this schema.
    Instruction,
}

impl Rung {
    /// Every rung, the best first.
    pub const ALL: [Self; 4] = [Self::Format, Self::StrictTool, Self::Tool, Self::Instruction];

    /// Returns the name that files use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Format => "format",
            Self::StrictTool => "strict_tool",
            Self::Tool => "tool",
            Self::Instruction => "instruction",
        }
    }

    /// Returns the rung with this name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rung| rung.name() == name)
    }
}
