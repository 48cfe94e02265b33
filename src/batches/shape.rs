//! Shapes of requests, and the first request of each shape.
//!
//! In a batch, the API checks the parameters of a request late: an error is seen only when the whole batch has ended.
//! So the first request of each shape is sent online, as an ordinary row. Other rows of its shape go into batches only
//! after it was answered. If it fails, the next row of its shape is sent online, and so on: the `--halt` rule ends
//! this.
//!
//! A shape is the model, the names of the parameters, and the values of those parameters that the API checks most:
//! tools, schemas, thinking. Texts, numbers and lengths do not belong to it.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::domain::json::Cursor;
use crate::domain::{JobId, Planned, Request};

/// The parameters whose values are part of a shape.
const CHECKED: [&[u8]; 5] = [b"tools", b"tool_choice", b"output_config", b"thinking", b"mcp_servers"];
/// If there are more shapes than this with the same model and names, the values are ignored. Otherwise, a run in which
/// each row has its own tools would be sent online as a whole.
const MOST_VALUES: usize = 32;
/// At most this many rows, and this many bytes, wait for the first answer of their shape.
const MOST_WAITING: (usize, usize) = (512, 16 << 20);

/// What the lane does with a row.
#[derive(Debug)]
pub(crate) enum Trial {
    /// The row can go into a batch.
    Proven(Planned),
    /// The row is the first of its shape and is sent online.
    First(Planned),
    /// The row waits for the first answer of its shape.
    Waits,
}

/// Which shapes were answered, and which rows wait for an answer.
#[derive(Debug, Default)]
pub(crate) struct Trials {
    proven: HashSet<String>,
    /// The values of the shapes with the same model and the same names of parameters.
    values: HashMap<String, HashSet<String>>,
    in_flight: HashMap<JobId, String>,
    waiting: VecDeque<(String, Planned)>,
    waiting_bytes: usize,
}

impl Trials {
    /// Returns trials in which these shapes are already proven.
    pub(crate) fn new(proven: HashSet<String>) -> Self {
        Self { proven, ..Self::default() }
    }

    /// Decides what to do with a row.
    pub(crate) fn admit(&mut self, planned: Planned) -> Trial {
        let shape = self.shape_of(&planned);
        if self.proven.contains(&shape) {
            return Trial::Proven(planned);
        }
        if self.in_flight.values().any(|tried| *tried == shape) {
            self.waiting_bytes += planned.bytes();
            self.waiting.push_back((shape, planned));
            return Trial::Waits;
        }
        self.in_flight.insert(planned.job.id, shape);
        Trial::First(planned)
    }

    /// Notes the end of a row that was sent online. Returns the shape of the row, if the end shows that the API accepts
    /// this shape.
    pub(crate) fn on_end(&mut self, job: JobId, is_answered: bool) -> Option<String> {
        let shape = self.in_flight.remove(&job).filter(|_| is_answered)?;
        self.proven.insert(shape.clone()).then_some(shape)
    }

    /// Returns a row that no longer has to wait: its shape is proven, or the row that was tried for it has failed.
    pub(crate) fn next_freed(&mut self) -> Option<Planned> {
        let is_free = |shape: &String| self.proven.contains(shape) || !self.in_flight.values().any(|own| own == shape);
        let at = self.waiting.iter().position(|(shape, _)| is_free(shape))?;
        let (_, planned) = self.waiting.remove(at)?;
        self.waiting_bytes -= planned.bytes();
        Some(planned)
    }

    /// Removes and returns all rows that wait.
    pub(crate) fn take_waiting(&mut self) -> impl Iterator<Item = Planned> {
        self.waiting_bytes = 0;
        self.waiting.drain(..).map(|(_, planned)| planned)
    }

    /// Returns whether a row is on its way, or rows wait.
    pub(crate) fn is_busy(&self) -> bool {
        !self.in_flight.is_empty() || !self.waiting.is_empty()
    }

    /// Returns whether rows wait for an answer to another row.
    pub(crate) fn is_awaited(&self) -> bool {
        !self.in_flight.is_empty() && !self.waiting.is_empty()
    }

    /// Returns whether too many rows wait. No more rows should then be read.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting.len() >= MOST_WAITING.0 || self.waiting_bytes >= MOST_WAITING.1
    }

    fn shape_of(&mut self, planned: &Planned) -> String {
        let (names, values) = parts(&planned.ask.request);
        let names = format!("{} {names}", planned.ask.model);
        if values.is_empty() {
            return names;
        }
        let known = self.values.entry(names.clone()).or_default();
        if known.len() >= MOST_VALUES && !known.contains(&values) {
            return format!("{names} *");
        }
        let shape = format!("{names} {values}");
        known.insert(values);
        shape
    }
}

/// Returns the names of a request's parameters in alphabetical order, and a short hash of the checked values.
fn parts(request: &Request) -> (String, String) {
    let json = request.json();
    let (mut names, mut values) = (Vec::new(), Vec::new());
    // A request that was written by this program is an object.
    let _ = Cursor::new(json).object(|cursor, name| {
        let from = cursor.position();
        cursor.skip_value(crate::domain::json::DEEPEST)?;
        names.push(String::from_utf8_lossy(name).into_owned());
        if CHECKED.contains(&name) {
            values.extend_from_slice(&json[from..cursor.position()]);
        }
        Some(())
    });
    names.sort_unstable();
    let digest = ring::digest::digest(&ring::digest::SHA256, &values);
    let hash = digest.as_ref().iter().take(6).map(|byte| format!("{byte:02x}")).collect::<String>();
    (names.join(","), if values.is_empty() { String::new() } else { hash })
}
