//! Texts about failed rows: why they failed, which rows may succeed unchanged, and what to change in the other rows.

use std::collections::BTreeMap;

use super::stats::Stats;
use super::tallies::FailedRows;
use super::text::{count, escape, plural};
use crate::domain::{ErrorClass, FailedRow, Group, HaltReason};

/// How many error classes are shown with an example.
const SHOWN: usize = 5;

/// Returns the error classes of the failed rows of this run. The class with the most rows comes first.
pub(crate) fn by_size(stats: &Stats) -> Vec<(ErrorClass, &FailedRows)> {
    let mut classes: Vec<_> = stats.failed.iter().map(|(class, failed)| (*class, failed)).collect();
    classes.sort_by_key(|(_, failed)| std::cmp::Reverse(failed.rows));
    classes
}

/// How many different faults are shown for one error class.
const FAULTS: usize = 3;

/// Returns a line for each error class of this run, the largest class first, such as `server (3): row r7, status 500,
/// "Internal server error"`. A line has the number of failed rows and an example. If rows of a class failed for several
/// reasons, each reason has a line. Only the five largest classes have such lines, and the other classes are only
/// counted. If failures of a class stopped the run, this class has no example here. The message about the stop shows an
/// example.
pub(crate) fn reasons(stats: &Stats) -> Vec<String> {
    let classes = by_size(stats);
    let (shown, rest) = classes.split_at(classes.len().min(SHOWN));
    let of_class = |(class, failed): &(ErrorClass, &FailedRows)| match stopped_the_run(*class, stats) {
        true => vec![format!("{}: explained below", class_words(*class, failed.rows))],
        false => of_class(*class, failed),
    };
    let mut reasons: Vec<_> = shown.iter().flat_map(of_class).collect();
    if !rest.is_empty() {
        let rows = rest.iter().map(|(_, failed)| failed.rows).sum();
        let classes = plural(rest.len() as u64, "other class", "other classes");
        reasons.push(format!("{} of {classes}", plural(rows, "row", "rows")));
    }
    reasons
}

/// Returns one line for each reason why rows of one class failed. The most common reason comes first. A line begins
/// with the class and the number of rows, because the end of a long line is cut off.
fn of_class(class: ErrorClass, failed: &FailedRows) -> Vec<String> {
    let groups = failed.faults.by_size();
    let example = |group: &&Group<FailedRow>| format!("{}: {}", class_words(class, group.rows), words(&group.first));
    let mut reasons: Vec<_> = groups.iter().take(FAULTS).map(example).collect();
    let rest = groups.iter().skip(FAULTS).map(|group| group.rows).sum::<u64>() + failed.faults.others();
    reasons.extend((rest > 0).then(|| format!("{}: other messages", class_words(class, rest))));
    reasons
}

/// Returns the beginning of a line about failed rows, such as `server (3)`.
fn class_words(class: ErrorClass, rows: u64) -> String {
    format!("{class} ({})", count(rows))
}

/// Returns whether failures of a class stopped the run. If failures of the class stopped the run, the message about the
/// stop shows an example.
fn stopped_the_run(class: ErrorClass, stats: &Stats) -> bool {
    let halt = stats.ending.as_ref().and_then(|ending| ending.halt.as_ref());
    matches!(halt, Some(HaltReason::AllFail { class: all, .. }) if *all == class)
}

fn words(row: &FailedRow) -> String {
    let status = row.status.map(|status| format!(", status {status}")).unwrap_or_default();
    let message = if row.message.is_empty() { String::new() } else { format!(", \"{}\"", escape(&row.message)) };
    format!("row {}{status}{message}", escape(&row.label))
}

/// Returns the error classes with rows that can succeed without a change. `log` says how many rows of each class are in
/// the error log. For rows that failed in earlier runs, only the error class is known.
pub(crate) fn worth_retrying(log: &BTreeMap<ErrorClass, u64>, stats: &Stats) -> Vec<ErrorClass> {
    let may_pass = |(class, rows): (&ErrorClass, &u64)| {
        let own = stats.failed.get(class);
        let is_of_others = *rows > own.map_or(0, |failed| failed.rows);
        own.is_some_and(|failed| failed.retryable > 0) || (is_of_others && class.may_pass())
    };
    log.iter().filter(|(_, rows)| **rows > 0).filter(|entry| may_pass(*entry)).map(|(class, _)| *class).collect()
}

/// Returns the error class for which it is most useful to ask again with other settings. A truncated answer can get a
/// larger `max_tokens`, and an unusable answer can be better the next time. If the log has both truncated answers and
/// unusable answers, the result is the class with more rows. Returns `None` if there are no such rows. Refusals are
/// left out, because the model would most likely refuse again.
pub(crate) fn worth_asking_again(log: &BTreeMap<ErrorClass, u64>) -> Option<ErrorClass> {
    let rows = |class: &ErrorClass| log.get(class).copied().unwrap_or(0);
    let classes = [ErrorClass::InvalidOutput, ErrorClass::Truncated].into_iter().filter(|class| rows(class) > 0);
    classes.max_by_key(rows)
}

/// Returns the highest `max_tokens` among the rows that failed in this run because their answer was truncated. Returns
/// `None` if there are no such rows.
pub(crate) fn longest_truncated(stats: &Stats) -> Option<u32> {
    stats.failed.get(&ErrorClass::Truncated).map(|failed| failed.max_tokens).filter(|tokens| *tokens > 0)
}

/// Returns which changes the failed rows need. Rows that can succeed unchanged are left out. There is one line per
/// error class, the largest class first.
pub(crate) fn to_change(log: &BTreeMap<ErrorClass, u64>, stats: &Stats) -> Vec<String> {
    let retried = worth_retrying(log, stats);
    let mut classes: Vec<_> = log.iter().filter(|(class, rows)| **rows > 0 && !retried.contains(class)).collect();
    classes.sort_by_key(|(_, rows)| std::cmp::Reverse(**rows));
    classes.into_iter().map(|(class, _)| format!("{class}: {}", change(*class))).collect()
}

/// Returns a text about rows in the error log that the run did not read, such as the old form of a corrected row.
pub(crate) fn elsewhere(rows: u64) -> String {
    match rows {
        1 => "with 1 row that this run did not read".to_owned(),
        rows => format!("with {} rows that this run did not read", count(rows)),
    }
}

/// Returns what the user should change in a row that failed with this error class.
fn change(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::InvalidInput => "correct these rows in the input, then run the input again",
        ErrorClass::InvalidRequest => {
            "the API will refuse these rows again; correct them in the input, then run the input again"
        }
        ErrorClass::TooLarge => "shorten these rows in the input, then run the input again",
        ErrorClass::Auth => "give the key the permissions that these rows need, then try them again",
        ErrorClass::Refused => "the model refused to answer; change these prompts, or ask another model",
        ErrorClass::Truncated => "the answers are cut off; they need a larger max_tokens, or shorter prompts",
        ErrorClass::InvalidOutput => {
            "the answers can't be used, and the error log says why; change the prompts or the rules for answers"
        }
        ErrorClass::RateLimit
        | ErrorClass::Overloaded
        | ErrorClass::Server
        | ErrorClass::Timeout
        | ErrorClass::Network
        | ErrorClass::Billing
        | ErrorClass::Canceled
        | ErrorClass::Expired => "change these rows in the input, then run the input again",
    }
}

/// Returns the line about failed rows that `--quiet` prints. The line has the number of failed rows, the most common
/// error class with an example, and the path of the log. `None` if no row failed.
pub(crate) fn in_one_line(log: &BTreeMap<ErrorClass, u64>, stats: &Stats, errors: &str) -> Option<String> {
    // Canceled rows are left out, because they are pending, not failed.
    let failed = || log.iter().filter(|(class, rows)| **class != ErrorClass::Canceled && **rows > 0);
    let (class, most) = failed().max_by_key(|(class, rows)| (**rows, std::cmp::Reverse(**class)))?;
    let all: u64 = failed().map(|(_, rows)| rows).sum();
    let share = if *most == all { String::new() } else { format!(", {} of them", count(*most)) };
    let own = stats.failed.get(class).filter(|_| !stopped_the_run(*class, stats));
    let example = own.and_then(FailedRows::example);
    let example = example.map(|row| format!(" ({})", words(row))).unwrap_or_default();
    let rows = plural(all, "row", "rows");
    Some(format!("{rows} failed{share} with {class}{example}; the error log is {}", escape(errors)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::stats::tests::{at, started};
    use super::super::text::is_steering;
    use super::*;
    use crate::domain::{EventBody, Failure, Usage};

    #[test]
    fn five_classes_have_an_example_and_the_rest_is_counted() {
        let failed = ErrorClass::ALL.iter().take(7).rev().zip(1..);
        let stats = stats(failed.flat_map(|(class, rows)| (0..rows).map(|_| (*class, "it failed", true))));

        let reasons = reasons(&stats);

        assert_eq!(reasons.len(), 6);
        assert!(reasons[0].ends_with("invalid_input (7): row r0, status 500, \"it failed\""), "{reasons:?}");
        assert_eq!(reasons[5], "3 rows of 2 other classes");
    }

    #[test]
    fn the_same_message_of_many_rows_is_said_once_with_a_count() {
        let class = ErrorClass::InvalidInput;
        let messages = |row: u32| match row {
            0 => "has no text".to_owned(),
            1..=400 => format!("max_tokens is {row}, above 64000"),
            _ => format!("is odd in its own way {}", "x".repeat(row as usize - 400)),
        };
        let all: Vec<_> = (0..406).map(messages).collect();
        let stats = stats(all.iter().map(|message| (class, message.as_str(), false)));

        let reasons = reasons(&stats);

        assert_eq!(
            reasons[..2],
            [
                "invalid_input (400): row r0, status 500, \"max_tokens is 1, above 64000\"",
                "invalid_input (1): row r0, status 500, \"has no text\""
            ]
        );
        assert_eq!((reasons.len(), reasons[3].as_str()), (4, "invalid_input (4): other messages"));
    }

    #[test]
    fn the_failure_that_stopped_the_run_is_not_shown_twice() {
        let class = ErrorClass::InvalidRequest;
        let mut stats = stats([(class, "wrong", false), (ErrorClass::Server, "broken", true)]);
        let reason = HaltReason::AllFail { rows: 10, finished: 10, class, failure: Failure::default() };
        let (shares, uses, elapsed) = (Vec::new(), Vec::new(), std::time::Duration::ZERO);
        let reason = Some(Box::new(reason));
        let ended =
            EventBody::Ended { pending: 0, reason, reasons: shares, uses, elapsed, max_in_flight: 1, batches: None };
        stats.fold(&at(2, ended));

        let log = BTreeMap::from([(class, 10)]);

        assert_eq!(
            reasons(&stats),
            ["server (1): row r0, status 500, \"broken\"", "invalid_request (1): explained below"]
        );
        let line = in_one_line(&log, &stats, "e.jsonl");
        assert_eq!(line.as_deref(), Some("10 rows failed with invalid_request; the error log is e.jsonl"));
    }

    #[test]
    fn the_line_in_quiet_mode_has_count_class_example_and_log() {
        let stats = stats([
            (ErrorClass::Server, "broken", true),
            (ErrorClass::InvalidRequest, "max_tokens: is wrong", false),
            (ErrorClass::InvalidRequest, "other", false),
        ]);
        let log =
            BTreeMap::from([(ErrorClass::Server, 1), (ErrorClass::InvalidRequest, 2), (ErrorClass::Canceled, 90)]);
        let one_class = BTreeMap::from([(ErrorClass::Timeout, 3)]);
        let canceled = BTreeMap::from([(ErrorClass::Canceled, 90), (ErrorClass::Server, 0)]);

        assert_eq!(
            in_one_line(&log, &stats, "p.errors.jsonl").as_deref(),
            Some(
                "3 rows failed, 2 of them with invalid_request (row r0, status 500, \"max_tokens: is wrong\"); the error \
                 log is p.errors.jsonl"
            )
        );
        assert_eq!(
            in_one_line(&one_class, &Stats::default(), "e\n").as_deref(),
            Some("3 rows failed with timeout; the error log is e\\n")
        );
        assert_eq!(in_one_line(&canceled, &stats, "e"), None);
    }

    #[test]
    fn a_class_of_earlier_runs_is_judged_by_its_name_and_a_class_of_this_run_by_its_rows() {
        let stats = stats([(ErrorClass::InvalidOutput, "not whole", false), (ErrorClass::Server, "broken", true)]);
        let log = |rows: u64| BTreeMap::from([(ErrorClass::InvalidOutput, rows), (ErrorClass::TooLarge, 4)]);

        assert_eq!(worth_retrying(&log(1), &stats), []);
        assert_eq!(worth_retrying(&log(2), &stats), [ErrorClass::InvalidOutput]);
        assert_eq!(
            to_change(&log(2), &stats),
            ["too_large: shorten these rows in the input, then run the input again"]
        );
    }

    #[test]
    fn the_larger_class_of_answers_is_worth_asking_for_again_and_refusals_are_not() {
        use ErrorClass::{InvalidOutput, Refused, Truncated};
        let log = |truncated, invalid| BTreeMap::from([(Truncated, truncated), (InvalidOutput, invalid), (Refused, 9)]);

        assert_eq!(
            [log(3, 2), log(2, 3), log(2, 2)].map(|log| worth_asking_again(&log)),
            [Some(Truncated), Some(InvalidOutput), Some(Truncated)]
        );
        assert_eq!(worth_asking_again(&log(0, 0)), None);
    }

    #[test]
    fn the_room_of_truncated_answers_is_the_largest_of_this_run() {
        let mut stats = stats([(ErrorClass::Server, "broken", true)]);
        assert_eq!(longest_truncated(&stats), None);
        for max_tokens in [64, 1_024, 300] {
            let row = Box::new(FailedRow { max_tokens, ..FailedRow::new("r0", Some(200), "cut off", false) });
            let class = ErrorClass::Truncated;
            stats.fold(&at(
                1,
                EventBody::Failed { class, row, usage: Usage::default(), cost: None, without_cache: None },
            ));
        }

        assert_eq!(longest_truncated(&stats), Some(1_024));
    }

    proptest! {
        #[test]
        fn every_class_of_a_log_is_either_retried_or_has_a_change_to_make(
            rows in proptest::collection::vec((0..ErrorClass::ALL.len(), any::<bool>()), 0..30),
            earlier in proptest::collection::btree_map(0..ErrorClass::ALL.len(), 0_u64..3, 0..8),
        ) {
            let own = rows.iter().map(|(class, may_pass)| (ErrorClass::ALL[*class], "it failed", *may_pass));
            let stats = stats(own.clone());
            let mut log: BTreeMap<_, u64> = earlier.iter().map(|(class, rows)| (ErrorClass::ALL[*class], *rows)).collect();
            own.for_each(|(class, ..)| *log.entry(class).or_default() += 1);

            let (again, change) = (worth_retrying(&log, &stats), to_change(&log, &stats));

            let in_log = log.iter().filter(|(_, rows)| **rows > 0).count();
            prop_assert_eq!(again.len() + change.len(), in_log);
            for class in again {
                let prefix = format!("{class}: ");
                prop_assert!(!change.iter().any(|line| line.starts_with(&prefix)));
                prop_assert!(class.may_pass() || stats.failed[&class].retryable > 0);
            }
        }

        #[test]
        fn no_text_of_a_row_or_server_controls_the_terminal(label in any::<String>(), message in any::<String>()) {
            let row = Box::new(FailedRow::new(&label, None, &message, true));
            let class = ErrorClass::Network;
            let mut stats = Stats::default();
            stats.fold(&at(1, EventBody::Failed { class, row, usage: Usage::default(), cost: None, without_cache: None }));
            let log = BTreeMap::from([(class, 1)]);

            let shown = [reasons(&stats), in_one_line(&log, &stats, &label).into_iter().collect()].concat().concat();

            prop_assert!(!shown.chars().any(is_steering), "{shown:?}");
        }
    }

    /// Returns the counters of a run with these failed rows. Each row has a class, a message, and a flag. The flag says
    /// whether the unchanged row may succeed later.
    fn stats<'a>(rows: impl IntoIterator<Item = (ErrorClass, &'a str, bool)>) -> Stats {
        let mut stats = Stats::default();
        stats.fold(&at(0, started(Some(1_000), 0)));
        for (class, message, is_retryable) in rows {
            let row = Box::new(FailedRow::new("r0", Some(500), message, is_retryable));
            stats.fold(&at(
                1,
                EventBody::Failed { class, row, usage: Usage::default(), cost: None, without_cache: None },
            ));
        }
        stats
    }
}
