//! Shows the states of runs as JSON (`--json`). The schema of a run is `fixtures/schemas/status.schema.json`.

use serde_json::{Map, Value, json};

use super::found::FoundRun;
use crate::watch::status::VERSION;

/// Returns one run as an object, or several runs as the list `runs` of an object.
pub(super) fn document(is_one: bool, runs: &[FoundRun]) -> String {
    match runs {
        [run] if is_one => of_run(run).to_string(),
        _ => json!({ "v": VERSION, "runs": runs.iter().map(of_run).collect::<Vec<_>>() }).to_string(),
    }
}

/// Returns the content of the status file with the current state of the run. Without a status file, returns only the
/// state, the path of the results and the note.
fn of_run(run: &FoundRun) -> Value {
    let mut members = match &run.status {
        Some((Value::Object(members), _)) => members.clone(),
        Some(_) | None => Map::from_iter([("v".to_owned(), VERSION.into())]),
    };
    members.insert("results".to_owned(), run.name().into());
    members.insert("state".to_owned(), run.state.name().into());
    members.insert("note".to_owned(), run.note.clone().into());
    Value::Object(members)
}
