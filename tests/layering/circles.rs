//! Finds import cycles: files that use each other, directly or through other files.
//!
//! A path to an item counts as a use of the file that defines the item. Re-exports (`pub use`) are followed. A
//! re-export of an item does not count as a use of this item.

use std::collections::{BTreeMap, BTreeSet};

use crate::paths::{Source, SourcePath};

type Module = Vec<String>;

/// Returns each group of files that use each other in a cycle. The paths of the files are relative to `src`.
pub fn circles(sources: &[Source]) -> Vec<Vec<String>> {
    let files: BTreeMap<&[String], &Source> = sources.iter().map(|source| (&*source.module, source)).collect();
    let uses: BTreeMap<&[String], BTreeSet<&[String]>> =
        sources.iter().map(|source| (&*source.module, used_files(source, &files))).collect();
    let reaches: BTreeMap<&[String], BTreeSet<&[String]>> =
        uses.keys().map(|module| (*module, reached(module, &uses))).collect();
    let mut found = BTreeSet::new();
    for (module, reached) in &reaches {
        if reached.contains(module) {
            let circle = reached.iter().filter(|other| reaches[**other].contains(module));
            found.insert(circle.map(|other| files[*other].file.clone()).collect::<Vec<String>>());
        }
    }
    found.into_iter().collect()
}

/// Returns the other files that a file uses directly.
fn used_files<'s>(source: &'s Source, files: &BTreeMap<&'s [String], &'s Source>) -> BTreeSet<&'s [String]> {
    let is_needed = |path: &&SourcePath| {
        let is_same_name = |other: &&SourcePath| !other.is_export && other.first() == path.last();
        !path.is_export || source.paths.iter().any(|other| is_same_name(&other))
    };
    let used = source.paths.iter().filter(is_needed).filter_map(|path| defining_file(source.whole(path)?, files));
    used.filter(|module| *module != source.module).collect()
}

/// Returns the file that defines the item at the end of a path; `None` if no file of this project defines it. The path
/// begins at the crate root.
fn defining_file<'s>(mut path: Module, files: &BTreeMap<&'s [String], &'s Source>) -> Option<&'s [String]> {
    // Each step follows one re-export. If there are more steps than files, a re-export leads back to itself.
    for _ in 0..files.len() {
        let length = (1..=path.len()).rev().find(|&length| files.contains_key(&path[..length]))?;
        let (module, source) = files.get_key_value(&path[..length])?;
        let name = path.get(length);
        let export =
            source.paths.iter().find(|export| export.is_export && Some(export.last()) == name.map(|name| &**name));
        match export.and_then(|export| source.whole(export)) {
            Some(whole) if whole != path[..=length] => {
                path = whole.into_iter().chain(path.split_off(length + 1)).collect()
            }
            Some(_) | None => return Some(module),
        }
    }
    None
}

/// Returns all files that a file uses, directly or through other files.
fn reached<'s>(module: &'s [String], uses: &BTreeMap<&'s [String], BTreeSet<&'s [String]>>) -> BTreeSet<&'s [String]> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&[String]> = uses[module].iter().copied().collect();
    while let Some(module) = next.pop() {
        if reached.insert(module) {
            next.extend(uses.get(module).into_iter().flatten());
        }
    }
    reached
}

// Tests that the rule about cycles finds each fault, and that it reports nothing if there is no fault.
mod tests {
    use super::*;

    #[test]
    fn files_that_use_each_other_form_a_circle() {
        let found = circles_of(&[
            ("a/one.rs", "use super::two::Two;"),
            ("a/two.rs", "fn f() { crate::a::three::f() }"),
            ("a/three.rs", "use crate::a::one::One;"),
            ("a/four.rs", "use super::one::One;"),
        ]);

        assert_eq!(found, [["a/one.rs", "a/three.rs", "a/two.rs"]]);
    }

    #[test]
    fn a_re_export_leads_to_the_file_that_defines_the_item() {
        let through_the_face = [
            ("a/mod.rs", "mod one;\nmod two;\npub use one::One;\npub(crate) use self::two::{Two, f};"),
            ("a/one.rs", "use super::Two;"),
            ("a/two.rs", "use crate::a::One;"),
        ];
        let only_the_face = [
            ("a/mod.rs", "mod one;\nmod two;\npub use one::One;\npub use two::Two;"),
            ("a/one.rs", ""),
            ("a/two.rs", "use super::One;"),
        ];

        assert_eq!(circles_of(&through_the_face), [["a/one.rs", "a/two.rs"]]);
        assert_eq!(circles_of(&only_the_face), [[""; 0]; 0]);
    }

    #[test]
    fn a_parent_and_a_child_that_use_each_other_are_a_circle() {
        let uses = "mod one;\npub use one::One;\npub struct Parent(One);";
        let re_exports = "mod one;\npub use one::One;\npub struct Parent;";

        for (parent, is_circle) in [(uses, true), (re_exports, false)] {
            let found = circles_of(&[("a/mod.rs", parent), ("a/one.rs", "use super::Parent;")]);

            assert_eq!(!found.is_empty(), is_circle, "{parent}");
        }
    }

    #[test]
    fn a_use_for_tests_does_not_count() {
        let test = "#[cfg(test)]\nmod tests { use super::super::one::One; }";

        assert_eq!(circles_of(&[("a/one.rs", "use super::two::Two;"), ("a/two.rs", test)]), [[""; 0]; 0]);
    }

    #[test]
    fn the_visibility_of_an_item_is_not_a_use() {
        let parent = "mod one;\nuse one::f;\nfn g() { f() }";
        let child = "pub(super) fn f() {}\npub(in super::super) fn g() {}";

        assert_eq!(circles_of(&[("a/mod.rs", parent), ("a/one.rs", child)]), [[""; 0]; 0]);
    }

    fn circles_of(files: &[(&str, &str)]) -> Vec<Vec<String>> {
        circles(&files.iter().map(|(file, text)| Source::new(file, text)).collect::<Vec<_>>())
    }
}
