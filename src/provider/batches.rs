//! Batches: many requests that are sent in one upload, and whose results are fetched hours later.
//!
//! This module has the calls of an API for batches, and the values that are read from its answers. The wire form of the
//! calls and answers belongs to each provider.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

use super::{BodySource, HeadNews, ReplyHead, WireRequest};
use crate::domain::{PoolId, Request, Verdict};

/// A call of an API for batches.
#[derive(Clone, Debug)]
pub enum BatchCall<'a> {
    /// Creates a batch. The source is the whole body of the call.
    Create(Arc<dyn BodySource>),
    /// Lists the batches of the workspace, the newest first.
    List {
        /// The id of the last batch of the page before; `None` for the first page.
        after: Option<&'a str>,
    },
    /// Asks for the state of a batch.
    Retrieve(&'a str),
    /// Downloads the results of a batch that has ended.
    Results {
        /// The id of the batch.
        id: &'a str,
        /// The address of the results, as the API gave it ([`Batch::results_url`]). It is used only if it is on the
        /// server and below the path of `base_url`. The address that follows from `id` is used otherwise.
        url: Option<&'a str>,
        /// The root of the API's paths ([`crate::transport::Transport::base_url`]); empty if it is not known.
        base_url: &'a str,
    },
    /// Asks the API to cancel a batch. The batch ends some time later.
    Cancel(&'a str),
    /// Deletes a batch that has ended, with its results.
    Delete(&'a str),
}

/// The state of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchStatus {
    /// Requests are waiting or running. A state that this program does not know counts as this state.
    InProgress,
    /// The batch is being canceled, and has not ended yet.
    Canceling,
    /// All requests have ended, and the results can be read.
    Ended,
}

/// The number of requests of a batch in each state.
///
/// Until the batch has ended, all requests count as `processing`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchCounts {
    /// Requests that have not ended.
    pub processing: u64,
    /// Requests that were answered.
    pub succeeded: u64,
    /// Requests that ended with an error.
    pub errored: u64,
    /// Requests that were canceled before they ran.
    pub canceled: u64,
    /// Requests that did not run in time.
    pub expired: u64,
}

impl BatchCounts {
    /// Returns the number of requests in the batch.
    pub fn total(&self) -> u64 {
        let Self { processing, succeeded, errored, canceled, expired } = *self;
        [succeeded, errored, canceled, expired].into_iter().fold(processing, u64::saturating_add)
    }
}

/// A batch, as the API describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The API's id of the batch. It can be part of a path.
    pub id: String,
    /// The state of the batch.
    pub status: BatchStatus,
    /// The number of requests in each state.
    pub counts: BatchCounts,
    /// When the batch was created, by the clock of the server.
    pub created_at: Timestamp,
    /// When requests that have not begun expire.
    pub expires_at: Timestamp,
    /// When the batch ended.
    pub ended_at: Option<Timestamp>,
    /// When somebody asked to cancel the batch.
    pub cancel_initiated_at: Option<Timestamp>,
    /// When the results were removed. After that they can't be read.
    pub archived_at: Option<Timestamp>,
    /// The address of the results; `None` until the batch has ended. It comes from the server and can name any host.
    pub results_url: Option<String>,
}

/// A page of a list of batches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchPage {
    /// The batches, the newest first.
    pub batches: Vec<Batch>,
    /// Whether there are older batches.
    pub has_more: bool,
    /// The id of the last batch of this page. The next page begins after it.
    pub last_id: Option<String>,
}

/// A line of the results of a batch: how one of its requests ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchLine<'a> {
    /// The id that the request was given when the batch was created.
    pub custom_id: Cow<'a, str>,
    /// How the request ended.
    pub end: BatchEnd,
}

/// How a request of a batch ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchEnd {
    /// The request was answered. The value is the message, in the API's own bytes.
    Succeeded(Bytes),
    /// The request ended with an error, and was not billed. The value is the error object, in the API's own bytes.
    Errored(Bytes),
    /// The request was canceled before it ran, and was not billed.
    Canceled,
    /// The request did not run in time, and was not billed.
    Expired,
}

/// An API for batches.
///
/// The text of each error is short and fit for people.
pub trait BatchApi: Send + Sync {
    /// Returns the request for a call.
    ///
    /// # Errors
    /// An id has characters that could change the path.
    fn encode(&self, call: BatchCall<'_>, route: &Arc<PoolId>) -> Result<WireRequest, String>;

    /// Reads the answer to a call that creates, retrieves or cancels a batch. Unknown members are ignored.
    ///
    /// # Errors
    /// The body is not a batch.
    fn read_batch(&self, body: &[u8]) -> Result<Batch, String>;

    /// Reads the answer to a call that lists batches. Unknown members are ignored.
    ///
    /// # Errors
    /// The body is not a page of batches.
    fn read_page(&self, body: &[u8]) -> Result<BatchPage, String>;

    /// Reads a line of results. The message or error in it is not copied.
    ///
    /// # Errors
    /// The line is not a result, or the request ended in a way that this program does not know.
    fn read_line<'l>(&self, line: &'l Bytes) -> Result<BatchLine<'l>, String>;

    /// Returns what the end of a request means for its row. An answer and an error have the verdict that they would
    /// have outside a batch, but an error was never paid. `asked` is the request.
    ///
    /// Returns `None` for [`BatchEnd::Canceled`] and [`BatchEnd::Expired`]: such a request never ran.
    fn judge_end(&self, end: BatchEnd, asked: &Request) -> Option<Verdict>;

    /// Returns the facts in the head of a failed call, and what the failure means. The call failed because the status is
    /// not 200 to 299. `body` is the body, or the part of it that arrived. `now` returns wall-clock time.
    ///
    /// The verdict is the same as for a message, with one exception: a 404 is [`Verdict::Transient`], because the API can
    /// answer 404 for some minutes although the batch exists. Its failure has the status 404.
    fn judge_call(&self, head: &ReplyHead, body: &[u8], now: &dyn Fn() -> Timestamp) -> (HeadNews, Verdict);

    /// Returns the organization and the workspace to which the key belongs; `None` if the head of the answer does not
    /// name them. A key of another workspace does not see these batches.
    fn workspace(&self, _head: &ReplyHead) -> Option<String> {
        None
    }

    /// Returns the name of the first member of a request that can't be used in batches; `None` if there is none.
    fn refused_in_batches(&self, request: &Request) -> Option<&'static str>;
}
