//! The command `batches adopt` takes the results of a batch as answers to the rows of the inputs. `batches adopt` is
//! for a batch that is in no log of this program.
//!
//! The command downloads the results. The results for rows of the input become a *chunk* (the rows of one batch, see
//! [`crate::batches`]). This chunk is collected like every other chunk. So a row never gets a second line in the
//! results, and its cost is computed with the batch price.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, bail};
use tokio::sync::mpsc;

use super::collect::without_limits;
use super::files::{Files, Opened as OpenedFiles};
use super::lane::nonce;
use super::new_run::NewRun;
use super::send::Ready;
use crate::batches::{Adoption, Index, Opened};
use crate::catalog::Catalog;
use crate::cli::args::AdoptArgs;
use crate::cli::batches::Workspace;
use crate::cli::config::Config;
use crate::cli::config::world::World;
use crate::cli::exit::Exit;
use crate::cli::projection::Projection;
use crate::cli::server::Stopped;
use crate::cli::{message, parts, say};
use crate::journal::{Disk, RealDisk, RowState, Start, with_suffix};
use crate::plan::Repeats;
use crate::provider::{Batch, BatchStatus};
use crate::report::text::{count, escape, plural, rough_duration};
use crate::runner::LaneParts;
use crate::runner::input::{Earlier, Incoming, InputOrder, InputPlan, Survey, feed, is_seekable};

/// The highest number of rows in the channel from the reader.
const FEED: usize = 256;

/// Writes the results of a batch as answers to the rows of the inputs.
pub(crate) fn adopt(args: &AdoptArgs, world: &World) -> Result<Exit> {
    let config = Config::of_run(&args.run, world)?;
    if config.simulate {
        bail!("--simulate: the built-in simulator has no batches of earlier runs; leave out --simulate");
    }
    if config.fresh || config.dry_run {
        bail!("adopt adds answers to existing results; leave out --fresh and --dry-run");
    }
    let config = without_limits(config);
    let name = parts::run_id();
    let plan = parts::input_plan(&config)?;
    let projection = Projection::of_run(&config, parts::default_results(&config), is_seekable(&plan))?;
    let paths = parts::paths(&config, projection.as_ref(), &name)?;
    if paths.results.is_none() {
        bail!("adopt needs a results file; name it with -o, or name an input that is a file");
    }
    let reread = Box::new(|| bail!("nothing is sent, so no setting matters any more"));
    let new = NewRun::new(config, reread, world, name, paths, plan, Start::Continue);
    NewRun { projection, is_collecting: true, ..new }.adopt(&args.batch)
}

/// How many answers of a batch were used, and how many were not.
struct Taken {
    /// Answers that this run takes as the answers of its own rows.
    rows: u64,
    /// The number of answers to rows that already had an answer.
    answered: u64,
    /// Answers that belong to no row of the input.
    unmatched: u64,
    /// Requests that did not succeed.
    unanswered: u64,
}

impl NewRun<'_> {
    /// Adopts the batch with this id: does everything from the check of the settings to the exit code.
    fn adopt(mut self, id: &str) -> Result<Exit> {
        self.hear_signals()?;
        self.say_settings();
        self.watch_templates()?;
        let catalog = self.check_settings()?;
        self.check_output()?;
        let workspace = Workspace::open(&self.config, self.world)?;
        let batch = match workspace.retrieve(id) {
            Ok(batch) => batch,
            Err(stopped) => return Ok(say_stopped(&stopped)),
        };
        if let Some(exit) = refused(&batch)? {
            return Ok(exit);
        }
        let first = self.first_look(&catalog)?;

        let Files { opened, mut recovered, commits, clock } = self.open_files(&catalog)?;
        let OpenedFiles::Run(journal) = opened else { bail!("a run that adopts a batch is not a dry run") };
        let Some(results) = self.paths.results.clone() else { bail!("there is a results file") };
        let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(self.config.owners));
        let batches = Opened::new(disk.clone(), &results)?;
        if batches.has(id) {
            bail!("{id} is an open batch of {}; claude-batch batches collect writes its results", results.display());
        }
        let earlier = self.note_submitted(Some(&batches), &mut recovered, &catalog)?;
        let survey = self.second_look(first, &catalog, &earlier)?;
        self.accept_survey(survey.as_ref(), &catalog, &recovered, false)?;
        let repeats = survey.map(|survey| survey.repeats).unwrap_or_default();
        let path = with_suffix(&results, ".run").join("adopted.jsonl");
        if let Err(stopped) = workspace.download(&batch, &*disk, &path)? {
            return Ok(say_stopped(&stopped));
        }
        let index = index(&*disk, path.clone(), &workspace, &batch)?;
        let taken = self.take(batches, index, &workspace, &batch, earlier, (&catalog, &repeats))?;
        disk.remove(&path)?;
        self.say_taken(&taken, id);

        let batches = Opened::new(disk, &results)?;
        if batches.open_batches() == 0 {
            journal.close(self.input_read(false), false)?;
            return Ok(if taken.rows == 0 && taken.answered == 0 { Exit::Usage } else { Exit::Done });
        }
        let earlier = self.note_submitted(Some(&batches), &mut recovered, &catalog)?;
        let rows = batches.rows_without_line(&recovered.done)?;
        self.check_interrupted()?;
        let key = self.keys()?;
        self.config.detach = true;
        let survey = Survey { rows, submitted: rows, repeats, ..Survey::default() };
        self.find_part(&recovered, Some(&survey), Some(&batches))?;
        let lane = self.lane(Some(batches), &recovered, &catalog, None, clock);
        let lane = lane.map(|lane| LaneParts { leaves_rows: true, ..lane });
        let known = (catalog, recovered, Some(survey));
        // The output is made from the whole input, but no row of the input is sent.
        let nothing = InputPlan { inputs: Vec::new(), ..self.plan.clone() };
        let plan = std::mem::replace(&mut self.plan, nothing);
        let ready = Ready { key, clock, journal: *journal, commits, earlier, forecast: None, lane };
        let ended = self.send_rows(ready, &known)?;
        self.plan = plan;
        self.finish(ended, &known)
    }

    /// Makes a chunk from the batch's answers to rows that have no answer yet.
    fn take(
        &self,
        batches: Opened,
        index: Index,
        workspace: &Workspace,
        batch: &Batch,
        earlier: Earlier,
        (catalog, repeats): (&Arc<Catalog>, &Repeats),
    ) -> Result<Taken> {
        let mut adoption = Adoption::begin(batches, &nonce())?;
        let (index, answered) = (Arc::new(index), Arc::new(AtomicU64::new(0)));
        let Earlier { known, .. } = earlier;
        let (seen, number) = (index.clone(), answered.clone());
        let known = Box::new(move |row, identity: &_| {
            let state = known(row, identity);
            if matches!(state, RowState::Done | RowState::Submitted) && seen.has(row, identity) {
                number.fetch_add(1, Ordering::Relaxed);
            }
            state
        });
        // Rows that have failed also take answers from the batch.
        let earlier = Earlier { known, reruns_failed: true, ..earlier };
        let mut planner = self.planner(catalog).with_repeats(repeats.clone());
        let (rows_in, rows) = mpsc::channel(FEED);
        let plan = &self.plan;
        let fed: Result<()> = std::thread::scope(|scope| {
            scope.spawn(move || feed(plan, InputOrder::AsWritten, &mut planner, &earlier, &rows_in));
            // The receiver is moved into this closure. So after an error, the receiver is dropped before the thread is
            // joined. If the receiver lived longer, the thread would wait forever for room in the channel.
            let mut rows = rows;
            while let Some(item) = rows.blocking_recv() {
                self.check_interrupted()?;
                match item {
                    Incoming::Planned(planned) => adoption.take(&planned, &index, workspace.api())?,
                    Incoming::Failed(why, _) => bail!("{why}"),
                    Incoming::Rerun(_)
                    | Incoming::Reused(_)
                    | Incoming::Rejected(_)
                    | Incoming::Broken(_)
                    | Incoming::Skipped(_)
                    | Incoming::Submitted(_)
                    | Incoming::Recognized(_)
                    | Incoming::Warning(_) => {}
                }
            }
            Ok(())
        });
        fed?;
        let rows = u64::from(adoption.finish(batch, jiff::Timestamp::now())?);
        let answered = answered.load(Ordering::Relaxed);
        let unmatched = index.answers().saturating_sub(rows + answered);
        Ok(Taken { rows, answered, unmatched, unanswered: index.unanswered })
    }

    fn say_taken(&self, taken: &Taken, id: &str) {
        let Taken { rows, answered, unmatched, unanswered } = *taken;
        let mut said = format!("{}: {} taken", escape(id), plural(rows, "answer is", "answers are"));
        if answered > 0 {
            said += &format!("; {} already", plural(answered, "row has an answer", "rows have an answer"));
        }
        if unmatched > 0 {
            said += &format!(
                "; {} to no row of the input; check that the rows were sent with these settings and from this file",
                plural(unmatched, "answer belongs", "answers belong")
            );
        }
        if unanswered > 0 {
            said += &format!(
                "; {} no answer, and the next run sends these rows again",
                plural(unanswered, "request has", "requests have")
            );
        }
        self.say(&said);
    }
}

/// Reads the downloaded results of a batch, and checks that they are complete.
fn index(disk: &dyn Disk, path: PathBuf, workspace: &Workspace, batch: &Batch) -> Result<Index> {
    let index = Index::read(disk, path, workspace.api())?;
    if index.lines < batch.counts.total() {
        bail!(
            "the results of {} contain only {} of {}; run the same command again",
            batch.id,
            count(index.lines),
            plural(batch.counts.total(), "line", "lines")
        );
    }
    Ok(index)
}

/// Checks that the batch can be adopted. If the batch has not ended, prints a message and returns the exit code.
fn refused(batch: &Batch) -> Result<Option<Exit>> {
    let id = escape(&batch.id);
    if batch.archived_at.is_some() {
        bail!("the API has removed the results of {id}, so they can't be read");
    }
    if batch.status == BatchStatus::Ended {
        return Ok(None);
    }
    let now = jiff::Timestamp::now();
    let age = rough_duration(now.duration_since(batch.created_at).try_into().unwrap_or_default());
    let left = rough_duration(batch.expires_at.duration_since(now).try_into().unwrap_or_default());
    say::err(&message::lines(&format!(
        "{id} has not ended, so it has no results yet: it was created {age} ago, most batches end within an \
         hour, and this one ends in {left} at the latest; run the same command again then"
    )));
    Ok(Some(Exit::Stopped))
}

fn say_stopped(stopped: &Stopped) -> Exit {
    say::err(&message::lines(&stopped.message));
    stopped.exit
}
