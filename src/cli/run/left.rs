//! Prints messages about batches that are open when a run ends: what will happen to the batches, and the commands that
//! collect and stop them.

use super::super::config::InputArg;
use super::new_run::NewRun;
use crate::report::text::{escape, plural};

impl NewRun<'_> {
    /// Prints what will happen to the batches that a run has left open. These messages are the last lines that a run
    /// prints. The messages are also printed with `--quiet`, because open batches cost money and nothing else reminds
    /// the user of them.
    pub(super) fn say_left_batches(&self, (batches, rows): (u64, u64)) {
        let Some(results) = self.paths.results.as_deref().filter(|_| batches > 0) else { return };
        self.tell(&format!("claude-batch: {}", what_becomes_of(batches, rows, self.config.simulate)));
        if self.config.simulate {
            return;
        }
        let of_results = |verb: &str| self.commands.batches(verb, results);
        // If the user's command was `collect`, or if the rows came from a pipe, the repeated command would find no
        // rows. In both cases, the message shows `batches collect` instead of the repeated command.
        let collect = match self.is_collecting || self.config.inputs.contains(&InputArg::Stdin) {
            true => format!("{} --wait", of_results("collect")),
            false => self.commands.collect(),
        };
        self.tell_whole(&format!("  to collect the answers: {}", escape(&collect)));
        self.tell_whole(&format!("  to stop the batches:    {}", escape(&of_results("cancel"))));
    }
}

fn what_becomes_of(batches: u64, rows: u64, is_simulated: bool) -> String {
    let open = format!("{} with {}", plural(batches, "batch", "batches"), plural(rows, "row", "rows"));
    match (is_simulated, batches) {
        (true, 1) => format!("{open} ends with the simulator; the same command sends its rows again"),
        (true, _) => format!("{open} end with the simulator; the same command sends their rows again"),
        (false, 1) => format!("{open} keeps running without this program, and its answers are billed"),
        (false, _) => format!("{open} keep running without this program, and their answers are billed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_batches_of_a_real_server_keep_running() {
        let said = [(1, 1, false), (25, 250_000, false), (1, 249, true), (2, 300, true)];

        let said = said.map(|(batches, rows, is_simulated)| what_becomes_of(batches, rows, is_simulated));

        assert_eq!(
            said,
            [
                "1 batch with 1 row keeps running without this program, and its answers are billed",
                "25 batches with 250,000 rows keep running without this program, and their answers are billed",
                "1 batch with 249 rows ends with the simulator; the same command sends its rows again",
                "2 batches with 300 rows end with the simulator; the same command sends their rows again",
            ]
        );
    }
}
