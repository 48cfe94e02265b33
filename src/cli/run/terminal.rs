//! Answers on a terminal: asks before a run prints them there.
//!
//! Such answers are paid for, but they are in no file, and a run without a results file can't be resumed. Usually the
//! user forgot `> results.jsonl`. This is checked before a file is created, a key is fetched or a row is read. A
//! rehearsal costs nothing, so it prints its answers without a question.

use anyhow::{Result, bail};

use super::super::projection::Target;
use super::super::say;
use super::new_run::NewRun;
use crate::journal::Start;
use crate::source::Input;

/// What happens before answers go to a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    /// Nothing: the run starts.
    Nothing,
    /// The user is asked.
    Question,
    /// The run is refused, because nobody can answer a question.
    Refusal,
}

/// What decides whether the user is asked.
#[derive(Clone, Copy, Debug)]
struct Situation {
    /// The answers go to standard output, and this is a terminal.
    is_shown: bool,
    /// The run costs nothing, or the user has agreed.
    is_excused: bool,
    /// Standard input and standard error are terminals, and standard input is not an input of the run.
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
    /// Asks before a run whose answers would only be shown on the terminal.
    ///
    /// # Errors
    /// The user does not agree, or nobody can be asked.
    pub(super) fn ask_about_terminal(&self) -> Result<()> {
        let goes_out = match &self.projection {
            Some(projection) => projection.target == Target::Stdout,
            None => self.paths.results.is_none(),
        };
        let config = &self.config;
        let reads_terminal = self.plan.inputs.iter().any(|input| matches!(input, Input::Stdin));
        let situation = Situation {
            is_shown: goes_out && say::out_is_terminal(),
            is_excused: config.yes || config.dry_run || config.simulate || self.planning.is_some(),
            can_ask: self.world.stdin_is_terminal && config.is_terminal && !reads_terminal,
        };
        match situation.before() {
            Before::Nothing => Ok(()),
            Before::Question => {
                say::ask("The answers will be shown here and kept in no file. Continue? [y/N] ");
                // After Ctrl-C, the cursor is still in the line of the question.
                let answer = self.answer().inspect_err(|_| say::err(""))?;
                match answer.trim().to_ascii_lowercase().as_str() {
                    "y" | "yes" => Ok(()),
                    _ => bail!("not started; add {} to keep the answers", self.way_to_a_file()),
                }
            }
            Before::Refusal => bail!(
                "standard output is a terminal, so the answers would be shown and kept in no file; add {}, or --yes to see \
                 them here",
                self.way_to_a_file()
            ),
        }
    }

    /// Returns what to add to the command, so that the answers go to a file. With `resume`, the file may already have the
    /// answers of the earlier run, and `-o` names the results of the log.
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
