//! Says how many rows were answered in batches and online, and how much money the half price of batches saved.

use super::stats::Stats;
use super::tallies::BatchRows;
use super::text::{count, escape, plural};
use crate::domain::Money;

/// Returns lines that say how many rows were answered in batches and online, and which parameters batches do not
/// accept. Returns no lines for a run without batches.
pub(super) fn lines(stats: &Stats) -> Vec<String> {
    let BatchRows { rows, saved } = stats.batch_rows;
    let mut lines = Vec::new();
    if rows > 0 {
        let saved = if saved > Money::ZERO { format!(" (saved {saved})") } else { String::new() };
        let online = stats.succeeded_total().saturating_sub(rows + stats.taken.rows());
        let online = if online > 0 { format!(", {} online", count(online)) } else { String::new() };
        lines.push(format!("{} in batches at half price{saved}{online}", count(rows)));
    }
    let refused = stats.ending.iter().flat_map(|ending| &ending.batches.refused);
    let refused: Vec<_> =
        refused.map(|(name, rows)| format!("{} with {}", plural(*rows, "row", "rows"), escape(name))).collect();
    if !refused.is_empty() {
        lines.push(format!("sent online, because batches refuse them: {}", refused.join(", ")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::stats::tests::{at, in_batch, started, succeeded};
    use super::*;
    use crate::domain::{BatchesEnd, EventBody, Quality};

    #[test]
    fn rows_in_batches_are_counted_apart_with_the_money_that_they_saved() {
        let mut stats = Stats::default();
        stats.fold(&at(0, started(Some(10), 0)));
        (0..4).for_each(|_| stats.fold(&at(1, in_batch())));
        let before = lines(&stats);
        stats.fold(&at(1, succeeded(Quality::Ok)));

        assert_eq!(before, ["4 in batches at half price (saved $0.0400)"]);
        assert_eq!(lines(&stats), ["4 in batches at half price (saved $0.0400), 1 online"]);
        assert_eq!(stats.finished(), 5);
    }

    #[test]
    fn the_parameters_that_batches_refuse_are_named() {
        let mut stats = Stats::default();
        let refused = vec![("fallbacks".to_owned(), 1), ("speed\u{1b}".to_owned(), 1_200)];
        let EventBody::Ended { pending, reason, reasons, uses, elapsed, max_in_flight, .. } =
            super::super::stats::tests::ended()
        else {
            unreachable!()
        };
        let batches = Some(Box::new(BatchesEnd { refused, ..BatchesEnd::default() }));
        stats.fold(&at(1, EventBody::Ended { pending, reason, reasons, uses, elapsed, max_in_flight, batches }));

        let expected = r"sent online, because batches refuse them: 1 row with fallbacks, 1,200 rows with speed\u{1b}";
        assert_eq!(lines(&stats), [expected]);
    }
}
