//! Makes a line about each request for the simulator's journal and for the terminal.

use serde::Serialize;

/// A line about one request and its planned response. The line contains only what is known when the request arrives.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Line {
    /// The time at which the request arrived, in seconds since the start.
    pub at_s: f64,
    /// The header `request-id` of the answer.
    pub request_id: String,
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// The name of the model in the request.
    pub model: Option<String>,
    /// A hash of the request's content, the same for all attempts of a row.
    pub body: Option<String>,
    /// The id of the batch that the request created, read or changed.
    pub batch: Option<String>,
    /// The number of requests in the batch.
    pub requests: Option<u64>,
    /// `metadata.user_id`.
    pub user_id: Option<String>,
    /// The status of the response; `None` when the connection breaks or no response is sent.
    pub status: Option<u16>,
    /// The reason for the 429, if the answer is a 429.
    pub reason: Option<&'static str>,
    /// The index of the fault rule that applied to the request, counted from 0.
    pub fault: Option<usize>,
    /// The index of the answer rule that made the answer, counted from 0.
    pub answer: Option<usize>,
    /// The number of input tokens of an admitted call, including cached tokens.
    pub input_tokens: Option<u64>,
    /// The number of input tokens that are read from the cache.
    pub cache_read_tokens: Option<u64>,
    /// The number of input tokens that are written to the cache.
    pub cache_write_tokens: Option<u64>,
    /// The number of output tokens that the call will have.
    pub output_tokens: Option<u64>,
    /// The time at which the response head (status and headers) is sent, in seconds since the start.
    pub head_at_s: Option<f64>,
}

/// The function that receives the lines about requests.
type Sink = Box<dyn FnMut(&Line) + Send>;

/// The line about the current request. If there is a `sink`, it gets this line.
#[derive(Default)]
pub(super) struct Draft {
    line: Line,
    sink: Option<Sink>,
}

impl std::fmt::Debug for Draft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Draft").field("line", &self.line).finish_non_exhaustive()
    }
}

impl Draft {
    /// Sends every line to `sink` from now on.
    pub(super) fn watch(&mut self, sink: Sink) {
        self.sink = Some(sink);
    }

    /// Changes the current line, if there is a `sink`.
    pub(super) fn note(&mut self, change: impl FnOnce(&mut Line)) {
        if self.sink.is_some() {
            change(&mut self.line);
        }
    }

    /// Writes the model and the hash of the request into the current line.
    pub(super) fn model(&mut self, name: &str, body: u64) {
        self.note(|line| {
            line.model = Some(name.to_owned());
            line.body = Some(format!("{body:016x}"));
        });
    }

    /// Sends the current line and begins the next one.
    pub(super) fn send(&mut self) {
        if let Some(sink) = &mut self.sink {
            sink(&std::mem::take(&mut self.line));
        }
    }
}
