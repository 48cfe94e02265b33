//! Says what the simulated model answers to each row, and which result is expected for the row.

use std::collections::BTreeMap;

use claude_batch::domain::{ErrorClass, JobId, Origin, Params, Planned};
use claude_batch::plan::Planner;
use claude_batch::source::Row;
use fastrand::Rng;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// The model of all rows.
pub const MODEL: &str = "claude-haiku-4-5";
/// The model that is asked after a refusal.
pub const OTHER: &str = "claude-opus-4-8";
/// `max_tokens` of all rows. A follow-up request allows an answer with up to four times as many tokens.
pub const MAX_TOKENS: u32 = 300;
/// The schema of all answers.
pub const SCHEMA: &str = r#"{"type":"object","properties":{"name":{"type":"string"},"score":{"type":"integer"},
    "tags":{"type":"array","items":{"type":"string"}}},"required":["name","score"],"additionalProperties":false}"#;

/// What the model does with a row. The prompt of the row contains the name of this behaviour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The model gives a good answer.
    Plain,
    /// The first answer is cut off. With a higher `max_tokens`, the answer is complete.
    Cut,
    /// The answer is always cut off.
    AlwaysCut,
    /// The first model refuses at once, and the second model answers.
    Refused,
    /// The first model refuses after some tokens, and the second model answers.
    RefusedLate,
    /// Every model refuses.
    AlwaysRefused,
    /// The first answer lacks a member.
    Broken,
    /// The first answer is not JSON.
    NoJson,
    /// Every answer lacks a member.
    AlwaysBroken,
    /// The first answer is cut off. The second answer, with a higher `max_tokens`, lacks a member.
    CutThenBroken,
    /// The model refuses, and the answer of the other model lacks a member.
    RefusedThenBroken,
    /// The first answer is cut off. With a higher `max_tokens`, the model refuses. Then the other model answers, but
    /// its answer lacks a member.
    ThreeFaults,
}

use Kind::{
    AlwaysBroken, AlwaysCut, AlwaysRefused, Broken, Cut, CutThenBroken, NoJson, Plain, Refused, RefusedLate,
    RefusedThenBroken, ThreeFaults,
};

/// The expected result of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fate {
    /// The error class of the failure; `None` if the row is answered.
    pub class: Option<ErrorClass>,
    /// The number of answers that are paid for.
    pub answers: u64,
}

impl Kind {
    /// How many of a thousand rows belong to each kind: 5 % are cut off, 1 % are refused, and 8 % break the schema. A
    /// row with several faults counts as its first fault.
    const SHARES: [(Self, u32); 11] = [
        (Cut, 46),
        (CutThenBroken, 2),
        (ThreeFaults, 1),
        (AlwaysCut, 1),
        (Refused, 5),
        (RefusedLate, 3),
        (RefusedThenBroken, 1),
        (AlwaysRefused, 1),
        (Broken, 60),
        (NoJson, 18),
        (AlwaysBroken, 2),
    ];

    fn random(rng: &mut Rng) -> Self {
        let mut drawn = rng.u32(..1_000);
        for (kind, share) in Self::SHARES {
            match drawn.checked_sub(share) {
                Some(rest) => drawn = rest,
                None => return kind,
            }
        }
        Plain
    }

    fn mark(self) -> String {
        format!("<{self:?}>")
    }

    /// Returns the error class that a row gets if no further request is sent for it.
    pub fn first_fault(self) -> Option<ErrorClass> {
        match self {
            Plain => None,
            Cut | AlwaysCut | CutThenBroken | ThreeFaults => Some(ErrorClass::Truncated),
            Refused | RefusedLate | AlwaysRefused | RefusedThenBroken => Some(ErrorClass::Refused),
            Broken | NoJson | AlwaysBroken => Some(ErrorClass::InvalidOutput),
        }
    }

    /// Returns the expected result of a row if a run sends up to two follow-up requests to get a good answer.
    pub fn mended(self) -> Fate {
        let fate = |class, answers| Fate { class, answers };
        match self {
            Plain => fate(None, 1),
            Cut | Refused | RefusedLate | Broken | NoJson => fate(None, 2),
            CutThenBroken | RefusedThenBroken => fate(None, 3),
            // `max_tokens` is raised in at most one follow-up request.
            AlwaysCut => fate(Some(ErrorClass::Truncated), 2),
            AlwaysRefused => fate(Some(ErrorClass::Refused), 2),
            AlwaysBroken | ThreeFaults => fate(Some(ErrorClass::InvalidOutput), 3),
        }
    }
}

/// Returns the file that scripts the answers of the simulated API.
pub fn answers() -> String {
    let cut = |kind: Kind, below: Option<u32>| {
        let rule = json!({"contains": kind.mark(), "truncated": true});
        with(rule, "max_tokens_below", below.map(Value::from))
    };
    let refused = |kind: Kind, after: u32, model: Option<&str>| {
        let rule = json!({"contains": kind.mark(), "refusal": "cyber", "after": after});
        with(rule, "models", model.map(|model| json!([model])))
    };
    let broken = |kind: Kind, how: &str, turn: Option<u32>| {
        with(json!({"contains": kind.mark(), "schema": how}), "turn", turn.map(Value::from))
    };
    let (more, first) = (Some(MAX_TOKENS + 1), Some(1));
    let rules = [
        cut(Cut, more),
        cut(AlwaysCut, None),
        refused(Refused, 0, Some(MODEL)),
        refused(RefusedLate, 4, Some(MODEL)),
        refused(AlwaysRefused, 3, None),
        broken(Broken, "broken", first),
        broken(NoJson, "not_json", first),
        broken(AlwaysBroken, "broken", None),
        cut(CutThenBroken, more),
        broken(CutThenBroken, "broken", first),
        refused(RefusedThenBroken, 5, Some(MODEL)),
        broken(RefusedThenBroken, "broken", first),
        cut(ThreeFaults, more),
        refused(ThreeFaults, 2, Some(MODEL)),
        broken(ThreeFaults, "broken", first),
    ];
    json!({"rules": rules}).to_string()
}

fn with(mut rule: Value, name: &str, value: Option<Value>) -> Value {
    if let Some(value) = value {
        rule[name] = value;
    }
    rule
}

/// Returns random rows, and a map from the label of each row to its kind.
pub fn rows(count: u64, rng: &mut Rng, planner: &mut Planner) -> (Vec<Planned>, BTreeMap<String, Kind>) {
    let kinds: Vec<Kind> = (0..count).map(|_| Kind::random(rng)).collect();
    let planned = kinds.iter().zip(0..).map(|(kind, at)| row(at, &label(at), &label(at), *kind, planner)).collect();
    (planned, kinds.iter().zip(0..).map(|(kind, at)| (label(at), *kind)).collect())
}

/// The label of a row.
pub fn label(number: u64) -> String {
    format!("row-{number}")
}

/// Returns a row. Rows with the same kind and the same question have equal requests.
pub fn row(number: u64, label: &str, question: &str, kind: Kind, planner: &mut Planner) -> Planned {
    let body = json!({
        "model": MODEL,
        "max_tokens": MAX_TOKENS,
        "messages": [{"role": "user", "content": format!("{} {question}", kind.mark())}],
        "metadata": {"user_id": question},
    });
    let members: BTreeMap<Box<str>, Box<RawValue>> =
        serde_json::from_str(&body.to_string()).expect("a request is an object");
    let row = Row {
        origin: Origin { source: "in.jsonl".into(), line: number + 1 },
        custom_id: Some(label.to_owned()),
        params: Params(members.into_iter().collect()),
        extra: Params::default(),
        error: None,
        input: None,
    };
    planner.plan(row, JobId(number)).unwrap_or_else(|rejected| panic!("{}", rejected.message))
}
