//! Batches: many requests that are sent in one upload. The results of a batch are fetched hours after the upload.
//!
//! This module defines the calls to an API for batches, and the values that are read from the API's answers. Each
//! provider has code of its own that writes the calls as HTTP requests and reads the answers.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

use super::{BodySource, HeadNews, ReplyHead, WireRequest};
use crate::domain::{PoolId, Request, Verdict};

/// A call to an API for batches.
#[derive(Clone, Debug)]
pub enum BatchCall<'a> {
    /// Creates a batch. The field provides the whole body of the call.
    Create(Arc<dyn BodySource>),
    /// Lists the batches of the workspace, the newest first.
    List {
        /// The id of the last batch on the previous page; `None` for the first page.
        after: Option<&'a str>,
    },
    /// Asks for the state of a batch.
    Retrieve(&'a str),
    /// Downloads the results of a batch that has ended.
    Results {
        /// The id of the batch.
        id: &'a str,
        /// The address of the results, as the API gave it ([`Batch::results_url`]). The address is used only if it is
        /// on the server of `base_url` and below the path of `base_url`. If the address is on another server, it is
        /// ignored, and the program makes the address from `id`.
        url: Option<&'a str>,
        /// The base address of the API, to which paths are added ([`crate::transport::Transport::base_url`]); empty if
        /// it is not known.
        base_url: &'a str,
    },
    /// Asks the API to cancel a batch. The batch ends some time later.
    Cancel(&'a str),
    /// Deletes a batch that has ended, and deletes its results too.
    Delete(&'a str),
}

/// The state of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchStatus {
    /// Requests are waiting or running. A state that this program does not know counts as `InProgress` too.
    InProgress,
    /// The batch is being canceled, and has not ended yet.
    Canceling,
    /// All requests have ended, and the results can be read.
    Ended,
}

/// The number of requests of a batch in each state.
///
/// All requests are counted as `processing` until the batch has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchCounts {
    /// The number of requests that have not ended.
    pub processing: u64,
    /// The number of requests that were answered.
    pub succeeded: u64,
    /// The number of requests that ended with an error.
    pub errored: u64,
    /// The number of requests that were canceled before they ran.
    pub canceled: u64,
    /// The number of requests that did not run before the batch expired.
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
    /// The API's id of the batch. The id has been checked, so it can safely be part of a path.
    pub id: String,
    /// The state of the batch.
    pub status: BatchStatus,
    /// The number of requests of the batch in each state.
    pub counts: BatchCounts,
    /// The time when the batch was created, by the clock of the server.
    pub created_at: Timestamp,
    /// The time when the batch expires. Requests that have not begun by this time expire with the batch.
    pub expires_at: Timestamp,
    /// The time when the batch ended; `None` until then.
    pub ended_at: Option<Timestamp>,
    /// The time when somebody asked to cancel the batch; `None` if nobody did.
    pub cancel_initiated_at: Option<Timestamp>,
    /// The time when the API removed the results; `None` until then.
    pub archived_at: Option<Timestamp>,
    /// The address of the results; `None` until the batch has ended. The address comes from the server and is not
    /// checked here, so it can name another host.
    pub results_url: Option<String>,
}

/// A page of a list of batches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchPage {
    /// The batches on this page, the newest first.
    pub batches: Vec<Batch>,
    /// Whether there are older batches after this page.
    pub has_more: bool,
    /// The id of the last batch of this page. The next page begins after this batch.
    pub last_id: Option<String>,
}

/// A result line of a batch; the line says how one of the requests ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchLine<'a> {
    /// The id that this program gave the request when it created the batch.
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
    /// The request did not run before the batch expired, and was not billed.
    Expired,
}

/// The batch API of a provider.
///
/// Each error is a short text that can be shown to people.
pub trait BatchApi: Send + Sync {
    /// Returns the HTTP request for a call of the batch API.
    ///
    /// # Errors
    /// Returns an error if an id has characters that could change the path.
    fn encode(&self, call: BatchCall<'_>, route: &Arc<PoolId>) -> Result<WireRequest, String>;

    /// Reads the answer to a call that creates, retrieves or cancels a batch. Unknown members of the answer are
    /// ignored.
    ///
    /// # Errors
    /// Returns an error if the body is not a batch.
    fn read_batch(&self, body: &[u8]) -> Result<Batch, String>;

    /// Reads the answer to a call that lists batches. Unknown members of the answer are ignored.
    ///
    /// # Errors
    /// Returns an error if the body is not a page of batches.
    fn read_page(&self, body: &[u8]) -> Result<BatchPage, String>;

    /// Reads a line of results. The message or the error in the line is not copied.
    ///
    /// # Errors
    /// Returns an error if the line is not a result, or if the request ended in a way that this program does not know.
    fn read_line<'l>(&self, line: &'l Bytes) -> Result<BatchLine<'l>, String>;

    /// Returns what the outcome of a request means for its row. Answers and errors get the same verdict as outside a
    /// batch. But an error in a batch was never billed. `asked` is the request.
    ///
    /// Returns `None` for [`BatchEnd::Canceled`] and [`BatchEnd::Expired`], because a canceled or expired request never
    /// ran.
    fn judge_end(&self, end: BatchEnd, asked: &Request) -> Option<Verdict>;

    /// Returns the facts in the response head (status and headers) of a failed call, and the verdict on the failure. A
    /// call has failed if its status is not 200 to 299. `body` is the part of the body that arrived. `now` returns
    /// wall-clock time.
    ///
    /// The verdict is the same as for a message, with one exception: for status 404, the verdict is
    /// [`Verdict::Transient`]. The API can answer 404 for some minutes although the batch exists.
    fn judge_call(&self, head: &ReplyHead, body: &[u8], now: &dyn Fn() -> Timestamp) -> (HeadNews, Verdict);

    /// Returns the organization and the workspace to which the key belongs; `None` if the headers of the answer do not
    /// name them. A key of another workspace can't see the batches of this workspace.
    fn workspace(&self, _head: &ReplyHead) -> Option<String> {
        None
    }

    /// Returns the name of the first request member that can't be used in batches; `None` if there is none.
    fn refused_in_batches(&self, request: &Request) -> Option<&'static str>;
}
