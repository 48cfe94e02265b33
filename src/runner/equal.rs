//! Rows with equal requests (`--dedupe`): one of them is sent, and the others copy its answer.
//!
//! The first of several equal rows is the *leader*: it is passed to the scheduler. Equal rows that come before the
//! leader has ended are *parked*: they wait in this module. What happens to the parked rows (the rows that wait)
//! depends on how the leader ends:
//! - The leader has an answer. The line of the leader is written, and then the parked rows copy the answer. The program
//!   remembers the place of the leader's line. Equal rows that come later read the answer at this place and copy it.
//! - The leader has failed, or stays pending for a later run. If the leader has no answer, the next parked row becomes
//!   the leader.
//!
//! A run does not end normally while rows are parked. When a run is halted, parked rows stay pending like all other
//! rows.
//!
//! Rows are compared by their keys (hashes of their requests). To save memory, only half of the key is kept for each
//! answer. Before an answer is copied, the row's whole key is compared with the key in the line of the answer. If the
//! keys differ, the row is sent.

use std::collections::{HashMap, VecDeque};

use crate::domain::{JobKey, Planned, StoredAnswer};
use crate::journal::StoredAnswers;
use crate::plan::{NumberOf, Repeats, half};

/// The largest number of parked rows (rows that wait for an equal row). When this many rows are parked, the loop
/// accepts no more rows. If all rows are equal, up to `MOST_ROWS` rows copy the first answer at once.
const MOST_ROWS: usize = 10_000;
/// The largest size of all parked rows together, in bytes.
const MOST_BYTES: usize = 16 << 20;

/// Rows with equal requests, and the answers that they can copy.
#[derive(Default)]
pub struct EqualRows {
    /// The keys that several rows share. If the input is a pipe, these keys are not known, and the value is `None`.
    repeats: Option<Repeats>,
    /// The answers that earlier runs wrote to the same results file.
    earlier: Option<StoredAnswers>,
    /// The places of this run's answers. Each key of the map is half of a row's key.
    places: NumberOf,
    /// A map from the key of a leader (a row that was sent) to the parked rows that wait for this leader.
    leaders: HashMap<JobKey, VecDeque<Planned>>,
    /// The rows that can copy an answer now. Each row has the place of the answer that it copies.
    due: VecDeque<(Planned, u64)>,
    /// The rows that have become leaders. These rows are passed to the scheduler next.
    freed: VecDeque<Planned>,
    /// The number of rows in this struct, and the size of these rows in bytes.
    rows: usize,
    bytes: usize,
    /// The answer that was copied last, with its place.
    pub(super) last: Option<(u64, StoredAnswer)>,
    /// Whether the user was told that answers can't be kept for equal rows.
    pub(super) has_warned: bool,
}

impl EqualRows {
    /// Returns an `EqualRows` without rows. `repeats` contains the keys that several rows share; `None` if these keys
    /// are not known. `earlier` contains the answers that earlier runs wrote to the same results file.
    pub fn new(repeats: Option<Repeats>, earlier: Option<StoredAnswers>) -> Self {
        Self { repeats, earlier, ..Self::default() }
    }

    /// Accepts a row. Returns the row if it must be sent, because there is no answer to copy or to wait for.
    pub(super) fn admit(&mut self, planned: Planned) -> Option<Planned> {
        let key = planned.job.key;
        if self.repeats.as_ref().is_some_and(|repeats| !repeats.contains(key)) {
            return Some(planned);
        }
        match self.place_of(key) {
            Some(place) if !self.leaders.contains_key(&key) => {
                self.count_in(&planned);
                self.due.push_back((planned, place));
                None
            }
            Some(_) | None => self.lead_or_park(planned),
        }
    }

    /// Accepts a row that is run again because its answer was truncated, or because the model refused to answer. A row
    /// that is run again copies only an answer of this run. Returns the row if it must be sent.
    pub(super) fn admit_rerun(&mut self, planned: Planned) -> Option<Planned> {
        match self.places.get(half(planned.job.key)) {
            Some(place) => {
                self.count_in(&planned);
                self.due.push_back((planned, place));
                None
            }
            None => self.lead_or_park(planned),
        }
    }

    /// Records that an open batch of an earlier run contains a row with this key. That row leads.
    pub(super) fn note_leader(&mut self, key: JobKey) {
        if self.repeats.as_ref().is_none_or(|repeats| repeats.contains(key)) && self.place_of(key).is_none() {
            self.leaders.entry(key).or_default();
        }
    }

    /// Makes a row the leader of all rows with its key. Returns the row, which must then be sent. If the key already
    /// has a leader, parks the row (makes it wait) and returns `None`.
    pub(super) fn lead_or_park(&mut self, planned: Planned) -> Option<Planned> {
        let key = planned.job.key;
        if self.leaders.contains_key(&key) {
            self.count_in(&planned);
            self.leaders.entry(key).or_default().push_back(planned);
            return None;
        }
        self.leaders.insert(key, VecDeque::new());
        Some(planned)
    }

    fn place_of(&self, key: JobKey) -> Option<u64> {
        self.places.get(half(key)).or_else(|| self.earlier.as_ref()?.offset(key))
    }

    /// Records that the leader of a key has an answer, which can be read at `place`.
    pub(super) fn on_answer(&mut self, key: JobKey, place: u64) {
        let Some(parked) = self.leaders.remove(&key) else { return };
        self.places.set(half(key), place);
        self.due.extend(parked.into_iter().map(|planned| (planned, place)));
    }

    /// Records that the leader of a key has ended without an answer. The next parked row with the key becomes the
    /// leader.
    pub(super) fn on_end(&mut self, key: JobKey) {
        let Some(mut parked) = self.leaders.remove(&key) else { return };
        if let Some(next) = parked.pop_front() {
            self.leaders.insert(key, parked);
            self.freed.push_back(next);
        }
    }

    /// Returns whether a key has a leader: a row that was sent and has not ended.
    pub(super) fn leads(&self, key: JobKey) -> bool {
        self.leaders.contains_key(&key)
    }

    /// Returns whether there is a row that can copy an answer now.
    pub(super) fn has_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// Returns the next row that can copy an answer, and the place of that answer.
    pub(super) fn next_due(&mut self) -> Option<(Planned, u64)> {
        let (planned, place) = self.due.pop_front()?;
        self.count_out(&planned);
        Some((planned, place))
    }

    /// Returns the next row that has become a leader and must be sent.
    pub(super) fn next_freed(&mut self) -> Option<Planned> {
        let planned = self.freed.pop_front()?;
        self.count_out(&planned);
        Some(planned)
    }

    fn count_in(&mut self, planned: &Planned) {
        self.rows += 1;
        self.bytes += planned.bytes();
    }

    fn count_out(&mut self, planned: &Planned) {
        self.rows -= 1;
        self.bytes -= planned.bytes();
    }

    /// Returns whether the number or the size of the parked rows has reached its limit.
    pub(super) fn is_full(&self) -> bool {
        self.rows >= MOST_ROWS || self.bytes >= MOST_BYTES
    }

    /// Returns whether this struct contains no rows.
    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Returns all rows that are still in this struct.
    pub(super) fn into_rows(self) -> impl Iterator<Item = Planned> {
        let parked = self.leaders.into_values().flatten();
        self.due.into_iter().map(|(planned, _)| planned).chain(self.freed).chain(parked)
    }
}

#[cfg(test)]
mod tests;
