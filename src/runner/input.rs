//! The input of a run: a first look at all of it where that is possible, then row by row into the loop.
//!
//! Reading, parsing and planning happen on a thread of their own ([`feed`]), off the loop, behind a bounded channel: a
//! full channel stops the reader, so memory stays flat however long the input is. A seekable input is read twice. The
//! first time ([`survey`]) everything is read and planned and nothing kept but counts: so mistakes that concern every row,
//! repeated labels and changed rows are found before the first request, and the total is known. A pipe is read once.

use std::collections::{BTreeMap, HashSet};
use std::hash::BuildHasher;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::domain::{ErrorClass, Identity, Job, JobId, Origin, Planned};
use crate::journal::RowState;
use crate::plan::{DuplicateLabel, KeyCensus, LabelCensus, Planner, Rejected, Repeats, first_duplicate, is_suspect};
use crate::source::{self, BrokenRow, Input, Item, Options, Reader, SourceError};

/// What the input gives next.
#[derive(Debug)]
pub enum Fed {
    /// A row to be answered.
    Planned(Box<Planned>),
    /// A row that is not sent.
    Rejected(Box<Rejected>),
    /// A row that can't be used.
    Broken(Box<BrokenRow>),
    /// A row that an earlier run has finished.
    Skipped,
    /// Something a person should know.
    Warning(String),
    /// The input itself failed: no more rows come.
    Failed(String),
}

/// What is to be read.
#[derive(Clone, Debug)]
pub struct InputPlan {
    /// The inputs, in order.
    pub inputs: Vec<Input>,
    /// How they are read.
    pub options: Options,
    /// Rows left out at the start.
    pub skip: u64,
    /// Rows read at most, after those left out.
    pub limit: Option<u64>,
}

/// Says why a row must not be sent, if it must not.
pub type Refusal = Box<dyn Fn(&Planned) -> Option<String> + Send + Sync>;

/// What earlier runs know of rows, and what becomes of the rows they know.
pub struct Earlier {
    /// Asked by job.
    pub known: Box<dyn Fn(&Job) -> RowState + Send + Sync>,
    /// Whether failed rows are run again.
    pub reruns_failed: bool,
    /// Whether rows that have an answer to another request are run again.
    pub reruns_changed: bool,
    /// Says why a row must not be sent, if it must not: a row of unknown price under a budget.
    pub refuse: Refusal,
}

impl Earlier {
    /// Returns the knowledge of a first run.
    pub fn none() -> Self {
        Self {
            known: Box::new(|_| RowState::New),
            reruns_failed: false,
            reruns_changed: false,
            refuse: Box::new(|_| None),
        }
    }
}

/// What a first look found.
#[derive(Debug, Default)]
pub struct Survey {
    /// Rows, of any kind.
    pub rows: u64,
    /// Rows to be sent.
    pub to_send: u64,
    /// Rows that can't be used or sent.
    pub unusable: u64,
    /// The first of them: where each is and what is wrong.
    pub unusable_shown: Vec<String>,
    /// Rows without a name of their own.
    pub unnamed: u64,
    /// Rows with an answer.
    pub done: u64,
    /// Rows that have failed before and are not run again.
    pub failed_before: u64,
    /// Rows that have an answer to another request.
    pub changed: u64,
    /// The first of them.
    pub first_changed: Option<String>,
    /// Per model: rows to be sent and what they come to.
    pub models: BTreeMap<Arc<str>, ModelSum>,
    /// A label that two rows share.
    pub duplicate: Option<DuplicateLabel>,
    /// Keys that occur more than once, for the second reading.
    pub repeats: Repeats,
    /// Warnings, each once.
    pub warnings: Vec<String>,
}

/// Rows of one model, summed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ModelSum {
    /// Rows.
    pub rows: u64,
    /// Estimated input tokens.
    pub input_tokens: u64,
    /// `max_tokens`, summed: the most they can produce.
    pub max_output_tokens: u64,
}

/// Returns whether every input can be read twice.
pub fn is_seekable(plan: &InputPlan) -> bool {
    plan.inputs.iter().all(source::is_seekable)
}

/// Reads everything once and keeps counts, and what is wrong with the first `shown` rows that can't be used.
///
/// # Errors
/// The first [`SourceError`].
pub fn survey(plan: &InputPlan, planner: &mut Planner, earlier: &Earlier, shown: usize) -> Result<Survey, SourceError> {
    let mut survey = Survey::default();
    let mut labels = LabelCensus::default();
    let mut keys = KeyCensus::default();
    let walked = walk(plan, planner, &mut |step| {
        match step {
            Walked::Planned(planned) => {
                match planned.job.identity {
                    Identity::Named => labels.add(&planned.job.custom_id),
                    Identity::Nth(_) => {
                        survey.unnamed += 1;
                        keys.add(planned.job.key);
                    }
                }
                match (earlier.refuse)(&planned) {
                    Some(message) => survey.add_unusable(shown, || at(&planned.job.origin, &message)),
                    None => survey.add(&planned, earlier),
                }
            }
            Walked::Rejected(rejected) => {
                let Rejected { origin, message, .. } = &*rejected;
                if rejected.identity == Identity::Named {
                    labels.add(&rejected.custom_id);
                }
                survey.add_unusable(shown, || at(origin, message));
            }
            Walked::Broken(broken) => survey.add_unusable(shown, || describe(&broken)),
            Walked::Warning(text) => survey.warn(text),
        }
        true
    });
    walked?;
    survey.repeats = keys.finish();
    let suspects = labels.finish();
    if !suspects.is_empty() {
        survey.duplicate = find_duplicate(plan, planner, &suspects)?;
    }
    Ok(survey)
}

/// Reads rows into the loop until the input ends or nobody listens. Run it on a thread of its own.
pub fn feed(plan: &InputPlan, planner: &mut Planner, earlier: &Earlier, rows: &mpsc::Sender<Fed>) {
    // A pipe can't be looked at first: the hashes of its labels are remembered as they come.
    let mut labels = (!is_seekable(plan)).then(HashSet::<u64>::new);
    let hasher = std::hash::RandomState::new();
    let result = walk(plan, planner, &mut |step| {
        let fed = match step {
            Walked::Planned(planned) => {
                let is_repeated = labels.as_mut().is_some_and(|seen| {
                    planned.job.identity == Identity::Named && !seen.insert(hasher.hash_one(&planned.job.custom_id))
                });
                if is_repeated { repeated(*planned) } else { by_state(planned, earlier) }
            }
            Walked::Rejected(rejected) => Fed::Rejected(rejected),
            Walked::Broken(broken) => Fed::Broken(broken),
            Walked::Warning(text) => Fed::Warning(text),
        };
        rows.blocking_send(fed).is_ok()
    });
    if let Err(error) = result {
        // Nobody listens any more when this fails, so nobody needs to be told.
        let _ = rows.blocking_send(Fed::Failed(error.to_string()));
    }
}

fn by_state(planned: Box<Planned>, earlier: &Earlier) -> Fed {
    if let Some(message) = (earlier.refuse)(&planned) {
        return rejected(*planned, message);
    }
    match (earlier.known)(&planned.job) {
        RowState::New => Fed::Planned(planned),
        RowState::Done => Fed::Skipped,
        RowState::Failed(_) if earlier.reruns_failed => Fed::Planned(planned),
        RowState::Failed(_) => Fed::Skipped,
        RowState::Changed { .. } if earlier.reruns_changed => Fed::Planned(planned),
        RowState::Changed { .. } => {
            let message = "this row has an answer to another request; to run it again add --rerun-changed".to_owned();
            rejected(*planned, message)
        }
    }
}

/// Rejects a row whose label is taken. It gets the label of its place: with its own, the other row's answer would be
/// its answer, too.
fn repeated(mut planned: Planned) -> Fed {
    let Origin { source, line, .. } = &planned.job.origin;
    let place = format!("{source}:{line}");
    let label = std::mem::replace(&mut planned.job.custom_id, place);
    rejected(planned, format!("the id {label:?} was used by an earlier row; ids must differ"))
}

fn rejected(planned: Planned, message: String) -> Fed {
    let Job { custom_id, key, identity, params, extra, origin, .. } = *planned.job;
    let class = ErrorClass::InvalidInput;
    Fed::Rejected(Box::new(Rejected { custom_id, origin, key, identity, params, extra, class, message }))
}

fn at(origin: &Origin, message: &str) -> String {
    format!("{}:{}: {message}", origin.source, origin.line)
}

fn describe(broken: &BrokenRow) -> String {
    let BrokenRow { origin, column, message, .. } = broken;
    match column {
        Some(column) => format!("{}:{}:{column}: {message}", origin.source, origin.line),
        None => at(origin, message),
    }
}

fn find_duplicate(
    plan: &InputPlan,
    planner: &mut Planner,
    suspects: &[u64],
) -> Result<Option<DuplicateLabel>, SourceError> {
    let mut named = Vec::new();
    walk(plan, planner, &mut |step| {
        let (identity, label, origin) = match step {
            Walked::Planned(planned) => (planned.job.identity, planned.job.custom_id, planned.job.origin),
            Walked::Rejected(rejected) => (rejected.identity, rejected.custom_id, rejected.origin),
            Walked::Broken(_) | Walked::Warning(_) => return true,
        };
        if identity == Identity::Named && is_suspect(&label, suspects) {
            named.push((label, origin));
        }
        true
    })?;
    Ok(first_duplicate(named, suspects))
}

impl Survey {
    fn add(&mut self, planned: &Planned, earlier: &Earlier) {
        self.rows += 1;
        let is_sent = match (earlier.known)(&planned.job) {
            RowState::New => true,
            RowState::Done => {
                self.done += 1;
                false
            }
            RowState::Failed(_) => {
                self.failed_before += u64::from(!earlier.reruns_failed);
                earlier.reruns_failed
            }
            RowState::Changed { .. } => {
                self.changed += 1;
                self.first_changed.get_or_insert_with(|| {
                    let job = &planned.job;
                    format!("{:?} ({}:{})", job.custom_id, job.origin.source, job.origin.line)
                });
                earlier.reruns_changed
            }
        };
        if is_sent {
            self.to_send += 1;
            let sum = self.models.entry(planned.job.model.clone()).or_default();
            sum.rows += 1;
            sum.input_tokens += u64::from(planned.cost.input_tokens);
            sum.max_output_tokens += u64::from(planned.max_tokens);
        }
    }

    fn add_unusable(&mut self, shown: usize, describe: impl FnOnce() -> String) {
        self.rows += 1;
        self.unusable += 1;
        if self.unusable_shown.len() < shown {
            self.unusable_shown.push(describe());
        }
    }

    fn warn(&mut self, text: String) {
        if !self.warnings.contains(&text) {
            self.warnings.push(text);
        }
    }
}

enum Walked {
    Planned(Box<Planned>),
    Rejected(Box<Rejected>),
    Broken(Box<BrokenRow>),
    Warning(String),
}

/// Reads and plans row after row until the inputs end or `visit` returns `false`.
fn walk(plan: &InputPlan, planner: &mut Planner, visit: &mut dyn FnMut(Walked) -> bool) -> Result<(), SourceError> {
    let mut number = 0;
    for input in &plan.inputs {
        let mut reader = source::open(input, &plan.options)?;
        if !walk_one(plan, &mut reader, planner, &mut number, visit)? {
            break;
        }
    }
    Ok(())
}

fn walk_one(
    plan: &InputPlan,
    reader: &mut Reader,
    planner: &mut Planner,
    number: &mut u64,
    visit: &mut dyn FnMut(Walked) -> bool,
) -> Result<bool, SourceError> {
    while let Some(item) = reader.next() {
        let item = item?;
        if plan.limit.is_some_and(|limit| *number >= plan.skip.saturating_add(limit)) {
            return Ok(false);
        }
        let id = JobId(*number);
        *number += 1;
        let is_left_out = id.0 < plan.skip;
        let walked = match item {
            // A row that is left out is planned all the same: it counts among the rows that are equal to it.
            Item::Row(row) => match planner.plan(*row, id) {
                Ok(planned) => Walked::Planned(Box::new(planned)),
                Err(rejected) => Walked::Rejected(rejected),
            },
            Item::Broken(broken) => Walked::Broken(broken),
            Item::Unusable(_) => continue,
        };
        let warnings = reader.take_warnings();
        let notices = planner.take_notices();
        if is_left_out {
            continue;
        }
        for text in warnings.into_iter().chain(notices.into_iter().map(|notice| notice.to_string())) {
            if !visit(Walked::Warning(text)) {
                return Ok(false);
            }
        }
        if !visit(walked) {
            return Ok(false);
        }
    }
    // Some things are known at the end only: that a file changed while it was read.
    Ok(reader.take_warnings().into_iter().all(|text| visit(Walked::Warning(text))))
}
