//! The numbers of rows that ended ok, truncated, refused or failed, each with an example.

use super::failures;
use super::headline::answered_before;
use super::stats::Stats;
use super::summary_context::SummaryContext;
use super::text::{ListRow, count, escape, plural};
use crate::domain::{Quality, shortened_to};

/// How many characters of a label are shown. The end of a longer label is rarely useful.
const LONGEST_LABEL: usize = 40;

/// Returns the lines of the summary that count the answers of each kind. If all answers are ok, these lines are left
/// out, because the first line of the summary counts the answers. The numbers do not include the input rows that
/// earlier runs answered.
pub(super) fn rows(stats: &Stats, context: &SummaryContext) -> Vec<ListRow> {
    let mut rows = Vec::new();
    if stats.succeeded.keys().any(|quality| *quality != Quality::Ok) {
        rows.extend(Quality::ALL.into_iter().filter_map(|quality| answers(stats, quality)));
    }
    rows.extend(stats.taken.words().map(|words| ListRow::text("reuse", words)));
    if let Some(words) = stats.mended.words() {
        let text = format!("{} needed another request ({words})", plural(stats.mended.rows(), "row", "rows"));
        rows.push(ListRow::text("mended", text));
    }
    let mut failed = failures::reasons(stats);
    if context.failed_before > 0 {
        failed.push(format!("{} in earlier runs, not tried again", count(context.failed_before)));
    }
    let label = |at: usize| if at == 0 { "failed" } else { "" };
    rows.extend(failed.into_iter().enumerate().map(|(at, text)| ListRow::cut(label(at), text)));
    if answered_before(stats, context) > 0 && !rows.is_empty() {
        rows.insert(0, ListRow::text("this run", this_run(stats)));
    }
    rows
}

fn this_run(stats: &Stats) -> String {
    match stats.failed_total() {
        0 => format!("{} answered", count(stats.succeeded_total())),
        failed => format!("{} answered, {} failed", count(stats.succeeded_total()), count(failed)),
    }
}

/// For one quality, returns the number of answers and an example: `53, such as row t-0004`.
fn answers(stats: &Stats, quality: Quality) -> Option<ListRow> {
    let rows = stats.succeeded_as(quality);
    let (label, what) = match quality {
        Quality::Ok => ("ok", ""),
        Quality::Truncated => ("truncated", ""),
        Quality::Refused => ("refused", ""),
        Quality::Unknown => ("other", " ended for an unknown reason"),
    };
    let example = stats.examples.get(&quality).map(|label| short_label(label));
    let example =
        example.map(|label| if rows == 1 { format!(": row {label}") } else { format!(", such as row {label}") });
    (rows > 0).then(|| ListRow::cut(label, format!("{}{what}{}", count(rows), example.unwrap_or_default())))
}

/// Returns the beginning of a label, escaped for a terminal.
fn short_label(label: &str) -> String {
    shortened_to(&escape(label), LONGEST_LABEL).into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::stats::tests::{at, failed, started, succeeded};
    use super::super::text::list;
    use super::*;
    use crate::domain::{ErrorClass, EventBody};

    #[test]
    fn answers_that_are_all_ok_are_not_counted_a_second_time() {
        assert_eq!(shown(&[Quality::Ok, Quality::Ok], 0), "");
    }

    #[test]
    fn each_kind_has_a_count_and_an_example() {
        let all = [Quality::Ok, Quality::Unknown, Quality::Unknown, Quality::Truncated];

        insta::assert_snapshot!(shown(&all, 0), @"
        ok         1: row r1
        truncated  1: row r1
        other      2 ended for an unknown reason, such as row r1
        ");
    }

    #[test]
    fn after_earlier_runs_the_counts_of_this_run_have_a_title() {
        let mut stats = Stats::default();
        stats.fold(&at(0, started(Some(12), 7)));
        stats.fold(&at(1, succeeded(Quality::Ok)));
        stats.fold(&at(1, failed(ErrorClass::Server)));
        let context = SummaryContext { failed_before: 2, ..SummaryContext::default() };

        insta::assert_snapshot!(list(&rows(&stats, &context), 80), @r#"
        this run  1 answered, 1 failed
        failed    server (1): row r7, status 500, "it went wrong"
                  2 in earlier runs, not tried again
        "#);
    }

    #[test]
    fn a_label_is_cut_and_cannot_control_the_terminal() {
        let EventBody::Succeeded { pool, model, usage, cost, without_cache, latency, first_byte, mended, .. } =
            succeeded(Quality::Ok)
        else {
            unreachable!()
        };
        let (row, quality) = (format!("\x1b[2J{}", "x".repeat(90)).into(), Quality::Refused);
        let mut stats = Stats::default();
        stats.fold(&at(
            1,
            EventBody::Succeeded { row, pool, model, quality, usage, cost, without_cache, latency, first_byte, mended },
        ));

        let shown = list(&rows(&stats, &SummaryContext::default()), 120);

        assert_eq!(shown, "refused  1: row \\u{1b}[2Jxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…\n");
    }

    fn shown(answers: &[Quality], failed_before: u64) -> String {
        let mut stats = Stats::default();
        answers.iter().for_each(|quality| stats.fold(&at(1, succeeded(*quality))));
        list(&rows(&stats, &SummaryContext { failed_before, ..SummaryContext::default() }), 80)
    }
}
