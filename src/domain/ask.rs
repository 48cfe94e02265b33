//! The current request of a row: the request that is in flight, or the request that will be sent next.
//!
//! A row and its request are different things. The row ([`super::Job`]) always keeps its label, its key and its own
//! request. The request that is sent for the row can change. If an answer does not fit its schema, a request to repair
//! the answer is sent. If an answer is truncated, the program sends a request that allows a longer answer. After a
//! failure, the same request can be sent on another route, for example to another provider. Each of these requests is a
//! new `Ask` of the same job.

use std::sync::Arc;

use super::{Caching, Cost, Expense, Interval, PoolId, Prefixes, Request, Terms};

/// A request for a row, with its route and its expected cost.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The request, in the program's own form. Before the request is sent, the provider's code converts it to the form
    /// that the API expects. The first `Ask` of a row shares the bytes of [`super::Job::request`].
    pub request: Request,
    /// The model, as written in `request`.
    pub model: Arc<str>,
    /// The terms of the request, for example its speed of service. The price depends on these terms.
    pub terms: Terms,
    /// The route. The provider and the account in this id identify the endpoint. The whole id names the pool (the
    /// limits that apply to the request at this endpoint).
    pub pool: Arc<PoolId>,
    /// The estimated amounts that the request takes from the limits. The amounts are one request, `max_tokens` output
    /// tokens, and the input tokens as estimated from the text. The estimate assumes that no input is cached. The
    /// estimate does not use the answers of this run.
    pub cost: Cost,
    /// The estimated input tokens as an interval. `cost` contains the likely value of this interval.
    pub input_tokens: Interval<u32>,
    /// The cost of one answer to this request; `None` if the request's model has no price. The cost is computed from
    /// the request, so code that changes the request must compute the cost again.
    pub expense: Option<Expense>,
    /// The highest number of output tokens that the request allows for the answer.
    pub max_tokens: u32,
    /// The id of the row's template. Rows with the same id have the same template, system prompt and `max_tokens`. The
    /// answers to these rows have similar lengths, so the rows share one prediction of the length.
    pub template: u64,
    /// The length of the request body in bytes, before the provider's code adds anything to the body.
    pub body_bytes: u32,
    /// The purpose of the request.
    pub purpose: Purpose,
    /// The first request for the row; `None` if this `Ask` is the first request.
    pub base: Option<Box<Request>>,
    /// How the schema for the answer is put into the request; `None` without a schema.
    pub schema_method: Option<SchemaMethod>,
    /// The prefixes of the request that the prompt cache can keep; `None` if there is no such prefix.
    pub prefixes: Option<Arc<Prefixes>>,
    /// Whether the row has cache marks of its own (`cache_control`).
    pub has_own_marks: bool,
}

impl Ask {
    /// Raises the highest cost of an online answer by the cost of writing the marked prefixes to the prompt cache. The
    /// highest cost in a batch does not change, because the program adds no cache marks to requests in batches.
    /// `lifetime` is the longest lifetime of the request's cache marks.
    pub(crate) fn expect_writes(&mut self, prefixes: &Prefixes, lifetime: Caching) {
        if let Some(expense) = &mut self.expense {
            expense.most += prefixes.extra_most_of(lifetime);
        }
    }

    /// Makes sure that the program adds no cache marks to the request. Marks of the row itself stay.
    pub(crate) fn leave_unmarked(&mut self) {
        let Some(prefixes) = self.prefixes.take_if(|prefixes| !prefixes.are_own()) else { return };
        let longest = prefixes.levels.iter().map(|level| level.lifetime).max().unwrap_or_default();
        if let Some(expense) = &mut self.expense {
            expense.most = expense.most.less(prefixes.extra_most_of(longest));
        }
    }
}

/// The purpose of a request that is sent for a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// The row's own request is sent. A retry after a fault or a limit also has this purpose, because it sends the
    /// row's own request again.
    #[default]
    First,
    /// An answer did not fit its schema or broke another rule, and a new request tells the model what is wrong.
    Repair,
    /// An answer did not fit its schema or broke another rule, and the same request is sent again.
    Again,
    /// An answer was truncated, and the same request is sent with a larger `max_tokens`.
    MoreRoom,
    /// An answer was truncated, and the model is asked to continue.
    Continue,
    /// The API paused an answer, and the request asks the API to continue the answer.
    Unpause,
    /// The row's own request is sent again, on another route or to another model.
    Fallback,
    /// A canary is sent: a request that belongs to no row and tests whether the endpoint works.
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

    /// Returns the name of this purpose in files.
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

/// The methods to put a schema for the answer into a request, from the best to the weakest. The program uses the first
/// method that the model supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SchemaMethod {
    /// Structured output: the API makes the model follow the schema.
    Format,
    /// A tool with `strict` that the model must call. Because of `strict`, the input of the call follows the schema.
    StrictTool,
    /// A tool without `strict` that the model must call. The input of the call can differ from the schema.
    Tool,
    /// A text in the prompt, which asks for JSON that fits the schema.
    Instruction,
}

impl SchemaMethod {
    /// All methods, from the best to the weakest.
    pub const ALL: [Self; 4] = [Self::Format, Self::StrictTool, Self::Tool, Self::Instruction];

    /// Returns the name of the method, as it is written in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Format => "format",
            Self::StrictTool => "strict_tool",
            Self::Tool => "tool",
            Self::Instruction => "instruction",
        }
    }

    /// Returns the method with this name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|schema_method| schema_method.name() == name)
    }
}
