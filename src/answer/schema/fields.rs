//! Finds the names of the members that a schema defines for an answer.

use super::text::{elements, members};

/// The highest number of references that are followed one after another.
const MOST_REFERENCES: u32 = 32;

/// Returns the names of the members at the root of an answer, in the order of the schema.
pub(super) fn fields(schema: &str) -> Vec<String> {
    let mut names = Vec::new();
    add(schema, schema, MOST_REFERENCES, &mut names);
    names
}

fn add(root: &str, schema: &str, references: u32, names: &mut Vec<String>) {
    let schema = members(schema);
    for (keyword, value) in &schema.0 {
        match &**keyword {
            "properties" => members(value.get()).0.into_iter().for_each(|(name, _)| {
                if !names.iter().any(|own| **own == *name) {
                    names.push(name.into());
                }
            }),
            "$ref" if references > 0 => {
                let target: Option<String> = serde_json::from_str(value.get()).ok();
                if let Some(found) = target.and_then(|target| at(root, &target)) {
                    add(root, &found, references - 1, names);
                }
            }
            "allOf" if references > 0 => {
                elements(value.get()).into_iter().for_each(|one| add(root, one, references - 1, names));
            }
            _ => {}
        }
    }
}

/// Returns the subschema to which a reference like `#/$defs/NAME` leads; `None` for any other reference.
fn at(root: &str, target: &str) -> Option<String> {
    let mut found = root.to_owned();
    for name in target.strip_prefix("#/")?.split('/') {
        let name = name.replace("~1", "/").replace("~0", "~");
        found = members(&found).get(&name)?.to_owned();
    }
    Some(found)
}
