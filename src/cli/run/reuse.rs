//! Prepares a run in which rows take existing answers instead of being sent: answers of earlier results (`--reuse`) and
//! answers of equal rows (`--dedupe`).

use std::sync::Arc;

use anyhow::{Context, Result};

use super::super::reuse::{Taker, read_stored};
use super::new_run::NewRun;
use super::send::Known;
use crate::journal::{RealDisk, Start, StoredAnswers};
use crate::report::text::{count, plural};
use crate::runner::input::{Survey, is_seekable};
use crate::runner::{EqualRows, JournalLedger};

impl NewRun<'_> {
    /// Reads the results that `--reuse` names. The results must be read before the run creates its files.
    pub(super) fn read_stored(&mut self) -> Result<()> {
        if self.config.reuse.is_empty() {
            return Ok(());
        }
        let taker = Taker {
            own: self.paths.results.as_deref(),
            origin: &self.origin,
            any_origin: self.config.reuse_any_origin,
            working_folder: &self.world.working_folder,
        };
        let (stored, notes) = read_stored(&self.config.reuse, &taker, &RealDisk::new(self.config.owners))?;
        notes.iter().for_each(|note| self.say(note));
        self.stored = Some(Arc::new(stored));
        self.check_interrupted()
    }

    /// Returns what the run knows about equal rows before it sends the first row; `None` without `--dedupe`.
    pub(super) fn equal_rows(&self, ledger: &mut JournalLedger, known: &Known) -> Result<Option<EqualRows>> {
        if !self.config.dedupe {
            return Ok(None);
        }
        let (_, recovered, survey) = known;
        // The survey is used only if it has seen all rows. If a survey has seen only some rows, it does not know which
        // of these rows are equal to unseen rows.
        let is_whole = self.config.source.skip == 0 && self.config.source.limit.is_none();
        let has_seen_all = is_seekable(&self.plan) && self.start != Start::Resume && is_whole;
        let repeats = survey.as_ref().filter(|_| has_seen_all).map(|survey| survey.equal.clone());
        let earlier = match &self.paths.results {
            Some(results) if !recovered.done.is_empty() => {
                let disk = RealDisk::new(self.config.owners);
                Some(StoredAnswers::of_own_results(results, repeats.as_ref(), &disk)?)
            }
            Some(_) => None,
            None => {
                let file =
                    RealDisk::private_file().context("can't create a private file for the answers of equal rows")?;
                ledger.keep_answers_in(file);
                None
            }
        };
        Ok(Some(EqualRows::new(repeats, earlier)))
    }

    /// Returns what the first line of a run says about the rows that are not sent: ` (5 done by earlier runs)`.
    pub(super) fn not_sent_words(survey: &Survey) -> String {
        let parts = [
            (survey.done, "done by earlier runs"),
            (survey.submitted, "in open batches"),
            (survey.reused, "reused"),
            (survey.copied, "copied from equal rows"),
        ];
        let parts = parts.iter().filter(|(rows, _)| *rows > 0);
        let words = parts.map(|(rows, what)| format!("{} {what}", count(*rows))).collect::<Vec<_>>().join(", ");
        if words.is_empty() { words } else { format!(" ({words})") }
    }

    /// Returns a line about equal requests that are all sent because `--dedupe` is missing; `None` if there are no such
    /// requests. `cost_of_share` takes a share of the rows to be sent, and returns their likely cost as text; `None` if
    /// the cost is not known.
    pub(super) fn equal_words(&self, survey: &Survey, cost_of_share: impl Fn(f64) -> Option<String>) -> Option<String> {
        let (rows, repeated) = (survey.to_send, survey.repeated);
        if self.config.dedupe || repeated == 0 {
            return None;
        }
        let cost = cost_of_share(repeated as f64 / rows as f64);
        let cost = cost.map(|cost| format!(" (about {cost} less)")).unwrap_or_default();
        Some(match repeated + 1 == rows {
            true => format!(
                "warning: all {} rows have the same request; --dedupe sends it once and copies the answer{cost}",
                count(rows)
            ),
            false => format!(
                "note: {} of the {} repeat the request of an earlier row; --dedupe sends each request once{cost}",
                count(repeated),
                plural(rows, "row", "rows")
            ),
        })
    }
}
