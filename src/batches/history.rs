//! Reads what the log of batches says about every batch of a run, including collected batches. Commands that show
//! batches use this module.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::BatchesError;
use super::log::{Record, Replayed, Submitted, read_each};
use super::open::folder_of_batches;
use crate::journal::Disk;

/// The state of a chunk (the rows of one batch).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The answers of the chunk are not collected yet, and the API may have a batch with the chunk's rows.
    Open,
    /// Each row of the chunk either was sent again, or has a line in the results or the error log.
    Collected,
    /// The answers of the chunk are lost, and its rows were sent again.
    Lost,
}

/// A chunk of rows that was submitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chapter {
    /// The chunk, with its batch.
    pub(crate) submitted: Submitted,
    /// The state of the chunk.
    pub(crate) fate: Fate,
}

/// Returns all chunks that were submitted and not rejected by the API, in the order of their numbers. Returns `None` if
/// the run has no log of batches. Changes nothing.
///
/// # Errors
/// [`BatchesError`]
pub(crate) fn history(disk: &dyn Disk, results: &Path) -> Result<Option<Vec<Chapter>>, BatchesError> {
    let (mut replayed, mut ended) = (Replayed::default(), BTreeMap::new());
    let has_log = read_each(disk, &folder_of_batches(results), |record| {
        let end = match &record {
            Record::Collected { chunk } => Some((*chunk, Fate::Collected)),
            Record::Lost { chunk, .. } => Some((*chunk, Fate::Lost)),
            Record::Intent { .. }
            | Record::Created { .. }
            | Record::Adopted { .. }
            | Record::Refused { .. }
            | Record::Foreign { .. }
            | Record::Workspace { .. }
            | Record::Canceling { .. }
            | Record::Proven { .. } => None,
        };
        if let Some((chunk, fate)) = end
            && let Some(submitted) = replayed.open.get(&chunk).cloned()
        {
            ended.insert(chunk, Chapter { submitted, fate });
        }
        replayed.apply(record);
    })?;
    if !has_log {
        return Ok(None);
    }
    let open = replayed.open.into_iter().map(|(chunk, submitted)| (chunk, Chapter { submitted, fate: Fate::Open }));
    ended.extend(open);
    Ok(Some(ended.into_values().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::MemDisk;

    #[test]
    fn collected_and_lost_batches_are_remembered_and_refused_batches_are_not() {
        let disk = MemDisk::new();
        let at = "2026-11-26T10:00:00Z";
        let mut log = String::new();
        for chunk in 0..5 {
            log += &format!(
                "{{\"v\":1,\"type\":\"intent\",\"chunk\":{chunk},\"rows\":2,\"bytes\":9,\"nonce\":\"n\",\"at_most\":7,\"at\":\"{at}\"}}\n"
            );
        }
        log += &format!(
            "{{\"v\":1,\"type\":\"created\",\"chunk\":0,\"id\":\"b_0\",\"created_at\":\"{at}\",\"expires_at\":\"{at}\"}}\n"
        );
        log += "{\"v\":1,\"type\":\"collected\",\"chunk\":0}\n{\"v\":1,\"type\":\"refused\",\"chunk\":1}\n";
        log += "{\"v\":1,\"type\":\"lost\",\"chunk\":3,\"rows\":2,\"at_most\":7}\n";
        disk.create_folder(Path::new("o.jsonl.batches")).expect("a folder");
        disk.put("o.jsonl.batches/log.jsonl", log.as_bytes());

        let found = history(&disk, Path::new("o.jsonl")).expect("it can be read").expect("there is a log");

        let fates: Vec<_> = found.iter().map(|chapter| (chapter.submitted.chunk, chapter.fate)).collect();
        assert_eq!(fates, [(0, Fate::Collected), (2, Fate::Open), (3, Fate::Lost), (4, Fate::Open)]);
        assert_eq!(found[0].submitted.batch.as_ref().map(|batch| batch.id.as_str()), Some("b_0"));
        assert_eq!(history(&disk, Path::new("other.jsonl")).expect("it can be read"), None);
    }
}
