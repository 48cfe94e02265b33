//! Finds the shape (the kind of parameters) of each request, and sends the first request of each shape online.
//!
//! If the parameters of a batch request have errors, the API reports them only after the whole batch has ended. So the
//! first request of each shape is sent online, as an ordinary row. The other rows of this shape are put into batches
//! only after this first request was answered. If the first request fails, the next row of this shape is sent online,
//! and so on, until the `--halt` rule ends the run.
//!
//! A shape is the model, the names of the parameters, and the values of some parameters. The values belong to the
//! parameters that the API checks most strictly: tools, schemas and the thinking settings. Texts, numbers and lengths
//! are not part of a shape.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::domain::json::Cursor;
use crate::domain::{JobId, Planned, Request};

/// The parameters whose values are part of a shape.
const CHECKED: [&[u8]; 5] = [b"tools", b"tool_choice", b"output_config", b"thinking", b"mcp_servers"];
/// The largest number of shapes with the same model and the same parameter names. Shapes beyond this number ignore the
/// values of the parameters. Without this limit, a run in which each row has its own tools would send all its rows
/// online.
const MOST_VALUES: usize = 32;
/// How many rows can wait for the first answer of their shape, and how many bytes these rows can have together.
const MOST_WAITING: (usize, usize) = (512, 16 << 20);

/// What the batch lane does with a row.
#[derive(Debug)]
pub(crate) enum Trial {
    /// The row can go into a batch.
    Proven(Planned),
    /// The row is the first of its shape and is sent online.
    First(Planned),
    /// The row waits for the first answer of its shape.
    Waits,
}

/// The shapes that already have an online answer, and the rows that wait for the first answer to a row of their shape.
#[derive(Debug, Default)]
pub(crate) struct Trials {
    proven: HashSet<String>,
    /// The different parameter values of the shapes, for each combination of a model and parameter names.
    values: HashMap<String, HashSet<String>>,
    in_flight: HashMap<JobId, String>,
    waiting: VecDeque<(String, Planned)>,
    waiting_bytes: usize,
}

impl Trials {
    /// Returns the state at the start of a run. The API has already accepted requests of these shapes.
    pub(crate) fn new(proven: HashSet<String>) -> Self {
        Self { proven, ..Self::default() }
    }

    /// Returns whether the row is the first of its shape. From now on, the shape counts as accepted.
    pub(crate) fn is_first(&mut self, planned: &Planned) -> bool {
        let shape = self.shape_of(planned);
        self.proven.insert(shape)
    }

    /// Decides whether a row is put into a batch, is sent online, or waits.
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

    /// Notes the end of a row that was sent online. Returns the shape of the row if the row was answered, because the
    /// answer shows that the API accepts this shape.
    pub(crate) fn on_end(&mut self, job: JobId, is_answered: bool) -> Option<String> {
        let shape = self.in_flight.remove(&job).filter(|_| is_answered)?;
        self.proven.insert(shape.clone()).then_some(shape)
    }

    /// Returns a row that no longer has to wait. Either the API has accepted the shape of this row, or the online test
    /// of this shape with another row has failed.
    pub(crate) fn next_freed(&mut self) -> Option<Planned> {
        let is_free = |shape: &String| self.proven.contains(shape) || !self.in_flight.values().any(|own| own == shape);
        let at = self.waiting.iter().position(|(shape, _)| is_free(shape))?;
        let (_, planned) = self.waiting.remove(at)?;
        self.waiting_bytes -= planned.bytes();
        Some(planned)
    }

    /// Removes all waiting rows and returns them.
    pub(crate) fn take_waiting(&mut self) -> impl Iterator<Item = Planned> {
        self.waiting_bytes = 0;
        self.waiting.drain(..).map(|(_, planned)| planned)
    }

    /// Returns true if the first row of a shape is in flight, or if other rows wait for its answer.
    pub(crate) fn is_busy(&self) -> bool {
        !self.in_flight.is_empty() || !self.waiting.is_empty()
    }

    /// Returns whether rows wait until another row is answered.
    pub(crate) fn is_awaited(&self) -> bool {
        !self.in_flight.is_empty() && !self.waiting.is_empty()
    }

    /// Returns whether reading must stop, because too many rows wait.
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

/// Returns the names of a request's parameters in alphabetical order, and a short hash of the values that belong to the
/// shape.
fn parts(request: &Request) -> (String, String) {
    let json = request.json();
    let (mut names, mut values) = (Vec::new(), Vec::new());
    // The result is ignored, because a request that this program has written is always a JSON object.
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
