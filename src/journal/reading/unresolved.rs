//! The failures that still count: for each row, the latest entry of the error log and its offset.
//!
//! In these cases, an entry does not count any more:
//! - The request of the entry has an answer, or another request of the row was answered later.
//! - The error log has a later entry for the same row.
//! - The row was never sent, and a later run read the whole input without writing an entry for it.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::record::ErrorRecord;
use crate::domain::{ErrorClass, RowId};
use crate::journal::charges::Charges;

/// The reason why a row has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryKind {
    /// The row was sent and has failed.
    Failed,
    /// The row was rejected before it was sent.
    Rejected,
    /// The row could not be read.
    Broken,
    /// The row is not finished: its last answer was not accepted, and the row needs another request.
    Unfinished,
}

/// An error log entry that still counts.
#[derive(Clone, Debug)]
struct Entry {
    key: u64,
    class: ErrorClass,
    /// Offset of the entry's line in the error log.
    offset: u64,
    is_unsent: bool,
    /// Whether the line has charges. If so, it can also contain the answer that was paid for.
    is_paid: bool,
    is_row: bool,
    is_of_this_run: bool,
    /// The charges of the line, if the row is not finished. A later line of the row also contains these charges.
    unfinished: Option<Charges>,
    last_at: Option<jiff::Timestamp>,
    /// The key and the time of the answer to the row; `None` if the results contain no answer to the row.
    answer: Option<(u64, Option<jiff::Timestamp>)>,
}

/// The entries that still count, by the label of their row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unresolved {
    rows: HashMap<u64, Entry>,
    /// The offsets of lines whose charges are also in a later line of the same row.
    absorbed: HashSet<u64>,
}

impl Unresolved {
    /// Adds an entry that was read from the log. The new entry replaces an earlier entry of the same row. Returns
    /// charges that must be added to the sums, because no later line can contain them.
    pub(crate) fn read(&mut self, record: &ErrorRecord, offset: u64) -> Charges {
        let entry = Entry {
            key: record.row.key,
            class: record.class,
            offset,
            is_unsent: record.is_unsent,
            is_paid: record.charges != Charges::default(),
            is_row: record.is_row,
            is_of_this_run: false,
            unfinished: record.is_unfinished.then_some(record.charges),
            last_at: record.last_at,
            answer: None,
        };
        let mut charges = self.replace(record.row, Some(entry));
        if !record.is_unfinished {
            charges += record.charges;
        }
        charges
    }

    /// Replaces the entry of a row, because a later line of the row (an entry or an answer) was found. Returns the
    /// charges of the entry if its row is unfinished and the later line is about another request. If the later line is
    /// about the same request, the later line already contains these charges.
    fn replace(&mut self, row: RowId, by: Option<Entry>) -> Charges {
        let old = match by {
            Some(entry) => self.rows.insert(row.label, entry),
            None => self.rows.remove(&row.label),
        };
        match old {
            Some(Entry { unfinished: Some(_), key, offset, .. }) if key == row.key => {
                self.absorbed.insert(offset);
                Charges::default()
            }
            Some(Entry { unfinished: Some(charges), .. }) => charges,
            Some(Entry { unfinished: None, .. }) | None => Charges::default(),
        }
    }

    /// Adds an entry that this run is writing at `offset`. The new entry replaces an earlier entry of the same row.
    pub(crate) fn append(&mut self, row: RowId, class: ErrorClass, kind: EntryKind, offset: u64) {
        let entry = Entry {
            key: row.key,
            class,
            offset,
            is_unsent: matches!(kind, EntryKind::Rejected | EntryKind::Broken),
            is_paid: false,
            is_row: kind != EntryKind::Broken,
            is_of_this_run: true,
            // The charges of this run's lines are counted elsewhere. Here, the member `unfinished` only says whether
            // the row is unfinished.
            unfinished: (kind == EntryKind::Unfinished).then(Charges::default),
            last_at: None,
            answer: None,
        };
        self.replace(row, Some(entry));
    }

    /// Remembers an answer that was read from the results. Call this function in the order of the lines, because only
    /// the last answer of a row counts.
    pub(crate) fn note_answer(&mut self, row: RowId, ended_at: Option<jiff::Timestamp>) {
        if let Some(entry) = self.rows.get_mut(&row.label) {
            entry.answer = Some((row.key, ended_at));
        }
    }

    /// Returns whether there is an entry for the row, or for another row with the same label.
    pub(crate) fn has(&self, row: RowId) -> bool {
        self.rows.contains_key(&row.label)
    }

    /// Removes an entry if its request has an answer, or if another request of its row was answered after the entry.
    ///
    /// Returns the charges of unfinished rows. If the line of an answer also contains a charge, this charge is left
    /// out. An answer line that is older than the entry does not contain the entry's charges, because the row was run
    /// again after that line.
    pub(crate) fn remove_answered(&mut self) -> Charges {
        let mut charges = Charges::default();
        let absorbed = &mut self.absorbed;
        self.rows.retain(|_, entry| {
            let is_later = |answered_at| entry.last_at.is_none_or(|failed_at| failed_at >= answered_at);
            let stays = match (entry.answer, entry.unfinished) {
                (Some((key, Some(answered_at))), Some(_)) if key == entry.key => {
                    entry.last_at.is_some_and(|failed_at| failed_at > answered_at)
                }
                (Some((key, _)), _) if key == entry.key => false,
                (Some((_, Some(answered_at))), _) => is_later(answered_at),
                (Some((_, None)) | None, _) => true,
            };
            let is_contained = !stays && entry.answer.is_some_and(|(key, _)| key == entry.key);
            match entry.unfinished {
                Some(_) if is_contained => _ = absorbed.insert(entry.offset),
                Some(own) => charges += own,
                None => {}
            }
            stays
        });
        charges
    }

    /// Removes the entry of a row that this run has answered.
    pub(crate) fn remove(&mut self, row: RowId) {
        // In most runs, there are no entries to remove.
        if !self.rows.is_empty() {
            self.replace(row, None);
        }
    }

    /// Removes the entries of rows that an earlier run has answered on standard output. Returns the charges of
    /// unfinished rows that must be added to the sums.
    pub(crate) fn remove_rows(&mut self, rows: &[RowId]) -> Charges {
        let mut charges = Charges::default();
        rows.iter().for_each(|row| charges += self.replace(*row, None));
        charges
    }

    /// Returns whether a row is unfinished.
    pub(crate) fn has_unfinished(&self, row: RowId) -> bool {
        self.rows.get(&row.label).is_some_and(|entry| entry.key == row.key && entry.unfinished.is_some())
    }

    /// Returns whether the entry of a row stays although this run has rejected the row before it was sent. The entry of
    /// a row that was sent stays, because the rejection says nothing new about the row's request. If the request has
    /// changed, the entry stays only if it was paid for.
    pub(crate) fn outlasts_rejection(&self, row: RowId) -> bool {
        let outlasts = |entry: &Entry| !entry.is_unsent && (entry.key == row.key || entry.is_paid);
        self.rows.get(&row.label).is_some_and(outlasts)
    }

    /// For each unfinished row, returns the offset of its line.
    pub(crate) fn unfinished(&self) -> Vec<u64> {
        self.rows.values().filter(|entry| entry.unfinished.is_some()).map(|entry| entry.offset).collect()
    }

    /// Returns whether a later line contains the charges of the line at this offset.
    pub(crate) fn is_absorbed(&self, offset: u64) -> bool {
        self.absorbed.contains(&offset)
    }

    /// Removes the entries of rows that were never sent. Entries that this run wrote are kept. Call this function only
    /// if the run read the whole input.
    pub(crate) fn remove_stale_unsent(&mut self) {
        self.rows.retain(|_, entry| !entry.is_unsent || entry.is_of_this_run);
    }

    /// Returns the offsets of the entries that still count.
    pub(crate) fn offsets(&self) -> HashSet<u64> {
        self.rows.values().map(|entry| entry.offset).collect()
    }

    /// After compaction has moved entries, sets their new offsets. Compaction removed all entries that it did not move.
    pub(crate) fn move_to(&mut self, offsets: &HashMap<u64, u64>) {
        // The old offsets are no longer valid, because other lines can be at these offsets now.
        self.absorbed.clear();
        for entry in self.rows.values_mut() {
            entry.offset = offsets.get(&entry.offset).copied().unwrap_or(entry.offset);
        }
    }

    /// Returns the offsets of the entries whose rows can be run again. If `only` is not empty, rows with other error
    /// classes are left out.
    pub(crate) fn row_offsets(&self, only: &[ErrorClass]) -> HashSet<u64> {
        let is_wanted = |entry: &&Entry| entry.is_row && (only.is_empty() || only.contains(&entry.class));
        self.rows.values().filter(is_wanted).map(|entry| entry.offset).collect()
    }

    /// Returns how many rows have an entry.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns the entries that still count, in no particular order. For each entry, returns its class, the offset of
    /// its line, and whether the row is unfinished.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (ErrorClass, u64, bool)> {
        self.rows.values().map(|entry| (entry.class, entry.offset, entry.unfinished.is_some()))
    }

    /// Returns how many entries still count, by class.
    pub(crate) fn by_class(&self) -> BTreeMap<ErrorClass, u64> {
        let mut counts = BTreeMap::new();
        self.rows.values().for_each(|entry| *counts.entry(entry.class).or_default() += 1);
        counts
    }

    /// Returns the key and the class of each entry, by label, for [`super::DoneSet`]. A row that was not sent gets the
    /// class `Canceled`, and an unfinished row too. The reason is that a later run sends or finishes such a row without
    /// a special flag.
    pub(crate) fn keys_and_classes(&self) -> HashMap<u64, (u64, ErrorClass)> {
        let is_waiting = |entry: &Entry| entry.is_unsent || entry.unfinished.is_some();
        let class = |entry: &Entry| if is_waiting(entry) { ErrorClass::Canceled } else { entry.class };
        self.rows.iter().map(|(&label, entry)| (label, (entry.key, class(entry)))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Money, Usage};

    const STEP: bool = true;
    const FAILURE: bool = false;

    #[test]
    fn the_charges_of_a_step_are_in_the_next_line_of_the_same_request() {
        let mut unresolved = Unresolved::default();

        let read = [entry(1, STEP, 5), entry(1, STEP, 7), entry(1, FAILURE, 9)];
        let charges: Vec<Money> =
            (0..).zip(&read).map(|(offset, entry)| unresolved.read(entry, offset).spend).collect();

        // If a later line can contain the charges of a step, these charges are not counted.
        assert_eq!(charges, [Money(0), Money(0), Money(9)]);
        assert_eq!(unresolved.remove_answered().spend, Money(0));
        assert_eq!([0, 1, 2].map(|offset| unresolved.is_absorbed(offset)), [true, true, false]);
    }

    #[test]
    fn the_charges_of_a_step_count_by_themselves_if_the_next_line_is_about_another_request() {
        let mut unresolved = Unresolved::default();
        unresolved.read(&entry(1, STEP, 5), 0);

        let charges = unresolved.read(&entry(2, STEP, 7), 1);

        assert_eq!(charges.spend, Money(5));
        assert!(!unresolved.is_absorbed(0));
        assert_eq!((unresolved.remove_answered().spend, unresolved.unfinished()), (Money(7), vec![1]));
    }

    #[test]
    fn a_later_answer_contains_the_charges_of_a_step_and_an_earlier_answer_does_not() {
        // The step ended at second 100.
        for (key, at, charges, is_absorbed, stays) in [
            (1, 101, 0, true, false),
            (1, 100, 0, true, false),
            (1, 99, 5, false, true),
            (2, 101, 5, false, false),
            (2, 99, 5, false, true),
        ] {
            let mut unresolved = Unresolved::default();
            unresolved.read(&entry(1, STEP, 5), 0);
            unresolved.note_answer(row(key), Some(second(at)));

            let found = unresolved.remove_answered();

            let what = format!("an answer to {key} at {at}");
            assert_eq!((found.spend, unresolved.is_absorbed(0)), (Money(charges), is_absorbed), "{what}");
            assert_eq!((unresolved.has(row(1)), unresolved.has_unfinished(row(1))), (stays, stays), "{what}");
        }
    }

    #[test]
    fn after_compaction_no_offset_belongs_to_a_line_that_is_gone() {
        let mut unresolved = Unresolved::default();
        unresolved.read(&entry(1, STEP, 5), 0);
        unresolved.read(&entry(1, FAILURE, 9), 70);

        unresolved.move_to(&HashMap::from([(70, 0)]));

        assert!(!unresolved.is_absorbed(0));
        assert_eq!(unresolved.offsets(), HashSet::from([0]));
    }

    #[test]
    fn an_answer_of_this_run_contains_the_charges_of_the_steps_that_it_continues() {
        let mut unresolved = Unresolved::default();
        unresolved.read(&entry(1, STEP, 5), 0);
        unresolved.append(row(1), ErrorClass::InvalidOutput, EntryKind::Unfinished, 70);
        assert!(unresolved.has_unfinished(row(1)));

        unresolved.remove(row(1));

        assert!(!unresolved.has(row(1)));
        assert_eq!([0, 70].map(|offset| unresolved.is_absorbed(offset)), [true, true]);
    }

    #[test]
    fn an_unfinished_row_is_run_again_without_a_flag_and_a_failed_row_is_not() {
        let class = |is_unfinished| {
            let mut unresolved = Unresolved::default();
            unresolved.read(&entry(1, is_unfinished, 5), 0);
            unresolved.keys_and_classes()[&row(1).label].1
        };

        assert_eq!((class(STEP), class(FAILURE)), (ErrorClass::Canceled, ErrorClass::InvalidOutput));
    }

    #[test]
    fn the_entry_of_a_row_that_was_sent_outlasts_a_rejection() {
        let outlasts = |spend, is_unsent, key| {
            let mut unresolved = Unresolved::default();
            unresolved.read(&ErrorRecord { is_unsent, ..entry(1, FAILURE, spend) }, 0);
            unresolved.outlasts_rejection(row(key))
        };

        assert!(outlasts(5, false, 1) && outlasts(0, false, 1));
        assert!(outlasts(5, false, 2), "the answer to the earlier request was paid for");
        assert!(!outlasts(0, false, 2) && !outlasts(0, true, 1));
        assert!(!Unresolved::default().outlasts_rejection(row(1)));
    }

    fn row(key: u64) -> RowId {
        RowId { label: 3, key }
    }

    fn second(at: i64) -> jiff::Timestamp {
        jiff::Timestamp::from_second(at).expect("it is a time")
    }

    fn entry(key: u64, is_unfinished: bool, spend: u128) -> ErrorRecord {
        ErrorRecord {
            row: row(key),
            class: ErrorClass::InvalidOutput,
            is_unsent: false,
            is_row: true,
            label: "a".to_owned(),
            is_broken: false,
            is_step: is_unfinished,
            is_unfinished,
            run: "r1".to_owned(),
            results: None,
            last_at: Some(second(100)),
            charges: Charges { usage: Usage::default(), spend: Money(spend), ..Charges::default() },
        }
    }
}
