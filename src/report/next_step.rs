//! Chooses the command that the summary recommends after a run.

use super::stats::Stats;
use super::summary_context::{PrintedCommand, SummaryContext};
use crate::domain::Quality;

/// The command that the user should probably type next, and its purpose.
#[derive(Clone, Copy, Debug)]
pub(super) struct NextStep<'a> {
    /// The purpose of the command.
    pub(super) kind: NextKind,
    /// The command.
    pub(super) command: &'a PrintedCommand,
}

/// The purpose of a recommended command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NextKind {
    /// The command resumes the run for the pending rows.
    Continue,
    /// The command retries the failed rows.
    Retry,
    /// The command sends the rows with truncated answers again, with a larger `max_tokens`.
    Rerun,
    /// The command shows the answers.
    Answers,
}

impl NextKind {
    /// Returns the name of this purpose, as shown to people and scripts.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Continue => "continue",
            Self::Retry => "retry",
            Self::Rerun => "rerun",
            Self::Answers => "answers",
        }
    }
}

/// Returns the command that the user should probably type next; `None` if there is none. If rows are pending, the
/// command resumes the run. Otherwise, the command sends rows again: failed rows that may succeed, or rows with
/// truncated answers. If nothing is left to do, the command shows the answers.
pub(super) fn next_step<'a>(stats: &Stats, context: &'a SummaryContext) -> Option<NextStep<'a>> {
    let is_stopped = context.rows(stats).pending > 0;
    // If the input was a pipe and the run was stopped, the command takes the pending rows from the error log.
    let of_pipe = context.resume_command.as_ref().filter(|_| context.results.is_none());
    let has_truncated = stats.succeeded_as(Quality::Truncated) > 0;
    let has_answers = context.rows(stats).answered > 0;
    let steps = [
        (NextKind::Continue, context.rerun_command.as_ref().or(of_pipe).filter(|_| is_stopped)),
        (NextKind::Retry, context.resume_command.as_ref()),
        (NextKind::Rerun, context.longer_command.as_ref().filter(|_| has_truncated)),
        (NextKind::Answers, context.answers_command.as_ref().filter(|_| has_answers)),
    ];
    steps.into_iter().find_map(|(kind, command)| Some(NextStep { kind, command: command? }))
}

#[cfg(test)]
mod tests {
    use super::super::stats::tests::{at, started, succeeded};
    use super::*;

    #[test]
    fn pending_rows_come_first_then_failed_rows_then_truncated_answers() {
        let mut context = SummaryContext {
            results: Some("r".to_owned()),
            rerun_command: Some("continue".into()),
            resume_command: Some("retry".into()),
            longer_command: Some("rerun".into()),
            answers_command: Some("answers".into()),
            ..SummaryContext::default()
        };
        let mut stats = Stats::default();
        stats.fold(&at(0, started(Some(2), 0)));
        stats.fold(&at(1, succeeded(Quality::Truncated)));

        let first = shown(&stats, &context);
        stats.fold(&at(1, succeeded(Quality::Ok)));
        let second = shown(&stats, &context);
        context.resume_command = None;
        let third = shown(&stats, &context);
        context.longer_command = None;

        assert_eq!([first, second, third, shown(&stats, &context)], ["continue", "retry", "rerun", "answers"]);
    }

    #[test]
    fn without_an_answer_there_is_nothing_to_show() {
        let context = SummaryContext { answers_command: Some("answers".into()), ..SummaryContext::default() };

        assert_eq!(shown(&Stats::default(), &context), "");
    }

    fn shown(stats: &Stats, context: &SummaryContext) -> String {
        next_step(stats, context).map_or_else(String::new, |next| {
            assert_eq!(next.kind.name(), next.command.text, "each command is named after its kind here");
            next.command.text.clone()
        })
    }
}
