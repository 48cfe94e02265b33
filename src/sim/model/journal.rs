//! A line for each request, for those who watch or keep a journal.

use serde::Serialize;

/// What happens to one request, as far as this is known when it arrives.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Line {
    /// When it arrived, in seconds since the start.
    pub at_s: f64,
    /// `request-id` of the answer.
    pub request_id: String,
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// The model, as the request names it.
    pub model: Option<String>,
    /// A hash of the request's content, the same for each attempt.
    pub body: Option<String>,
    /// `metadata.user_id`.
    pub user_id: Option<String>,
    /// The status of the response; `None` when the connection breaks or no response is sent.
    pub status: Option<u16>,
    /// Why the answer is a 429.
    pub reason: Option<&'static str>,
    /// The rule of the fault plan that applied, from 0.
    pub fault: Option<usize>,
    /// Input tokens of an admitted call, cached ones included.
    pub input_tokens: Option<u64>,
    /// Output tokens that it will have.
    pub output_tokens: Option<u64>,
    /// When its head comes, in seconds since the start.
    pub head_at_s: Option<f64>,
}

/// Where lines go.
type Sink = Box<dyn FnMut(&Line) + Send>;

/// The current line, if somebody watches.
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
    /// Sends every line to `sink` from here on.
    pub(super) fn watch(&mut self, sink: Sink) {
        self.sink = Some(sink);
    }

    /// Changes the line, if somebody watches.
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

    /// Sends the line and begins the next.
    pub(super) fn send(&mut self) {
        if let Some(sink) = &mut self.sink {
            sink(&std::mem::take(&mut self.line));
        }
    }
}
