//! The survey: reads the whole input once before the run begins.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::{Alike, Identity, Money, Origin, Planned, PoolId, Quality, RateLimits, quoted};
use crate::journal::RowState;
use crate::plan::{
    CachePlan, DuplicateLabel, LabelCensus, Load, Planner, PrefixCensus, Rejected, Repeats, RequestCensus,
    first_duplicate, is_suspect,
};
use crate::source::{self, BrokenRow, Input, SourceError};

use super::places::{Layout, Places};
use super::planned_rows::{PlannedRows, RowDecision, Step};
use super::read_ahead::read_ahead;
use super::reading::{Read, Reading, RowPlace};
use super::{Earlier, InputPlan};
use crate::batches::Trials;
use crate::runner::Progress;

/// The result of a survey (the first reading of the whole input).
#[derive(Debug, Default)]
pub struct Survey {
    /// The number of all rows.
    pub rows: u64,
    /// The number of rows of each input, in the order of the inputs. The last inputs can be missing from the list.
    pub(crate) rows_of_inputs: Vec<u64>,
    /// The shapes (the kinds of requests) of the rows so far.
    pub(crate) shapes: Trials,
    /// The number of rows to be sent.
    pub(crate) to_send: u64,
    /// The number of rows that can't be read or can't be sent.
    pub(crate) unusable: u64,
    /// A map of the different faults of unusable rows. For each fault, it contains a count, the place of the first row
    /// with the fault, and the message about this row.
    pub(crate) faults: Alike<String>,
    /// A text about each of the first unusable rows, with its place and its fault.
    pub(crate) unusable_shown: Vec<String>,
    /// For each pair of `--map-model`, the number of rows for which the pair was used.
    pub(crate) mapped: BTreeMap<usize, u64>,
    /// The number of rows without a name of their own.
    pub(crate) unnamed: u64,
    /// The number of rows that already have an answer from an earlier run.
    pub(crate) done: u64,
    /// For each quality of answers: the number of rows that are run again because their answer has this quality. These
    /// rows are included in the rows to be sent.
    pub(crate) rerun: BTreeMap<Quality, u64>,
    /// How many rows are in batches that earlier runs left open.
    pub(crate) submitted: u64,
    /// The number of rows that failed before and are not run again.
    pub(crate) failed_before: u64,
    /// The number of rows that failed before and are run again.
    pub(crate) retried: u64,
    /// The number of answered rows whose request has changed since the answer.
    pub(crate) changed: u64,
    /// A description of the first answered row whose request has changed since the answer.
    pub(crate) first_changed: Option<String>,
    /// The number of rows that take their answer from earlier results. These rows are not included in the rows to be
    /// sent.
    pub(crate) reused: u64,
    /// With `--dedupe`: the number of rows that copy the answer of an equal row. These rows are not included in the
    /// rows to be sent.
    pub(crate) copied: u64,
    /// Without `--dedupe`: the number of rows to be sent that repeat the request of an earlier row.
    pub(crate) repeated: u64,
    /// With `--dedupe`: the keys that several rows share. The keys of rows with a label are included.
    pub(crate) equal: Repeats,
    /// The smallest budget with which at least one row can be sent. This budget is equal to the highest possible cost
    /// of the cheapest row. The value is `None` if no row has a price.
    pub(crate) cheapest: Option<Money>,
    /// For each model: the number of its rows to be sent, and sums over these rows.
    pub(crate) models: BTreeMap<Arc<str>, ModelSum>,
    /// Sums over all rows to be sent, and a sample of these rows.
    pub(crate) load: Load,
    /// The shared prefixes of the rows to be sent. In a run with batches, only rows that batches do not accept are
    /// included.
    pub prefixes: PrefixCensus,
    /// In a run with batches: the shared prefixes of the rows that batches accept.
    pub(crate) prefixes_of_batches: PrefixCensus,
    /// In a run with batches: the number of rows that batches do not accept.
    pub(crate) online_only: u64,
    /// Whether rows are sent in batches.
    pub(crate) in_batches: bool,
    /// The plan for the prompt cache. The plan is made after the survey. In a run with batches, the counts of the plan
    /// include only rows that batches do not accept.
    pub caching: Arc<CachePlan>,
    /// A label that two rows have; `None` if all labels are different.
    pub duplicate: Option<DuplicateLabel>,
    /// The keys that several unnamed rows share. Rows that `--skip` leaves out are included, because they are counted,
    /// too. The second reading of the input needs the keys of repeated rows.
    pub repeats: Repeats,
    /// Sizes and places of the rows to be sent.
    pub(crate) layout: Layout,
    /// Whether the reader can start at any row of the inputs.
    pub(crate) is_random_access: bool,
    /// The name of each stream, with the format that the program recognized in the stream.
    pub(crate) recognized: Vec<String>,
    /// The warnings about the input, without repetitions.
    pub(crate) warnings: Vec<String>,
    /// A description of the damage at which the input ends early; `None` if there is no damage. If there is damage, the
    /// counts include only the rows before the damage.
    pub(crate) damage: Option<String>,
}

/// The sums for one model, over the rows that will be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ModelSum {
    /// The number of rows of this model.
    pub(crate) rows: u64,
    /// The estimated input tokens of the rows of this model.
    pub(crate) input_tokens: u64,
    /// The largest `max_tokens` of the rows of this model.
    pub(crate) max_tokens: u32,
    /// The highest possible cost of this model's rows, with one paid answer per row. Rows without a price are not
    /// included.
    pub(crate) most: Money,
    /// The number of rows without a price.
    pub(crate) unpriced: u64,
}

/// Reads the whole input once, before the run begins. The survey remembers some counts, the faults of unusable rows,
/// and the first `shown` unusable rows.
///
/// If `progress` asks the survey to end, the survey ends early, and its counts are incomplete.
///
/// # Errors
/// Returns the first [`SourceError`] of the input. Damage after the first row ends the survey without an error.
pub fn survey(
    plan: &InputPlan,
    planner: &mut Planner,
    earlier: &Earlier,
    shown: usize,
    progress: &Progress,
) -> Result<Survey, SourceError> {
    let (mut survey, suspects) = std::thread::scope(|scope| {
        let mut rows = PlannedRows::new(read_ahead(plan, progress, scope), plan.skip);
        read_all(&mut rows, planner, earlier, shown, plan)
    })?;
    survey.is_random_access = plan.inputs.iter().all(|input| is_random_access(input, plan));
    if !survey.is_random_access {
        survey.layout = Layout::default();
    }
    if !suspects.is_empty() {
        let reading = Reading::whole(plan).take_while(|_| progress.on_row());
        survey.duplicate = find_duplicate(plan, reading, planner, &suspects)?;
    }
    Ok(survey)
}

/// Returns the survey, and the hashes of labels that two rows possibly share. In the returned survey, the field
/// `duplicate` is not set yet.
fn read_all<R: Iterator<Item = Result<Read, SourceError>>>(
    rows: &mut PlannedRows<R>,
    planner: &mut Planner,
    earlier: &Earlier,
    shown: usize,
    plan: &InputPlan,
) -> Result<(Survey, Vec<u64>), SourceError> {
    let shapes = Trials::new(earlier.proven.clone().unwrap_or_default());
    let mut survey =
        Survey { load: Load::keeping(plan.requests), in_batches: earlier.in_batches, shapes, ..Survey::default() };
    let mut labels = LabelCensus::of(plan.inputs.iter().map(Input::name).collect());
    let said = |origin: &Origin, label: &str, message: &str| match plan.is_copy_of_log {
        true => format!("row {label}: {message}"),
        false => at(origin, message),
    };
    let mut requests = if earlier.dedupes { RequestCensus::recognizing() } else { RequestCensus::counting() };
    loop {
        let Step { recognized, warnings, place, row, mapped } = match rows.next(planner, earlier) {
            Ok(Some(step)) => step,
            Ok(None) => break,
            Err(error @ SourceError::Damaged { .. }) if survey.rows > 0 => {
                survey.damage = Some(error.to_string());
                break;
            }
            Err(error) => return Err(error),
        };
        survey.recognized.extend(recognized);
        warnings.into_iter().for_each(|text| survey.warn(text));
        if let Some(pair) = mapped {
            *survey.mapped.entry(pair).or_default() += 1;
        }
        if let Some(RowPlace { input, .. }) = place {
            survey.rows_of_inputs.resize(survey.rows_of_inputs.len().max(input + 1), 0);
            survey.rows_of_inputs[input] += 1;
        }
        match row {
            None => {}
            Some(RowDecision::Done(named)) => {
                survey.note(&named.identity, &named.custom_id, &mut labels);
                survey.rows += 1;
                survey.done += 1;
                // Rows that come later can copy the answer of this row.
                if earlier.dedupes {
                    requests.add(named.key);
                }
            }
            Some(RowDecision::Submitted(named)) => {
                survey.note(&named.identity, &named.custom_id, &mut labels);
                survey.rows += 1;
                survey.submitted += 1;
                if earlier.dedupes {
                    requests.add(named.key);
                }
            }
            Some(RowDecision::Planned(place, planned, state)) => {
                let job = &planned.job;
                survey.note(&job.identity, &job.custom_id, &mut labels);
                match (earlier.refuse)(&planned) {
                    Some(message) => {
                        survey.add_unusable(shown, &message, || said(&job.origin, &job.custom_id, &message));
                    }
                    None => survey.add(place, &planned, state, earlier, &mut requests),
                }
            }
            Some(RowDecision::Rejected(rejected)) => {
                let Rejected { origin, custom_id, message, .. } = &*rejected;
                if rejected.identity == Identity::Named {
                    labels.add(custom_id);
                }
                survey.add_unusable(shown, message, || said(origin, custom_id, message));
            }
            Some(RowDecision::Broken(broken)) => survey.add_unusable(shown, &broken.message, || describe(&broken)),
        }
    }
    survey.repeats = planner.repeats();
    let (rows, equal) = requests.finish();
    (survey.repeated, survey.equal) = if earlier.dedupes { (0, equal) } else { (rows, equal) };
    Ok((survey, labels.finish()))
}

/// Returns whether the program can start to read an input in the middle, without the part before it.
fn is_random_access(input: &Input, plan: &InputPlan) -> bool {
    // A stream must not be opened twice, because a program that opens a named pipe again waits for another writer.
    source::is_seekable(input) && source::open(input, &plan.options).is_ok_and(|reader| reader.is_random_access())
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
    reading: impl Iterator<Item = Result<Read, SourceError>>,
    planner: &mut Planner,
    suspects: &[u64],
) -> Result<Option<DuplicateLabel>, SourceError> {
    let mut labels = Vec::new();
    let mut rows = PlannedRows::new(reading, plan.skip);
    loop {
        let row = match rows.next(planner, &Earlier::none()) {
            Ok(Some(Step { row, .. })) => row,
            // The survey has read the rows before the damage.
            Ok(None) | Err(SourceError::Damaged { .. }) => break,
            Err(error) => return Err(error),
        };
        // A row without a label has its file and line as its label, and another row can have the same label.
        let (label, origin) = match row {
            Some(RowDecision::Done(row) | RowDecision::Submitted(row)) => (row.custom_id, row.origin),
            Some(RowDecision::Planned(_, planned, _)) => (planned.job.custom_id, planned.job.origin),
            Some(RowDecision::Rejected(rejected)) => (rejected.custom_id, rejected.origin),
            Some(RowDecision::Broken(_)) | None => continue,
        };
        if is_suspect(&label, suspects) {
            labels.push((label, origin));
        }
    }
    Ok(first_duplicate(labels, suspects))
}

impl Survey {
    /// Returns the places from which the input is read alternately. The result is `None` if alternate reading saves no
    /// time under these limits, or if rows are read group by group.
    pub fn places(&self, limits_of: &dyn Fn(&PoolId) -> RateLimits) -> Option<Places> {
        let is_free = !self.caching.is_ordered;
        is_free.then(|| self.layout.advise(&self.repeats, limits_of)).flatten()
    }

    /// Adds a row's label to the list that finds repetitions, or counts a row without a label.
    fn note(&mut self, identity: &Identity, label: &str, labels: &mut LabelCensus) {
        match identity {
            Identity::Named => labels.add(label),
            Identity::Nth(_) => self.unnamed += 1,
        }
    }

    fn add(
        &mut self,
        place: RowPlace,
        planned: &Planned,
        state: RowState,
        earlier: &Earlier,
        requests: &mut RequestCensus,
    ) {
        self.rows += 1;
        let is_sent = match state {
            RowState::New => true,
            RowState::Rerun(quality) => {
                *self.rerun.entry(quality).or_default() += 1;
                true
            }
            RowState::Done => {
                self.done += 1;
                false
            }
            RowState::Submitted => {
                self.submitted += 1;
                false
            }
            RowState::Failed(_) => {
                self.failed_before += u64::from(!earlier.reruns_failed);
                self.retried += u64::from(earlier.reruns_failed);
                earlier.reruns_failed
            }
            RowState::Changed { .. } => {
                self.changed += 1;
                self.first_changed.get_or_insert_with(|| {
                    let job = &planned.job;
                    format!("{} ({}:{})", quoted(&job.custom_id), job.origin.source, job.origin.line)
                });
                earlier.reruns_changed
            }
        };
        let key = planned.job.key;
        match () {
            () if !is_sent => {}
            // The row is sent, because its existing answers are not accepted.
            () if matches!(state, RowState::Rerun(_)) => {
                requests.add(key);
                self.add_to_send(place, planned, earlier);
            }
            () if earlier.has_answer_for(planned) => self.reused += 1,
            () if requests.add(key) => self.copied += 1,
            () => self.add_to_send(place, planned, earlier),
        }
    }

    /// Counts a row to be sent, and adds its amounts and its place.
    fn add_to_send(&mut self, place: RowPlace, planned: &Planned, earlier: &Earlier) {
        self.to_send += 1;
        let is_in_batch = self.in_batches && !planned.ask.terms.is_online_only;
        self.online_only += u64::from(self.in_batches && !is_in_batch);
        let group = self.load.add(planned);
        if earlier.proven.is_some() && !planned.ask.terms.is_online_only && self.shapes.is_first(planned) {
            self.load.add_online_test(group, planned);
        }
        if let Some(prefixes) = &planned.ask.prefixes {
            // Batches share no cache with online requests, so each lane has a census and an order of its own.
            match is_in_batch {
                true => self.prefixes_of_batches.add(self.to_send - self.online_only, group, prefixes),
                false if self.in_batches => self.prefixes.add(self.online_only, group, prefixes),
                false => self.prefixes.add(self.to_send, group, prefixes),
            }
        }
        self.layout.add(place, &planned.ask.pool, planned.ask.cost);
        let sum = self.models.entry(planned.ask.model.clone()).or_default();
        sum.rows += 1;
        sum.input_tokens += u64::from(planned.ask.cost.input_tokens);
        sum.max_tokens = sum.max_tokens.max(planned.ask.max_tokens);
        match planned.ask.expense {
            Some(expense) => {
                let most = if is_in_batch { expense.most_in_batch } else { expense.most };
                sum.most += most;
                self.cheapest = Some(self.cheapest.map_or(most, |money| money.min(most)));
            }
            None => sum.unpriced += 1,
        }
    }

    fn add_unusable(&mut self, shown: usize, message: &str, describe: impl Fn() -> String) {
        self.rows += 1;
        self.unusable += 1;
        self.faults.add(message, &describe);
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
