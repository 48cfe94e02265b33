//! A run that has not begun yet.

use std::sync::Arc;

use anyhow::Result;

use super::super::commands::Commands;
use super::super::config::Config;
use super::super::config::world::World;
use super::super::plan::Asked;
use super::super::projection::Projection;
use super::connection::Connection;
use crate::catalog::Catalog;
use crate::domain::{ErrorClass, PromptCache};
use crate::journal::{InputRead, RunPaths, Start, StoredAnswers};
use crate::plan::Planner;
use crate::report::text::escape;
use crate::runner::input::{InputPlan, is_seekable};
use crate::runner::{EarlySignals, Progress};
use crate::watch::notices::Outbox;
use crate::watch::status::Part;

/// A run that has not begun yet.
pub(super) struct NewRun<'a> {
    pub(super) config: Config,
    /// A function that reads the settings again. Each call reads the files again. But flags and environment variables
    /// keep the values that they had when the program started.
    pub(super) reread: Box<dyn Fn() -> Result<Config> + Send>,
    pub(super) world: &'a World,
    pub(super) name: String,
    pub(super) paths: RunPaths,
    pub(super) start: Start,
    /// Whether there is an earlier run to resume. To resume a run, the program reads the files of the run first, and
    /// then the input. The input is read only once, because ten million rows take some time. The key is fetched last,
    /// because no key is needed if no rows are left to send.
    pub(super) is_resuming: bool,
    pub(super) plan: InputPlan,
    /// The output that is made from the results at the end; `None` if the results file is the output.
    pub(super) projection: Option<Projection>,
    /// The settings of `plan`; `None` for a run.
    pub(super) planning: Option<Asked>,
    /// Whether the run sends nothing, and only writes the results of batches.
    pub(super) is_collecting: bool,
    /// The failure classes of the rows that `resume` runs again; empty for all classes.
    pub(super) only: Vec<ErrorClass>,
    /// How many entries of the resumed error log can't be read as rows.
    pub(super) unreadable: u64,
    /// How the rows of the run are related to the whole input.
    pub(super) part: Part,
    /// The commands that are printed for the user.
    pub(super) commands: Commands,
    /// The copy of a resumed error log, if there is no run folder for it.
    pub(super) copy: Option<tempfile::TempPath>,
    /// The answers in the results of other runs; `None` without `--reuse`.
    pub(super) stored: Option<Arc<StoredAnswers>>,
    /// The origin (scheme, host and port) of the server; `simulator` if the run uses the simulator.
    pub(super) origin: String,
    /// The proxy and the certificates for the connection to the server.
    pub(super) connection: Connection,
    /// The proxies and the certificates for the connections to all providers except the first.
    pub(super) chain_connections: Vec<Connection>,
    /// The handler of signals before the run begins.
    pub(super) early: Option<EarlySignals>,
    /// The number of rows that have been read, and whether a signal asked the program to end.
    pub(super) progress: Arc<Progress>,
    /// The notices that wait to be sent; `None` if nobody asked for notices.
    pub(super) outbox: Option<Arc<Outbox>>,
}

impl<'a> NewRun<'a> {
    pub(super) fn new(
        config: Config,
        reread: Box<dyn Fn() -> Result<Config> + Send>,
        world: &'a World,
        name: String,
        paths: RunPaths,
        plan: InputPlan,
        start: Start,
    ) -> Self {
        let has_results =
            || paths.results.as_ref().is_some_and(|path| path.metadata().is_ok_and(|file| file.len() > 0));
        let has_batches = || paths.results.as_deref().is_some_and(Self::has_batches);
        let is_resuming = match start {
            Start::Resume => true,
            Start::Continue => (has_results() || has_batches()) && is_seekable(&plan),
            Start::Fresh => false,
        };
        Self {
            commands: Commands::of_process(config.fresh),
            config,
            reread,
            world,
            name,
            paths,
            start,
            is_resuming,
            plan,
            projection: None,
            planning: None,
            is_collecting: false,
            only: Vec::new(),
            unreadable: 0,
            part: Part::default(),
            copy: None,
            stored: None,
            origin: String::new(),
            connection: Connection::default(),
            chain_connections: Vec::new(),
            early: None,
            progress: Arc::default(),
            outbox: None,
        }
    }

    /// Returns the names of the inputs, for messages.
    pub(super) fn input_names(&self) -> String {
        self.plan.inputs.iter().map(|input| escape(&input.name()).into_owned()).collect::<Vec<_>>().join(", ")
    }

    /// Returns how much of the input the run has read: all of it or only a part. `is_whole` says whether the reader
    /// reached the end of the input.
    pub(super) fn input_read(&self, is_whole: bool) -> InputRead {
        let is_all = self.config.source.skip == 0 && self.config.source.limit.is_none();
        if is_whole && is_all && self.start != Start::Resume && !self.is_collecting {
            InputRead::Whole
        } else {
            InputRead::Part
        }
    }

    /// Returns the setting for the prompt cache. The setting applies to requests that are sent online. Batches and
    /// online requests do not share cache entries, and it is not known how many rows of a batch will find an entry. So
    /// requests in batches have only the cache marks that their rows already contain.
    ///
    /// The sources are anthropics/skills#1475, #1477 and #1601 (2026-08-17).
    pub(super) fn prompt_cache(&self) -> PromptCache {
        let has_cache = self.config.provider.features.prompt_cache;
        if has_cache { self.config.prompt_cache } else { PromptCache::Off }
    }

    /// Returns a planner for one reading of the input.
    pub(super) fn planner(&self, catalog: &Arc<Catalog>) -> Planner {
        let planner = self.planner_of(&self.config.provider, catalog);
        // If the input can be read twice, warnings about unknown models are off, because the survey counts the rows of
        // each model.
        if is_seekable(&self.plan) { planner.without_unknown_models() } else { planner }
    }

    /// Returns how many open files a request in flight needs. If the simulator is in this process, the process has both
    /// ends of each connection. Each provider has a concurrency window of its own, so the number is multiplied by the
    /// number of providers.
    pub(super) fn files_of_request(&self) -> usize {
        let ends = if self.config.simulate { 2 } else { 1 };
        ends * self.config.providers().count()
    }
}
