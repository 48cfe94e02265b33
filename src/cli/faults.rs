//! Makes messages about faults of rows in the input. If many rows have the same fault, one message shows how many.

use crate::domain::{Alike, Group};
use crate::report::text::{count, escape, plural};
use crate::runner::input::Survey;

/// The highest number of broken rows that `check` shows one by one. The other broken rows are only counted.
pub(super) const SHOWN: usize = 20;
/// Before a run, at most this many different faults are listed.
const BEFORE_A_RUN: usize = 5;

/// Returns the commonest fault as the end of a sentence, for example: `the commonest problem: p.jsonl:7: has an empty
/// prompt (12 rows like this); 3 rows have other faults`.
pub(super) fn in_one_line(faults: &Alike<String>) -> String {
    let groups = faults.by_size();
    let Some(most) = groups.first() else { return String::new() };
    let rest = groups.iter().skip(1).map(|group| group.rows).sum::<u64>() + faults.others();
    let others = match rest {
        0 => String::new(),
        1 => "; 1 row has another fault".to_owned(),
        rows => format!("; {} rows have other faults", count(rows)),
    };
    let which = if rest > 0 && most.rows > 1 { "the commonest problem" } else { "the first problem" };
    format!("{which}: {}{others}", words(most))
}

/// Returns the lines about rows that can't be sent. The program prints these lines before the run. Returns one line if
/// all faulty rows have the same fault; otherwise returns a line with the number of rows, and a line for each fault.
pub(super) fn before_a_run(survey: &Survey) -> Vec<String> {
    let groups = survey.faults.by_size();
    let said = format!("{} can't be sent and will be in the error log", plural(survey.unusable, "row", "rows"));
    if groups.len() < 2 {
        return vec![format!("{said}; {}", in_one_line(&survey.faults))];
    }
    let mut lines = vec![format!("{said}:")];
    lines.extend(groups.iter().take(BEFORE_A_RUN).map(|group| format!("  {}", words(group))));
    let rest = groups.iter().skip(BEFORE_A_RUN).map(|group| group.rows).sum::<u64>() + survey.faults.others();
    lines.extend((rest > 0).then(|| format!("  and {} with other faults", plural(rest, "row", "rows"))));
    lines
}

/// Returns the lines of `check` about rows that can't be sent: first each fault with its number of rows, and then the
/// broken rows one by one. If every row has a different fault, the list of rows is left out.
pub(super) fn listed(survey: &Survey) -> Vec<String> {
    let groups = survey.faults.by_size();
    let mut lines: Vec<String> = groups.iter().map(|group| words(group)).collect();
    if survey.faults.others() > 0 {
        lines.push(format!("and {} with other faults", plural(survey.faults.others(), "row", "rows")));
    }
    if groups.len() as u64 == survey.unusable {
        return lines;
    }
    lines.push("row by row:".to_owned());
    lines.extend(survey.unusable_shown.iter().map(|row| format!("  {}", escape(row))));
    let more = survey.unusable.saturating_sub(survey.unusable_shown.len() as u64);
    lines.extend((more > 0).then(|| format!("  and {} more", count(more))));
    lines
}

fn words(group: &Group<String>) -> String {
    let first = escape(&group.first);
    match group.rows {
        1 => first.into_owned(),
        rows => format!("{first} ({} rows like this)", count(rows)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alike(rows: &[(&str, u64)]) -> Alike<String> {
        let mut faults = Alike::default();
        for (message, rows) in rows {
            (0..*rows).for_each(|row| faults.add(message, || format!("p.jsonl:{row}: {message}")));
        }
        faults
    }

    fn survey(faults: &[(&str, u64)], shown: &[String]) -> Survey {
        Survey {
            unusable: faults.iter().map(|(_, rows)| rows).sum(),
            faults: alike(faults),
            unusable_shown: shown.to_vec(),
            ..Survey::default()
        }
    }

    #[test]
    fn the_same_fault_in_many_rows_is_said_once() {
        let line = |rows: &[(&str, u64)]| in_one_line(&alike(rows));

        assert_eq!(line(&[("is empty", 1)]), "the first problem: p.jsonl:0: is empty");
        assert_eq!(line(&[("is empty", 4_120)]), "the first problem: p.jsonl:0: is empty (4,120 rows like this)");
        assert_eq!(
            line(&[("is odd", 1), ("is \u{1b}", 2)]),
            "the commonest problem: p.jsonl:0: is \\u{1b} (2 rows like this); 1 row has another fault"
        );
        assert_eq!(line(&[("a", 1), ("b", 1), ("c", 1)]), "the first problem: p.jsonl:0: a; 2 rows have other faults");
    }

    #[test]
    fn a_run_says_each_fault_with_its_count_beforehand() {
        let one = before_a_run(&survey(&[("is empty", 3)], &[]));
        let several = before_a_run(&survey(&[("is odd", 1), ("is empty", 3)], &[]));
        let many: Vec<_> = ["a", "b", "c", "d", "e", "f", "g"].map(|message| (message, 1)).into();

        let said = "3 rows can't be sent and will be in the error log; the first problem: p.jsonl:0: is empty (3 rows like this)";
        assert_eq!(one, [said]);
        let said = "4 rows can't be sent and will be in the error log:";
        assert_eq!(several, [said, "  p.jsonl:0: is empty (3 rows like this)", "  p.jsonl:0: is odd"]);
        assert_eq!(
            before_a_run(&survey(&many, &[])).last().map(String::as_str),
            Some("  and 2 rows with other faults")
        );
    }

    #[test]
    fn check_lists_faults_before_rows() {
        let rows = ["p.jsonl:0: is empty", "p.jsonl:9: is empty", "p.jsonl:10: is odd"].map(str::to_owned);

        let each_its_own = listed(&survey(&[("is empty", 1), ("is odd", 1)], &rows[1..]));
        let same = listed(&survey(&[("is empty", 4), ("is odd", 1)], &rows));

        assert_eq!(each_its_own, ["p.jsonl:0: is empty", "p.jsonl:0: is odd"]);
        let expected = [
            "p.jsonl:0: is empty (4 rows like this)",
            "p.jsonl:0: is odd",
            "row by row:",
            "  p.jsonl:0: is empty",
            "  p.jsonl:9: is empty",
            "  p.jsonl:10: is odd",
            "  and 2 more",
        ];
        assert_eq!(same, expected);
        assert!(listed(&Survey::default()).is_empty());
    }
}
