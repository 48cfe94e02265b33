//! The input of a run: a first look at all of it where that is possible, then row by row into the loop.
//!
//! Reading, parsing and planning happen on a thread of their own ([`feed`]), off the loop, behind a bounded channel: a
//! full channel stops the reader, so memory stays flat however long the input is. A seekable input is read twice. The
//! first time ([`survey`]) everything is read and planned and nothing kept but counts: so mistakes that concern every row,
//! repeated labels and changed rows are found before the first request, and the total is known. A pipe is read once.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};

use tokio::sync::mpsc;

use crate::domain::{ErrorClass, Identity, Job, JobId, Origin, Planned};
use crate::journal::RowState;
use crate::plan::{
    DuplicateLabel, KeyCensus, LabelCensus, Planner, Rejected, Repeats, Seen, first_duplicate, is_suspect,
};
use crate::source::{self, BrokenRow, Input, Item, Options, Reader, Row, SourceError};

/// What the input gives next.
#[derive(Debug)]
pub enum Fed {
    /// A row to be answered.
    Planned(Box<Planned>),
    /// A row that is not sent.
    Rejected(Box<Rejected>),
    /// A row that can't be used.
    Broken(Box<BrokenRow>),
    /// So many rows that an earlier run has finished.
    Skipped(u64),
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
    let walked = walk(plan, planner, earlier, &mut |step| {
        match step {
            Walked::Done(job) => {
                survey.note(&job, &mut labels, &mut keys);
                survey.rows += 1;
                survey.done += 1;
            }
            Walked::Planned(planned) => {
                survey.note(&planned.job, &mut labels, &mut keys);
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
    let mut labels = (!is_seekable(plan)).then(Seen::default);
    let hasher = std::hash::RandomState::new();
    let mut out = Outlet::new(rows);
    let mut is_repeated = |job: &Job| {
        let is_new = |seen: &mut Seen| seen.insert(hasher.hash_one(&job.custom_id));
        job.identity == Identity::Named && !labels.as_mut().is_none_or(is_new)
    };
    let result = walk(plan, planner, earlier, &mut |step| {
        let fed = match step {
            // Of two rows of one name and the same request, the second is as done as the first.
            Walked::Done(job) => {
                is_repeated(&job);
                return out.skip();
            }
            Walked::Planned(planned) if is_repeated(&planned.job) => repeated(*planned),
            Walked::Planned(planned) => match by_state(planned, earlier) {
                Some(fed) => fed,
                None => return out.skip(),
            },
            Walked::Rejected(rejected) => Fed::Rejected(rejected),
            Walked::Broken(broken) => Fed::Broken(broken),
            Walked::Warning(text) => Fed::Warning(text),
        };
        out.send(fed)
    });
    if let Err(error) = result {
        // Nobody listens any more when this fails, so nobody needs to be told.
        out.send(Fed::Failed(error.to_string()));
    }
    out.send_skipped();
}

/// The reader's end of the channel.
///
/// Rows that are skipped are only counted, and told by the hundred: at millions a second each by itself would wake the
/// loop for nothing.
///
/// A row is on its way as soon as it is read. But when the channel is full the reader waits until half of it is free:
/// woken for each single place it would take turns with the loop, two switches of threads a row.
struct Outlet<'a> {
    rows: &'a mpsc::Sender<Fed>,
    permits: Option<mpsc::PermitIterator<'a, Fed>>,
    skipped: u64,
}

impl<'a> Outlet<'a> {
    fn new(rows: &'a mpsc::Sender<Fed>) -> Self {
        Self { rows, permits: None, skipped: 0 }
    }

    /// Counts a row that is skipped; returns whether anybody listens.
    fn skip(&mut self) -> bool {
        const TOLD_AT_ONCE: u64 = 256;
        self.skipped += 1;
        self.skipped < TOLD_AT_ONCE || self.send_skipped()
    }

    fn send_skipped(&mut self) -> bool {
        match std::mem::take(&mut self.skipped) {
            0 => true,
            skipped => self.pass(Fed::Skipped(skipped)),
        }
    }

    /// Sends; returns whether anybody listens.
    fn send(&mut self, fed: Fed) -> bool {
        self.send_skipped() && self.pass(fed)
    }

    fn pass(&mut self, fed: Fed) -> bool {
        if let Some(permit) = self.permits.as_mut().and_then(Iterator::next) {
            permit.send(fed);
            return !self.rows.is_closed();
        }
        self.permits = None;
        let fed = match self.rows.try_send(fed) {
            Ok(()) => return true,
            Err(mpsc::error::TrySendError::Closed(_)) => return false,
            Err(mpsc::error::TrySendError::Full(fed)) => fed,
        };
        match wait_for(self.rows.reserve_many(self.rows.max_capacity().div_ceil(2))) {
            Ok(permits) => {
                self.permits = Some(permits);
                self.pass(fed)
            }
            Err(_) => false,
        }
    }
}

/// Waits on this thread, which belongs to no runtime.
fn wait_for<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// Returns what becomes of a row; `None` when it is skipped.
fn by_state(planned: Box<Planned>, earlier: &Earlier) -> Option<Fed> {
    if let Some(message) = (earlier.refuse)(&planned) {
        return Some(rejected(*planned, message));
    }
    match (earlier.known)(&planned.job) {
        RowState::New => Some(Fed::Planned(planned)),
        RowState::Done => None,
        RowState::Failed(_) => earlier.reruns_failed.then_some(Fed::Planned(planned)),
        RowState::Changed { .. } if earlier.reruns_changed => Some(Fed::Planned(planned)),
        RowState::Changed { .. } => {
            let message = "this row has an answer to another request; to run it again add --rerun-changed".to_owned();
            Some(rejected(*planned, message))
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
    walk(plan, planner, &Earlier::none(), &mut |step| {
        let (identity, label, origin) = match step {
            Walked::Done(job) => (job.identity, job.custom_id, job.origin),
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
    /// Notes by what a row is known.
    fn note(&mut self, job: &Job, labels: &mut LabelCensus, keys: &mut KeyCensus) {
        match job.identity {
            Identity::Named => labels.add(&job.custom_id),
            Identity::Nth(_) => {
                self.unnamed += 1;
                keys.add(job.key);
            }
        }
    }

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
    /// An earlier run has finished it, so it was not measured.
    Done(Box<Job>),
    Planned(Box<Planned>),
    Rejected(Box<Rejected>),
    Broken(Box<BrokenRow>),
    Warning(String),
}

/// Reads and plans row after row until the inputs end or `visit` returns `false`.
fn walk(
    plan: &InputPlan,
    planner: &mut Planner,
    earlier: &Earlier,
    visit: &mut dyn FnMut(Walked) -> bool,
) -> Result<(), SourceError> {
    let mut number = 0;
    for input in &plan.inputs {
        let mut reader = source::open(input, &plan.options)?;
        if !walk_one(plan, &mut reader, planner, earlier, &mut number, visit)? {
            break;
        }
    }
    Ok(())
}

fn walk_one(
    plan: &InputPlan,
    reader: &mut Reader,
    planner: &mut Planner,
    earlier: &Earlier,
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
            Item::Row(row) => step_of(planner, *row, id, earlier),
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

fn step_of(planner: &mut Planner, row: Row, id: JobId, earlier: &Earlier) -> Walked {
    let job = planner.name(row, id);
    if (earlier.known)(&job) == RowState::Done {
        return Walked::Done(job);
    }
    match planner.measured(job) {
        Ok(planned) => Walked::Planned(Box::new(planned)),
        Err(rejected) => Walked::Rejected(rejected),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::catalog::Catalog;
    use crate::plan::{Dialect, RequestDefaults};

    #[test]
    fn every_row_arrives_once_and_in_order_through_a_narrow_channel() {
        let (plan, _file) = rows(1_000);
        let (out, mut arrived) = mpsc::channel(4);

        let reader = std::thread::spawn(move || feed(&plan, &mut planner(), &done_but_every_third(), &out));
        let (mut sent, mut skipped) = (Vec::new(), 0);
        while let Some(fed) = arrived.blocking_recv() {
            match fed {
                Fed::Planned(planned) => sent.push(planned.job.id.0),
                Fed::Skipped(rows) => skipped += rows,
                other => panic!("unexpected: {other:?}"),
            }
        }
        reader.join().expect("the reader does not panic");

        assert_eq!(sent, (0..1_000).step_by(3).collect::<Vec<_>>());
        assert_eq!(skipped, 666);
    }

    #[test]
    fn a_reader_that_waits_for_room_ends_when_nobody_listens() {
        let (plan, _file) = rows(1_000);
        let (out, mut arrived) = mpsc::channel(4);

        let reader = std::thread::spawn(move || feed(&plan, &mut planner(), &Earlier::none(), &out));
        let first = arrived.blocking_recv();
        drop(arrived);

        reader.join().expect("the reader does not panic");
        assert!(matches!(first, Some(Fed::Planned(_))));
    }

    #[test]
    fn a_first_look_counts_rows_that_are_done_by_label_too() {
        let (plan, _file) = rows(30);

        let looked = survey(&plan, &mut planner(), &done_but_every_third(), 1).expect("the file can be read");

        assert_eq!((looked.rows, looked.to_send, looked.done, looked.unusable), (30, 10, 20, 0));
        assert!(looked.duplicate.is_none());
    }

    fn rows(count: u64) -> (InputPlan, tempfile::TempPath) {
        let mut file = tempfile::Builder::new().suffix(".jsonl").tempfile().expect("a temporary file can be made");
        (0..count).for_each(|row| writeln!(file, r#"{{"id":{row},"prompt":"Hi"}}"#).expect("it can be written"));
        let path = file.into_temp_path();
        let inputs = vec![Input::File(path.to_path_buf())];
        (InputPlan { inputs, options: Options::default(), skip: 0, limit: None }, path)
    }

    fn done_but_every_third() -> Earlier {
        let known = |job: &Job| if job.id.0.is_multiple_of(3) { RowState::New } else { RowState::Done };
        Earlier { known: Box::new(known), ..Earlier::none() }
    }

    fn planner() -> Planner {
        let dialect = Dialect { api_version: "2023-06-01".to_owned(), betas: Vec::new() };
        Planner::new(RequestDefaults::default(), dialect, Arc::new(Catalog::builtin()), "anthropic".into(), "".into())
    }
}
