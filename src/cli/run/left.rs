//! Prints messages about batches that are open when a run ends: what will happen to the batches, and the commands that
//! collect and stop them.

use super::super::config::InputArg;
use super::new_run::NewRun;
use crate::report::text::{escape, plural};
use crate::runner::Finish;

impl NewRun<'_> {
    /// Prints what will happen to the batches that a run has left open. These messages are the last lines that a run
    /// prints. The messages are also printed with `--quiet`, because open batches cost money and nothing else reminds
    /// the user of them.
    pub(super) fn say_left_batches(&self, finish: &Finish) {
        let Some(results) = self.paths.results.as_deref().filter(|_| finish.batches.0 > 0) else { return };
        if self.config.simulate {
            return self.tell(&format!("claude-batch: {}", end_of_simulated(finish.batches)));
        }
        let left = Left::of(finish);
        left.words().iter().for_each(|line| self.tell(&format!("claude-batch: {line}")));
        let of_results = |verb: &str| self.commands.batches(verb, results);
        // If the user's command was `collect`, or if the rows came from a pipe, the repeated command would find no
        // rows. In both cases, the message shows `batches collect` instead of the repeated command.
        let collect = match self.is_collecting || self.config.inputs.contains(&InputArg::Stdin) {
            true => format!("{} --wait", of_results("collect")),
            false => self.commands.collect(),
        };
        self.tell_whole(&format!("  to collect the answers: {}", escape(&collect)));
        // A batch that has ended can't be stopped.
        if left.running.0 > 0 {
            self.tell_whole(&format!("  to stop the batches:    {}", escape(&of_results("cancel"))));
        }
    }
}

/// The batches that a run has left: for each state, the number of batches and of their rows.
struct Left {
    running: (u64, u64),
    ended: (u64, u64),
    missing: (u64, u64),
}

impl Left {
    fn of(finish: &Finish) -> Self {
        let (ended, missing) = (finish.ended_batches, finish.missing_batches);
        let rest = |all: u64, ended: u64, missing: u64| all.saturating_sub(ended + missing);
        let running = (rest(finish.batches.0, ended.0, missing.0), rest(finish.batches.1, ended.1, missing.1));
        Self { running, ended, missing }
    }

    /// Returns a sentence for each state in which there are batches.
    fn words(&self) -> Vec<String> {
        let states = [(self.running, RUNNING), (self.ended, ENDED), (self.missing, MISSING)];
        let sentence = |(left, [one, more]): ((u64, u64), [&str; 2])| {
            let end = if left.0 == 1 { one } else { more };
            (left.0 > 0).then(|| format!("{} {end}", counted(left)))
        };
        states.into_iter().filter_map(sentence).collect()
    }
}

/// The sentences about batches that the API still processes: for one batch, and for several.
const RUNNING: [&str; 2] = [
    "keeps running without this program, and its answers are billed",
    "keep running without this program, and their answers are billed",
];
/// The sentences about batches that have ended.
const ENDED: [&str; 2] =
    ["has ended, and its answers are not collected", "have ended, and their answers are not collected"];
/// The sentences about batches that the API does not list.
const MISSING: [&str; 2] = [
    "is not in the list of the API: perhaps it was deleted, or the key belongs to another workspace",
    "are not in the list of the API: perhaps they were deleted, or the key belongs to another workspace",
];

fn counted((batches, rows): (u64, u64)) -> String {
    format!("{} with {}", plural(batches, "batch", "batches"), plural(rows, "row", "rows"))
}

fn end_of_simulated(left: (u64, u64)) -> String {
    let end = match left.0 {
        1 => "ends with the simulator; the same command sends its rows again",
        _ => "end with the simulator; the same command sends their rows again",
    };
    format!("{} {end}", counted(left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_of_a_simulated_run_end_with_the_simulator() {
        assert_eq!(
            [(1, 249), (2, 300)].map(end_of_simulated),
            [
                "1 batch with 249 rows ends with the simulator; the same command sends its rows again",
                "2 batches with 300 rows end with the simulator; the same command sends their rows again",
            ]
        );
    }

    #[test]
    fn only_batches_that_the_api_still_processes_keep_running() {
        let said = |batches, ended_batches, missing_batches| {
            let finish = Finish { batches, ended_batches, missing_batches, ..Finish::default() };
            Left::of(&finish).words().join("\n")
        };

        assert_eq!(
            said((1, 1), (0, 0), (0, 0)),
            "1 batch with 1 row keeps running without this program, and its answers are billed"
        );
        assert_eq!(said((1, 9), (1, 9), (0, 0)), "1 batch with 9 rows has ended, and its answers are not collected");
        assert_eq!(
            said((25, 250_000), (2, 20), (3, 30)),
            "20 batches with 249,950 rows keep running without this program, and their answers are billed\n\
             2 batches with 20 rows have ended, and their answers are not collected\n\
             3 batches with 30 rows are not in the list of the API: perhaps they were deleted, or the key belongs to \
             another workspace"
        );
    }
}
