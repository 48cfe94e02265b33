//! Jobs: prompts to be answered. A later run recognizes each job by its identity.

use std::sync::Arc;

use super::{Ask, Identity, JobKey, Params, Request, RowId};

/// The id of a job in its run: the position of the job's row among all rows that the run reads, counted from 0. Blank
/// lines are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

/// The place from which a row was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The name of the input in messages: the path of the file as the user typed it, or `stdin`.
    pub source: Arc<str>,
    /// The number of the line on which the row starts, counted from 1.
    pub line: u64,
}

/// One row to be answered: its identity and its request. A job never changes. The job's [`Ask`] is the request that is
/// sent for the job at a given moment.
#[derive(Clone, Debug)]
pub struct Job {
    /// The id of the job in this run.
    pub id: JobId,
    /// The label of the row: `<source>:<line>` unless the user gave a label.
    pub custom_id: String,
    /// The key of the row: a hash of its request.
    pub key: JobKey,
    /// The identity by which a later run recognizes the row.
    pub identity: Identity,
    /// A short form of the row's identity, 16 bytes long.
    pub row: RowId,
    /// The row's request. The request contains the row's own parameters and the parameters from flags. If the row and a
    /// flag set the same parameter, the row's own value is used. The request always has `model` and `max_tokens`. The
    /// request never has `stream`, because the runner decides whether an answer is streamed. The key of the row is
    /// computed from this request. If the row fails, the request is part of its entry in the error log.
    pub request: Request,
    /// The fields of the row that are kept but not sent. These fields are members of one JSON object, as raw values.
    pub extra: Params,
    /// The file and line from which the row was read.
    pub origin: Origin,
    /// The row's position, counted from 0, among all rows of the first run that read this row. Blank lines are not
    /// counted. A row from an error log was first read by an earlier run. A row that is not from an error log is read
    /// for the first time, so its position is the same number as `id`.
    pub index: u64,
}

impl Job {
    /// Returns the number of bytes in the job's texts, which are the label, the request, and the fields that are not
    /// sent.
    pub fn bytes(&self) -> usize {
        self.custom_id.len() + self.request.json().len() + self.extra.bytes()
    }
}

/// A job with its next request. The scheduler queues these pairs of job and request.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The job.
    pub job: Box<Job>,
    /// The request that is sent for the job.
    pub ask: Ask,
}

impl Planned {
    /// Returns the number of bytes in the texts of the job and the ask. The first ask of a row and the row's job share
    /// their bytes, so these bytes are counted once.
    pub fn bytes(&self) -> usize {
        let (of_job, of_ask) = (self.job.request.json(), self.ask.request.json());
        let is_shared = of_job.as_ptr() == of_ask.as_ptr();
        self.job.bytes() + if is_shared { 0 } else { of_ask.len() }
    }
}
