//! A batch, as the log of its run and the API describe it.

use std::path::PathBuf;

use jiff::Timestamp;

use crate::batches::{Chapter, Fate};
use crate::provider::{Batch, BatchCounts, BatchStatus};
use crate::report::text::count;

/// A batch.
#[derive(Clone, Debug)]
pub(crate) struct KnownBatch {
    /// The id of the batch; `None` if the reply to its submission was lost.
    pub(crate) id: Option<String>,
    /// The state.
    pub(crate) state: State,
    /// The number of rows in the batch.
    pub(crate) rows: u64,
    /// When the batch was created, by the API's clock. If the API gave no time, this is the time at which the batch was
    /// submitted.
    pub(crate) created_at: Timestamp,
    /// When the batch expires. The API starts no more rows of an expired batch.
    pub(crate) expires_at: Option<Timestamp>,
    /// The API's description of the batch; `None` if the API was not asked or does not list the batch.
    pub(crate) batch: Option<Batch>,
    /// The run to which the batch belongs; `None` if no run is known.
    pub(crate) owner: Option<Owner>,
}

/// The run that submitted a batch.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    /// The results file of the run.
    pub(crate) results: PathBuf,
    /// The entries about the batch in the log of the run.
    pub(crate) chapter: Chapter,
}

/// The state of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    InProgress,
    Canceling,
    /// The batch has ended. If the batch belongs to a run, the run has not collected the results yet.
    Ended,
    /// The API has removed the results of the batch.
    Archived,
    /// The results of the batch are in the files of its run.
    Collected,
    /// The run no longer waits for the answers of the batch.
    Lost,
    /// The reply to the submission was lost, so it is not known whether the batch exists.
    Unclear,
    /// The API does not list the batch.
    Missing,
    /// The API was not asked for the state of the batch.
    Unknown,
}

impl State {
    /// Returns the name of the state in tables and documents.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::InProgress => "in progress",
            Self::Canceling => "canceling",
            Self::Ended => "ended",
            Self::Archived => "archived",
            Self::Collected => "collected",
            Self::Lost => "lost",
            Self::Unclear => "unclear",
            Self::Missing => "missing",
            Self::Unknown => "unknown",
        }
    }

    /// Returns the state that the API reports.
    fn of(batch: &Batch) -> Self {
        match batch.status {
            _ if batch.archived_at.is_some() => Self::Archived,
            BatchStatus::InProgress => Self::InProgress,
            BatchStatus::Canceling => Self::Canceling,
            BatchStatus::Ended => Self::Ended,
        }
    }
}

impl KnownBatch {
    /// Returns a batch of a run. `was_asked` says whether the API was asked about the batch, and `batch` is the answer
    /// of the API.
    pub(crate) fn of_run(owner: Owner, was_asked: bool, batch: Option<Batch>) -> Self {
        let submitted = &owner.chapter.submitted;
        let known = submitted.batch.as_ref();
        let state = match (owner.chapter.fate, &batch, known) {
            (Fate::Collected, ..) => State::Collected,
            (Fate::Lost, ..) => State::Lost,
            (Fate::Open, Some(batch), _) => State::of(batch),
            (Fate::Open, None, None) => State::Unclear,
            (Fate::Open, None, Some(_)) if was_asked => State::Missing,
            (Fate::Open, None, Some(_)) => State::Unknown,
        };
        Self {
            id: known.map(|known| known.id.clone()),
            state,
            rows: u64::from(submitted.rows),
            created_at: known.map_or(submitted.at, |known| known.created_at),
            expires_at: known.map(|known| known.expires_at),
            batch,
            owner: Some(owner),
        }
    }

    /// Returns a batch that the API lists. `owner` is the run of the batch; `None` if no run is known.
    pub(crate) fn of_workspace(batch: Batch, owner: Option<Owner>) -> Self {
        if let Some(owner) = owner {
            return Self::of_run(owner, true, Some(batch));
        }
        Self {
            id: Some(batch.id.clone()),
            state: State::of(&batch),
            rows: batch.counts.total(),
            created_at: batch.created_at,
            expires_at: Some(batch.expires_at),
            batch: Some(batch),
            owner: None,
        }
    }

    /// Returns the id of the batch. If the batch has no id, returns another name, which messages can show.
    pub(crate) fn name(&self) -> String {
        match (&self.id, &self.owner) {
            (Some(id), _) => id.clone(),
            (None, Some(owner)) => format!("chunk {}", owner.chapter.submitted.chunk),
            (None, None) => "no id".to_owned(),
        }
    }

    /// Returns whether the batch belongs to a run that waits for its results.
    pub(crate) fn is_open(&self) -> bool {
        self.owner.as_ref().is_some_and(|owner| owner.chapter.fate == Fate::Open)
    }

    /// If the API says that the batch has ended, returns a text with the outcomes of its requests. Otherwise, returns
    /// `None`.
    pub(crate) fn counts(&self) -> Option<String> {
        let batch = self.batch.as_ref().filter(|batch| batch.status == BatchStatus::Ended)?;
        let BatchCounts { processing: _, succeeded, errored, canceled, expired } = batch.counts;
        let named = [(succeeded, "succeeded"), (errored, "errored"), (canceled, "canceled"), (expired, "expired")];
        let parts = named.into_iter().filter(|(rows, _)| *rows > 0);
        let words: Vec<_> = parts.map(|(rows, name)| format!("{} {name}", count(rows))).collect();
        Some(if words.is_empty() { "no rows".to_owned() } else { words.join(", ") })
    }
}
