//! Runs the official JSON Schema Test Suite, draft 2020-12, with the code that checks answers.
//!
//! The suite is in `fixtures/json-schema-suite`, as its authors published it. Each group of the suite has a schema and
//! some values, and says for each value whether it fits the schema. Some groups use a schema or meta-schema that is a
//! document on the web. The check downloads nothing, so it must reject a group that needs a document on the web. For
//! all other groups, the check must give the verdicts of the suite. The exceptions are in [`EXCLUDED`].

use std::fs;
use std::path::{Path, PathBuf};

use claude_batch::answer::schema::{Schema, SchemaError};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The unused files of the suite, each with the reason.
const EXCLUDED: [(&str, &str); 3] = [
    ("format.json", "formats are checked; the cases in optional/format are used instead of these"),
    ("optional/format/idn-email.json", "this format is not checked: it needs large tables of Unicode"),
    ("optional/format/idn-hostname.json", "this format is not checked: it needs large tables of Unicode"),
];

#[derive(Deserialize)]
struct Group {
    description: String,
    schema: Box<RawValue>,
    tests: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    description: String,
    data: Box<RawValue>,
    valid: bool,
}

#[derive(Default)]
struct Counts {
    judged: usize,
    refused: usize,
    faults: Vec<String>,
}

#[test]
fn every_case_of_the_official_suite_that_is_claimed_is_judged_as_the_suite_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/json-schema-suite/draft2020-12");
    let mut counts = Counts::default();

    for path in files(&folder) {
        let text = fs::read_to_string(&path).expect("the suite can be read");
        let groups: Vec<Group> = serde_json::from_str(&text).expect("the suite is JSON");
        let file = path.strip_prefix(&folder).expect("it is in the folder").display().to_string();
        let excluded = EXCLUDED.iter().any(|(name, _)| *name == file);
        groups.iter().filter(|_| !excluded).for_each(|group| judge(&file, group, &mut counts));
    }

    assert!(counts.faults.is_empty(), "{} faults:\n{}", counts.faults.len(), counts.faults.join("\n"));
    assert!(EXCLUDED.iter().all(|(name, _)| folder.join(name).is_file()), "an entry of EXCLUDED names nothing");
    assert_eq!((counts.judged, counts.refused), (1_855, 61), "cases judged, groups refused");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn judge(file: &str, group: &Group, counts: &mut Counts) {
    let name = format!("{file}: {}", group.description);
    let schema = match Schema::parse(group.schema.get()) {
        Ok(schema) => schema,
        Err(SchemaError::Remote { .. } | SchemaError::Dialect { .. }) => return counts.refused += 1,
        Err(error) => return counts.faults.push(format!("{name}: {error}")),
    };
    for case in &group.tests {
        counts.judged += 1;
        let found = schema.check(case.data.get());
        if found.is_ok() != case.valid {
            counts.faults.push(format!("{name}: {}: {found:?}", case.description));
        }
    }
}
