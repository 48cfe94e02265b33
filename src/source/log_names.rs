//! Names of a row's members in the error log.
//!
//! Some names have a meaning of their own in the log. If a member of a row has such a name, the log puts an underscore
//! before the name, and `error.renamed` lists the new name. When the log is read as an input, the member gets its own
//! name back, so that conditions find the same columns as in the first run.
//!
//! Earlier versions wrote no `error.renamed`. In their entries, `_body` can be a column with this name, or a renamed
//! `body`. So such a member keeps its name, except if a condition needs the column `body` ([`restore_column`]).

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::Params;

/// Names that have a meaning of their own in an error line. An extra member of the row must not be written under one of
/// these names.
const RESERVED: [&str; 11] =
    ["custom_id", "id", "params", "message", "error", "result", "method", "url", "body", "prompt", "messages"];

/// The list of renamed members in the `error` of an entry.
#[derive(Deserialize)]
struct Renamed<'a> {
    #[serde(borrow)]
    renamed: Vec<Cow<'a, str>>,
}

/// Returns the name that the log gives to a member of a row. `extra` contains all such members of the row.
pub(crate) fn name_in_log<'a>(name: &'a str, extra: &Params) -> Cow<'a, str> {
    if !RESERVED.contains(&name) {
        return Cow::Borrowed(name);
    }
    let mut free = format!("_{name}");
    while extra.get(&free).is_some() {
        free.insert(0, '_');
    }
    Cow::Owned(free)
}

/// Returns whether the name of a member looks like a name that the log has changed. An entry with such a member must
/// have `error.renamed`, even if the list is empty.
pub(crate) fn looks_renamed(name: &str) -> bool {
    name.starts_with('_') && RESERVED.contains(&own_name(name))
}

/// Gives renamed members their own names back. `error` is the `error` of their entry.
pub(super) fn restore(extra: &mut Params, error: &RawValue) {
    let Ok(Renamed { renamed }) = serde_json::from_str(error.get()) else { return };
    for name in renamed.iter().filter(|name| looks_renamed(name)) {
        rename(extra, name, own_name(name));
    }
}

/// Gives one member its own name back, in an entry without `error.renamed`. `column` is the name that is missing.
pub(crate) fn restore_column(extra: &mut Params, column: &str) {
    if RESERVED.contains(&column) {
        // `name_in_log` chose the first free name, so the name with the most underscores is the changed one.
        let free = name_in_log(column, extra);
        rename(extra, &free[1..], column);
    }
}

/// Renames a member, except if there is already a member with the new name.
fn rename(extra: &mut Params, from: &str, to: &str) {
    if extra.get(to).is_none()
        && let Some((name, _)) = extra.0.iter_mut().find(|(name, _)| &**name == from)
    {
        *name = to.into();
    }
}

fn own_name(name: &str) -> &str {
    name.trim_start_matches('_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renamed_members_get_their_names_back_and_other_members_keep_their_names() {
        let cases = [
            (&["body", "note"][..], &["_body", "note"][..]),
            (&["_body", "body", "__note"], &["_body", "__body", "__note"]),
            (&["_body"], &["_body"]),
            (&["error", "__error", "message", "id"], &["_error", "__error", "_message", "_id"]),
        ];
        for (names, in_log) in cases {
            let row = extra(names);
            let written: Vec<_> = names.iter().map(|name| name_in_log(name, &row)).collect();
            assert_eq!(written, in_log);

            let changed: Vec<_> =
                written.iter().zip(names).filter(|(new, old)| new != old).map(|(new, _)| new).collect();
            let error = serde_json::json!({"class": "server", "renamed": changed}).to_string();
            let mut read = extra(in_log);
            restore(&mut read, &RawValue::from_string(error).expect("it is JSON"));

            assert_eq!(names_of(&read), names);
        }
    }

    #[test]
    fn a_list_that_the_program_did_not_write_never_makes_two_members_with_the_same_name() {
        let mut read = extra(&["_body", "__body", "x", "_note", "_id", "id"]);
        let error = r#"{"renamed":["_body","__body","x","_note","_id","gone"]}"#.to_owned();

        restore(&mut read, &RawValue::from_string(error).expect("it is JSON"));

        assert_eq!(names_of(&read), ["body", "__body", "x", "_note", "_id", "id"]);
    }

    #[test]
    fn in_entries_of_earlier_versions_only_a_needed_column_gets_its_name_back() {
        let restored = |names: &[&str], column: &str| {
            let mut read = extra(names);
            restore_column(&mut read, column);
            names_of(&read).join(" ")
        };

        assert_eq!(restored(&["_body", "_url"], "body"), "body _url");
        assert_eq!(restored(&["_body", "__body"], "body"), "_body body");
        assert_eq!(restored(&["_note"], "note"), "_note");
        assert_eq!(restored(&["note"], "body"), "note");
    }

    fn extra(names: &[&str]) -> Params {
        let value = || RawValue::from_string("1".to_owned()).expect("it is JSON");
        Params(names.iter().map(|name| ((*name).into(), value())).collect())
    }

    fn names_of(extra: &Params) -> Vec<&str> {
        extra.0.iter().map(|(name, _)| &**name).collect()
    }
}
