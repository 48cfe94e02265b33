//! A *projection* is an output that a run makes from its results file: a table, texts, or lines in another order.
//!
//! The answers are stored safely in the results file, which is in the same folder as the output. For example, the files
//! of a run are `answers.csv`, `answers.csv.results.jsonl` and `answers.csv.errors.jsonl`.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use serde_json::{Map, Value};

use super::config::{Config, FormConfig, OutputArg};
use super::say;
use crate::export::{
    Compression, ExportError, Form, Include, Made, Order, OutputFormat, Request, Run, packed, project, whole_file,
};
use crate::journal::{Disk, LineKind, RecordedOutput, RunPaths, line_kind, with_suffix};
use crate::report::text::escape;

/// Where a projection is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A file, with its path.
    File(PathBuf),
    /// Standard output.
    Stdout,
}

/// A projection: an output that is made from the results.
#[derive(Clone, Debug)]
pub(crate) struct Projection {
    /// Where the output is written.
    pub(crate) target: Target,
    /// The form, fields and order of the output.
    pub(crate) request: Request,
}

/// The suffix of the results file's name, for a run with a projection.
const RESULTS: &str = ".results.jsonl";

impl Projection {
    /// Returns the projection that a run makes at its end; `None` if the results file is the output.
    ///
    /// `unnamed` is the results file of a run without a named output. `is_seekable` says whether the input can be read
    /// again.
    ///
    /// # Errors
    /// Fails if the name of the output does not fit its format.
    pub(crate) fn of_run(config: &Config, unnamed: Option<PathBuf>, is_seekable: bool) -> Result<Option<Self>> {
        let form = &config.form;
        let (target, found) = match &config.output {
            Some(OutputArg::Path(path)) => (Target::File(path.clone()), Form::of(path, form.format)?),
            Some(OutputArg::Stdout) => (Target::Stdout, form.format.map(Form::plain)),
            None => match (form.format.filter(|format| *format != OutputFormat::Jsonl), unnamed) {
                (Some(format), Some(results)) => (Target::File(renamed(&results, format)), Some(Form::plain(format))),
                // The results file is the output, even if a configuration file has settings for tables.
                _ => return Ok(None),
            },
        };
        let found = found.unwrap_or(Form::plain(OutputFormat::Jsonl));
        let request = request(form, found, None, is_seekable, true);
        let is_plain =
            found == Form::plain(OutputFormat::Jsonl) && request.fields.is_none() && request.order == Order::Done;
        Ok((!is_plain).then_some(Self { target, request }))
    }

    /// Returns the path of the results file of a run with this projection. Returns `None` if the projection does not
    /// change the path.
    pub(crate) fn results(&self, config: &Config, run: &str) -> Option<PathBuf> {
        match (&self.target, &config.output) {
            (Target::File(path), Some(_)) => Some(with_suffix(path, RESULTS)),
            (Target::File(_), None) => None,
            (Target::Stdout, _) => Some(PathBuf::from(format!("claude-batch.{run}{RESULTS}"))),
        }
    }

    /// Checks that the output can be written. The output must not be a file of the run. If the output already exists,
    /// the results file of the run must exist too.
    ///
    /// # Errors
    /// Fails if the output can't be written. The message names the output, and says what to do.
    pub(crate) fn check(&self, paths: &RunPaths, inputs: &[PathBuf], disk: &dyn Disk) -> Result<()> {
        let Target::File(output) = &self.target else { return Ok(()) };
        RunPaths::given(Some(output.clone()), paths.errors.clone()).check_output(inputs, disk)?;
        let journal = paths.results.as_deref();
        if journal.is_some_and(|results| results == output || disk.is_same_file(results, output)) {
            bail!("the output {} is the results file of the run; name another output with -o", output.display());
        }
        let exists = |path: &Path| matches!(disk.kind(path), Ok(Some(_)));
        if exists(output) && !journal.is_some_and(exists) {
            if line_kind(output, disk)? == Some(LineKind::Result) {
                bail!(
                    "{} holds the results of an earlier run as JSON lines: rename it to {} to continue that run, or name \
                     another output with -o",
                    output.display(),
                    journal.map(|path| path.display().to_string()).unwrap_or_default()
                );
            }
            bail!(
                "the output {} would be overwritten, because its results file {} does not exist; remove the output, or \
                 name another one with -o",
                output.display(),
                journal.map(|path| path.display().to_string()).unwrap_or_default()
            );
        }
        Ok(())
    }

    /// Makes the output from the results of `runs`.
    ///
    /// # Errors
    /// Fails if the results can't be read or the output can't be written.
    pub(crate) fn make(&self, disk: &dyn Disk, runs: &[Run]) -> Result<Made, ExportError> {
        match &self.target {
            Target::File(path) => {
                let form = self.request.form;
                whole_file(disk, path, form.compression, |out| project(disk, runs, &self.request, out))
            }
            Target::Stdout => {
                let out = packed(say::results(), Compression::None).map_err(ExportError::Output)?;
                match project(disk, runs, &self.request, out) {
                    // A closed standard output is not a failure: the program that reads it has read enough and has
                    // exited.
                    Err(ExportError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                        Ok(Made::default())
                    }
                    made => made,
                }
            }
        }
    }

    /// Returns the name that messages use for the output.
    pub(crate) fn name(&self) -> String {
        match &self.target {
            Target::File(path) => escape(&path.display().to_string()).into_owned(),
            Target::Stdout => "standard output".to_owned(),
        }
    }

    /// Returns the facts that a run records about its output, so that `resume` can make the output again.
    pub(crate) fn recorded(&self) -> Option<RecordedOutput> {
        let Target::File(path) = &self.target else { return None };
        let name = path.file_name()?.to_str()?.to_owned();
        let fields =
            self.request.fields.iter().flatten().map(|field| Value::from(field.name.clone())).collect::<Vec<_>>();
        let settings = [
            ("output-format", Some(self.request.form.format.name().into())),
            ("fields", Some(fields.into()).filter(|_| self.request.fields.is_some())),
            ("order", Some(self.request.order.name().into())),
            ("raw-cells", self.request.raw_cells.then(|| true.into())),
            ("null", self.request.null.then(|| true.into())),
        ];
        let settings: Map<String, Value> =
            settings.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        Some(RecordedOutput { name, settings })
    }

    /// Returns the projection for the command `results`, which uses earlier runs. `target` says where the output is
    /// written, and `include` says which rows the user asked for.
    ///
    /// # Errors
    /// Fails if the name of the output does not fit its format.
    pub(crate) fn of_results(
        form: &FormConfig,
        target: Target,
        include: Option<Include>,
        is_seekable: bool,
    ) -> Result<Self> {
        let found = match &target {
            Target::File(path) => Form::of(path, form.format)?,
            Target::Stdout => form.format.map(Form::plain),
        };
        let found = found.unwrap_or(Form::plain(OutputFormat::Jsonl));
        let request = request(form, found, include, is_seekable, false);
        Ok(Self { target, request })
    }
}

/// Returns the form and the order of an output. If the input can be read again, tables and texts are in the order of
/// the input by default. If an input is a pipe and a table needs the input's columns, the pipe is copied to a file
/// during a run (`is_run`). So by default, a table with columns from a pipe is in the order of the input too. Whole
/// lines are in the order in which the rows finished.
fn request(config: &FormConfig, form: Form, include: Option<Include>, is_seekable: bool, is_run: bool) -> Request {
    let by_default = match form.format {
        OutputFormat::Jsonl => Order::Done,
        OutputFormat::Csv | OutputFormat::Tsv | OutputFormat::Parquet if is_run && config.fields.is_empty() => {
            Order::Input
        }
        _ if is_seekable => Order::Input,
        _ => Order::Done,
    };
    Request {
        form,
        fields: Some(config.fields.clone()).filter(|fields| !fields.is_empty()),
        order: config.order.unwrap_or(by_default),
        include,
        raw_cells: config.raw_cells,
        null: config.null,
    }
}

/// Returns the path with the extension of the format: `prompts.results.csv` for `prompts.results.jsonl`.
fn renamed(results: &Path, format: OutputFormat) -> PathBuf {
    let extension = match format {
        OutputFormat::Text => "txt",
        other => other.name(),
    };
    results.with_extension(extension)
}

/// Returns an error for an output that could not be made. The error also says that the answers are safe, and where they
/// are.
pub(crate) fn failed(error: ExportError, results: Option<&Path>) -> anyhow::Error {
    let Some(results) = results.map(|path| path.display().to_string()) else { return error.into() };
    anyhow!(error).context(format!("the answers are saved in {}, but the output was not written", escape(&results)))
}
