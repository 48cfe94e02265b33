//! A line for each request. The lines are for the simulator's journal, and for people who watch the simulator.

use serde::Serialize;

/// What will happen to one request. It contains only what is known when the request arrives.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Line {
    /// When it arrived, in seconds since the start.
    pub at_s: f64,
    /// The `request-id` of the answer.
    pub request_id: String,
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// The model's name in the request.
    pub model: Option<String>,
    /// A hash of the request's content, the same for all attempts of a row.
    pub body: Option<String>,
    /// The batch that it created, read or changed.
    pub batch: Option<String>,
    /// The number of requests in this batch.
    pub requests: Option<u64>,
    /// `metadata.user_id`.
    pub user_id: Option<String>,
    /// The status of the response; `None` when the connection breaks or no response is sent.
    pub status: Option<u16>,
    /// Why the answer is a 429.
    pub reason: Option<&'static str>,
    /// The number of the rule of the fault plan that applied, from 0.
    pub fault: Option<usize>,
    /// The number of the rule of the answer plan that made the answer, from 0.
    pub answer: Option<usize>,
    /// Input tokens of an admitted call, including cached tokens.
    pub input_tokens: Option<u64>,
    /// The part of these tokens that is read from the cache.
    pub cache_read_tokens: Option<u64>,
    /// The part of these tokens that is written to the cache.
    pub cache_write_tokens: Option<u64>,
    /// Output tokens that the call will have.
    pub output_tokens: Option<u64>,
    /// When the head is sent, in seconds since the start.
    pub head_at_s: Option<f64>,
}

/// The function that receives the lines.
type Sink = Box<dyn FnMut(&Line) + Send>;

/// The current line, if there is a watcher.
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

    /// Changes the current line, if there is a watcher.
    pub(super) fn note(&mut self, change: impl FnOnce(&mut Line)) {
        if self.sink.is_some() {
            change(&mut self.line);
        }
    }

    /// Notes the model and the hash of the request.
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
