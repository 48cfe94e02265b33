//! Asks the user before a run prints its answers on a terminal.
//!
//! Answers on a terminal are paid for, but no file contains them. A run without a results file can't be resumed. In
//! most cases, the user forgot `> results.jsonl`. The question comes before a file is created, a key is fetched or a
//! row is read. A rehearsal costs nothing, so it prints its answers without a question.

use anyhow::{Result, bail};

use super::super::projection::Target;
use super::super::say;
use super::new_run::NewRun;
use crate::journal::Start;
use crate::source::Input;

/// What happens before a run that can print its answers on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    /// Nothing happens: the run starts without a question.
    Nothing,
    /// The user is asked whether to start the run.
    Question,
    /// The program rejects the run, because there is no terminal at which the user could answer a question.
    Refusal,
}

/// The facts that decide whether the user is asked.
#[derive(Clone, Copy, Debug)]
struct Situation {
    /// Whether the answers are printed on standard output, and standard output is a terminal.
    is_shown: bool,
    /// Whether no question is needed: the run costs nothing, or the user has agreed with `--yes`.
    is_excused: bool,
    /// Whether the user can answer a question: standard input and standard error are terminals, and standard input is
    /// not an input of the run.
    can_ask: bool,
}

impl Situation {
    fn before(self) -> Before {
        match self {
            Self { is_shown: false, .. } | Self { is_excused: true, .. } => Before::Nothing,
            Self { can_ask: true, .. } => Before::Question,
            Self { can_ask: false, .. } => Before::Refusal,
        }
    }
}

impl NewRun<'_> {
    /// Asks the user before a run whose answers would be shown only on the terminal.
    ///
    /// # Errors
    /// Fails if the user does not agree, or if there is no terminal at which the user can answer. Fails also if answers
    /// would be written to standard output, but this stream is closed.
    pub(super) fn ask_about_terminal(&self) -> Result<()> {
        let goes_out = match &self.projection {
            Some(projection) => projection.target == Target::Stdout,
            None => self.paths.results.is_none(),
        };
        let config = &self.config;
        if goes_out && !config.dry_run && self.planning.is_none() && say::out_was_closed() {
            bail!(
                "standard output is closed, so the answers would be lost; redirect standard output or name a file with -o"
            );
        }
        let reads_terminal = self.plan.inputs.iter().any(|input| matches!(input, Input::Stdin));
        let situation = Situation {
            is_shown: goes_out && say::out_is_terminal(),
            is_excused: config.yes || config.dry_run || config.simulate || self.planning.is_some(),
            can_ask: self.world.stdin_is_terminal && config.is_terminal && !reads_terminal,
        };
        match situation.before() {
            Before::Nothing => Ok(()),
            Before::Question => {
                say::ask("The answers will be shown here and not saved in a file. Continue? [y/N] ");
                // After Ctrl-C, the cursor is in the line of the question, so a line break is printed.
                let answer = self.answer().inspect_err(|_| say::err(""))?;
                match answer.trim().to_ascii_lowercase().as_str() {
                    "y" | "yes" => Ok(()),
                    _ => bail!("not started; add {} to save the answers", self.way_to_a_file()),
                }
            }
            Before::Refusal => bail!(
                "standard output is a terminal, so the answers would be shown and not saved in a file; add {}, or \
                 --yes to see them here",
                self.way_to_a_file()
            ),
        }
    }

    /// Returns the words that the user can add to the command, so that the answers are written to a file. With
    /// `resume`, the answers are appended to the file, because the file may contain answers of the earlier run. The
    /// words for `resume` do not contain `-o`, because `-o` names the results file to which the error log belongs.
    fn way_to_a_file(&self) -> &'static str {
        match self.start {
            Start::Resume => ">> results.jsonl",
            Start::Continue | Start::Fresh => "> results.jsonl or -o results.jsonl",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paid_answers_are_shown_only_to_a_user_who_agrees() {
        let before = |is_shown, is_excused, can_ask| Situation { is_shown, is_excused, can_ask }.before();

        assert_eq!(before(true, false, true), Before::Question);
        assert_eq!(before(true, false, false), Before::Refusal);
        for can_ask in [true, false] {
            assert_eq!(before(false, false, can_ask), Before::Nothing, "a file or a pipe keeps them");
            assert_eq!(before(true, true, can_ask), Before::Nothing, "--yes or a rehearsal");
        }
    }
}
