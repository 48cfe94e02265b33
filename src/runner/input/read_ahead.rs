//! Reads the input on a thread of its own, ahead of the planning of rows.
//!
//! Reading and parsing are about half of the work of a survey (the first reading of the input). With a single thread,
//! the speed of one core would limit a survey of ten million rows. Rows are passed to the other thread in bundles,
//! because a thread switch costs more time than reading a row. A bundle is limited in rows and in bytes, so the bundles
//! between the threads use little memory.

use std::sync::mpsc::sync_channel;
use std::thread::Scope;

use crate::source::{Item, SourceError};

use super::InputPlan;
use super::reading::{Read, Reading};
use crate::runner::Progress;

/// The highest number of items in a bundle.
const ITEMS: usize = 128;
/// The size in bytes at which a bundle ends. The item with which a bundle reaches this size still belongs to the
/// bundle.
const BYTES: usize = 64 << 10;
/// How many bundles can wait between the threads.
const BUNDLES: usize = 2;

type Given = Result<Read, SourceError>;

/// Reads the whole input on a thread of `scope`. If no thread can be started, reads the input on the caller's thread.
///
/// The thread ends at the end of the input, when the returned iterator is dropped, or when the survey is asked to end.
pub(super) fn read_ahead<'scope>(
    plan: &InputPlan,
    progress: &'scope Progress,
    scope: &'scope Scope<'scope, '_>,
) -> Box<dyn Iterator<Item = Given> + 'scope> {
    let (give, bundles) = sync_channel(BUNDLES);
    let mut reading = Reading::whole(plan);
    let thread = std::thread::Builder::new().name("look".to_owned()).spawn_scoped(scope, move || {
        loop {
            let bundle = bundle_of(&mut reading, progress);
            // Sending fails only if the receiver met an error or was asked to end. In both cases, the receiver needs no
            // more rows.
            if bundle.is_empty() || give.send(bundle).is_err() {
                return;
            }
        }
    });
    match thread {
        Ok(_) => Box::new(bundles.into_iter().flatten()),
        Err(_) => Box::new(Reading::whole(plan).take_while(|_| progress.on_row())),
    }
}

/// Returns the next bundle of items. The bundle is empty at the end of the input, and when the survey is asked to end.
fn bundle_of(reading: &mut Reading, progress: &Progress) -> Vec<Given> {
    let (mut bundle, mut bytes) = (Vec::with_capacity(ITEMS), 0);
    for given in reading.by_ref() {
        if !progress.on_row() {
            return Vec::new();
        }
        bytes += bytes_of(&given);
        bundle.push(given);
        if bytes >= BYTES || bundle.len() == ITEMS {
            break;
        }
    }
    bundle
}

fn bytes_of(given: &Given) -> usize {
    match given {
        Ok(Read { row: Some((_, Item::Row(row))), .. }) => row.params.bytes() + row.extra.bytes(),
        Ok(Read { row: Some((_, Item::Broken(row))), .. }) => row.raw.len(),
        Ok(Read { row: None, .. }) | Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::source::{Input, Options};

    #[test]
    fn a_bundle_is_limited_by_bytes_within_one_file_and_across_files() {
        let folder = tempfile::tempdir().expect("there is room");
        let file = |name: String, text: String| {
            let path = folder.path().join(name);
            fs::write(&path, text).expect("there is room");
            Input::File(path)
        };
        let (row, prompt) = ("x".repeat(10_000), |text: &str| format!("{{\"prompt\":\"{text}\"}}\n"));
        let one = vec![file("rows.jsonl".to_owned(), prompt(&row).repeat(50))];
        let many = (0..50).map(|at| file(format!("{at}.txt"), row.clone())).collect();
        for inputs in [one, many] {
            let plan = InputPlan {
                inputs,
                options: Options::default(),
                skip: 0,
                limit: None,
                requests: 0,
                is_copy_of_log: false,
            };
            let mut reading = Reading::whole(&plan);

            let bundle = bundle_of(&mut reading, &Progress::default());

            assert_eq!(bundle.len(), BYTES.div_ceil(10_050));
        }
    }
}
