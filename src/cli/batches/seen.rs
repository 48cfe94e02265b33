//! Asks the API for the states of the batches of a run.

use std::collections::HashMap;

use anyhow::Result;

use super::find::RunWithBatches;
use super::known::{KnownBatch, Owner};
use super::workspace::Workspace;
use crate::batches::Fate;
use crate::cli::config::world::World;
use crate::cli::exit::Exit;
use crate::provider::Batch;

/// The batches of a run, and what is known about them.
pub(crate) struct Seen {
    pub(crate) batches: Vec<KnownBatch>,
    /// The reason why the API was not asked, or did not answer; `None` if the API answered.
    pub(crate) unknown: Option<String>,
    /// The exit code of the program.
    pub(crate) exit: Exit,
    /// The server that was asked.
    pub(crate) origin: Option<String>,
}

/// Asks the API for the state of the open batches of a run. If the API can't be asked, only the log of batches is used.
pub(crate) fn seen(named: &RunWithBatches, world: &World) -> Result<Seen> {
    let open = named.chapters.iter().filter(|chapter| chapter.fate == Fate::Open);
    let known: Vec<_> = open.filter_map(|chapter| chapter.submitted.batch.as_ref()).collect();
    let wanted: Vec<&str> = known.iter().map(|batch| batch.id.as_str()).collect();
    let oldest = known.iter().map(|batch| batch.created_at).min();
    let mut seen = Seen { batches: Vec::new(), unknown: None, exit: Exit::Done, origin: None };
    let mut listed: HashMap<String, Batch> = HashMap::new();
    if let Some(oldest) = oldest {
        if let Some(why) = named.is_elsewhere()? {
            (seen.unknown, seen.exit) = (Some(why), Exit::Usage);
        } else if !Workspace::has_key(&named.config) {
            seen.unknown = Some("there is no key, so the API was not asked; set ANTHROPIC_API_KEY".to_owned());
        } else {
            let workspace = Workspace::open(&named.config, world)?;
            seen.origin = Some(workspace.origin().to_owned());
            match workspace.find(&wanted, oldest) {
                Ok(found) => listed = found,
                Err(stopped) => (seen.unknown, seen.exit) = (Some(stopped.message), stopped.exit),
            }
        }
    }
    let was_asked = seen.unknown.is_none();
    let chapters = named.chapters.iter().cloned();
    seen.batches = chapters
        .map(|chapter| {
            let batch = chapter.submitted.batch.as_ref().and_then(|known| listed.remove(&known.id));
            let owner = Owner { results: named.results.clone(), chapter };
            KnownBatch::of_run(owner, was_asked, batch)
        })
        .collect();
    Ok(seen)
}
