//! The command `status` shows what runs have done, and how to continue them. The command reads the files of runs and
//! changes nothing.

mod document;
mod found;
mod lines;
mod table;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use jiff::Timestamp;

use self::found::{FoundRun, State, read_run};
use super::args::StatusArgs;
use super::below::folders_below;
use super::config::Config;
use super::config::world::World;
use super::exit::Exit;
use super::results::{find, results_of_folder};
use super::say;
use crate::journal::{Disk, RealDisk, with_suffix};
use crate::report::progress::{can_redraw, terminal_width};
use crate::report::text::{escape, width};

/// How often `--watch` reads the files.
const EVERY: Duration = Duration::from_secs(1);
/// How often `--watch` prints if the output is not a terminal.
const PAUSE: Duration = Duration::from_secs(10);
/// The greatest width of the output, in columns. An output that is not a terminal has exactly this width.
const COLUMNS: usize = 80;

/// Shows what runs have done.
pub(crate) fn status(args: &StatusArgs, world: &World) -> Result<Exit> {
    let config = Config::of_settings(args.local.settings(), world)?;
    let disk = RealDisk::new(config.owners);
    let mut screen = Screen::default();
    loop {
        let runs = found(args, &disk)?;
        let is_over = !args.watch || !runs.iter().any(|run| run.state.is_in_progress());
        screen.show(args, &runs, is_over)?;
        if is_over {
            return Ok(exit(&runs));
        }
        std::thread::sleep(EVERY);
    }
}

/// Looks at the run that the user names, or at all runs below the working folder.
fn found(args: &StatusArgs, disk: &dyn Disk) -> Result<Vec<FoundRun>> {
    let now = Timestamp::now();
    let results: Vec<PathBuf> = match &args.run {
        Some(run) => {
            let Some(results) = find(run, disk)?.results else {
                bail!("{}: its results went to standard output, and such a run has no run folder", run.display())
            };
            if !with_suffix(&results, ".run").is_dir() {
                bail!("{} has no run folder: a run to standard output has none, or it was removed", results.display())
            }
            vec![results]
        }
        None => {
            let folders = folders_below(std::path::Path::new(""), "run").into_iter();
            let mut found: Vec<_> = folders
                .filter(|folder| ["lock", "manifest.json"].iter().any(|name| folder.join(name).is_file()))
                .filter_map(|folder| results_of_folder(&folder))
                .collect();
            found.sort();
            found
        }
    };
    Ok(results.into_iter().map(|results| read_run(disk, results, now)).collect())
}

/// Returns the exit code. If there are several runs, the run with the most serious state decides the exit code.
fn exit(runs: &[FoundRun]) -> Exit {
    let states = [
        &[State::Killed][..],
        &[State::Stopped, State::Unknown],
        &[State::Failed],
        &[State::Running, State::Paused, State::Draining],
    ];
    let exits = [Exit::Killed, Exit::Stopped, Exit::SomeFailed, Exit::InProgress];
    let found = states.into_iter().zip(exits).find(|(states, _)| runs.iter().any(|run| states.contains(&run.state)));
    found.map_or(Exit::Done, |(_, exit)| exit)
}

/// The output of `--watch` that was shown last.
#[derive(Default)]
struct Screen {
    shown_at: Option<Instant>,
    /// The number of terminal lines that the next output replaces.
    lines: usize,
}

impl Screen {
    fn show(&mut self, args: &StatusArgs, runs: &[FoundRun], is_over: bool) -> Result<()> {
        let redraws = args.watch && !args.json && say::out_is_terminal() && can_redraw();
        let is_due = redraws || args.json || is_over || self.shown_at.is_none_or(|at| at.elapsed() >= PAUSE);
        if !is_due {
            return Ok(());
        }
        self.shown_at = Some(Instant::now());
        if args.json {
            return Ok(say::out(&document::document(args.run.is_some(), runs))?);
        }
        let text = text(args, runs);
        if redraws {
            say::out_over(&text, std::mem::replace(&mut self.lines, lines_on_terminal(&text)))?;
        } else {
            say::out(&text)?;
        }
        Ok(())
    }
}

/// Returns how many lines a text takes on the terminal, which wraps long lines.
fn lines_on_terminal(text: &str) -> usize {
    let columns = terminal_width().unwrap_or(COLUMNS).max(1);
    text.lines().map(|line| width(line).div_ceil(columns).max(1)).sum()
}

fn text(args: &StatusArgs, runs: &[FoundRun]) -> String {
    let columns = terminal_width().map_or(COLUMNS, |columns| columns.saturating_sub(1)).clamp(40, COLUMNS);
    let now = Timestamp::now();
    match (runs, &args.run) {
        ([], _) => "no runs below this folder".to_owned(),
        ([run], _) => lines::block(run, now, columns),
        (runs, _) => {
            let notes = runs.iter().filter_map(|run| Some(format!("{}: {}", run.name(), run.note.as_ref()?)));
            let notes = notes.map(|note| format!("\n{}", escape(&note))).collect::<String>();
            format!("{}{notes}", table::table(runs, now, columns))
        }
    }
}
