//! Checks the architecture: which modules each module is allowed to use, what the core is allowed to use, and where
//! each foreign crate is used. Also checks the length of files, finds import cycles, and finds unused dependencies.
//!
//! The rules are the tables in `tables.rs`. The sources are read as text, in three steps:
//!
//! 1. `code.rs` replaces comments, strings and `#[cfg(test)]` items with blanks.
//! 2. `paths.rs` finds every remaining path, expands `use` trees, and resolves `self` and `super`.
//! 3. `rules.rs` compares the paths with the tables.
//!
//! A scanner of a few hundred lines is used instead of a parser crate, because only paths and macro calls matter here.

mod circles;
mod code;
mod dependencies;
mod map;
mod paths;
mod public;
mod rules;
mod sizes;
mod tables;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use circles::circles;
use code::lines_without_tests;
use dependencies::{Kind, listed, unused};
use map::map_faults;
use paths::{Source, words};
use public::idle_public;
use rules::{
    assert_none, core_faults, home_faults, module_faults, printing_faults, provider_faults, stream_faults, text_faults,
};
use sizes::size_faults;
use tables::{HOMES, MODULES, SAME_LAYER, TEXTS, row};

#[test]
fn every_module_uses_only_what_its_row_allows() {
    assert_none(project().iter().flat_map(module_faults).collect());
}

#[test]
fn every_module_has_a_row() {
    let known: BTreeSet<&str> = MODULES.iter().map(|module| module.name).collect();
    let present: BTreeSet<String> = project().iter().filter_map(|source| source.top_module()).collect();

    let unknown: Vec<&String> = present.iter().filter(|name| !known.contains(name.as_str())).collect();

    assert!(unknown.is_empty(), "tests/layering/tables.rs has no row for {unknown:?}; add one with its layer");
}

#[test]
fn modules_use_only_lower_layers_except_for_the_listed_uses() {
    for user in MODULES {
        for used in user.may_use() {
            let target = row(used).unwrap_or_else(|| panic!("{} may use {used}, which has no row", user.name));
            let by_layer = target.layer < user.layer;
            let by_design = target.layer == user.layer && SAME_LAYER.contains(&(user.name, used));

            assert!(
                by_layer || by_design,
                "{} (layer {}) may use {used}, which is neither in a lower layer nor listed in SAME_LAYER",
                user.name,
                user.layer
            );
        }
    }
}

#[test]
fn there_are_no_import_cycles() {
    let found: Vec<String> = circles(project()).iter().map(|circle| circle.join(", ")).collect();

    assert!(found.is_empty(), "these files use each other in a circle; move what they share:\n{}", found.join("\n"));
}

#[test]
fn the_simulator_shares_no_code_with_the_modules_that_it_tests() {
    let sim = row("sim").expect("the simulator has a row");

    for judged in ["limiter", "scheduler", "classify"] {
        assert!(!sim.may_use().contains(&judged), "sim may use {judged}");
    }
}

#[test]
fn the_core_uses_no_clock_file_socket_or_thread() {
    assert_none(project().iter().flat_map(core_faults).collect());
}

#[test]
fn every_foreign_crate_is_used_only_in_its_home() {
    assert_none(project().iter().flat_map(home_faults).collect());
}

#[test]
fn every_foreign_crate_with_a_home_is_used() {
    let sources = project();

    let is_used = |krate: &str| sources.iter().any(|source| source.paths.iter().any(|path| path.first() == krate));
    let unused: Vec<&str> = HOMES.iter().map(|(krate, _)| *krate).filter(|krate| !is_used(krate)).collect();

    assert!(unused.is_empty(), "tests/layering/tables.rs gives a home to {unused:?}, but nothing uses them");
}

#[test]
fn every_dependency_is_used() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = read(&root.join("Cargo.toml"));
    let all_below = |folder: &str| files_below(&root.join(folder)).into_iter();
    let with_tests = ["src", "tests", "benches"].into_iter().flat_map(all_below);
    let with_tests: Vec<Source> = with_tests.map(|(name, text)| Source::with_tests(&name, &text)).collect();

    let unused: Vec<String> = unused(&listed(&manifest, Kind::Program), project())
        .into_iter()
        .chain(unused(&listed(&manifest, Kind::Tests), &with_tests))
        .collect();

    assert!(unused.is_empty(), "Cargo.toml lists {unused:?}, but nothing uses them; remove them");
}

#[test]
fn everything_that_the_map_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read_below = |path: &Path| match path.is_dir() {
        true => Some(files_below(path).into_iter().map(|(_, text)| text).collect()),
        false => std::fs::read_to_string(path).ok(),
    };
    let text_of = |path: &str| read_below(&root.join("src").join(path)).or_else(|| read_below(&root.join(path)));

    let faults = map_faults(&read(&root.join("src/lib.rs")), text_of);

    assert!(faults.is_empty(), "the tables of src/lib.rs are out of date:\n{}", faults.join("\n"));
}

#[test]
fn every_public_function_is_used_outside_the_library() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let outside = ["tests", "benches"].into_iter().flat_map(|folder| files_below(&root.join(folder)));
    let outside = outside.map(|(_, text)| text).chain([read(&root.join("src/main.rs"))]);
    let outside: BTreeSet<String> = outside.flat_map(|text| words(&text).collect::<Vec<_>>()).collect();

    assert_none(project().iter().flat_map(|source| idle_public(source, &outside)).collect());
}

#[test]
fn files_are_short() {
    let files = files_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let counted: BTreeSet<&str> = project().iter().map(|source| &*source.file).collect();
    let sizes: Vec<(String, usize)> = files
        .into_iter()
        .filter(|(name, _)| counted.contains(&**name))
        .map(|(name, text)| (name, lines_without_tests(&text)))
        .collect();

    let faults = size_faults(&sizes);

    assert!(faults.is_empty(), "{}; split files that do two things", faults.join("\n"));
}

#[test]
fn only_the_listed_files_write_to_the_terminal() {
    assert_none(project().iter().flat_map(printing_faults).collect());
    assert_none(project().iter().flat_map(stream_faults).collect());
}

#[test]
fn words_of_a_provider_appear_only_in_its_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");

    assert_none(files_below(&root).iter().flat_map(|(name, text)| provider_faults(name, text)).collect());
}

#[test]
fn texts_contain_no_machine_paths_and_no_notes_to_oneself() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let texts = TEXTS.iter().map(|name| (name.to_string(), read(&root.join(name))));
    let sources = files_below(&root.join("src")).into_iter().map(|(name, text)| (format!("src/{name}"), text));

    let pages = files_ending_in("md", &root.join("src")).into_iter().map(|(name, text)| (format!("src/{name}"), text));

    assert_none(texts.chain(sources).chain(pages).flat_map(|(name, text)| text_faults(&name, &text)).collect());
}

#[test]
fn a_test_module_in_a_file_of_its_own_does_not_count() {
    let parent = "#[cfg(test)]\nmod tests;\nmod queue;\n".to_owned();
    let files = vec![
        ("scheduler/mod.rs".to_owned(), parent),
        ("scheduler/tests.rs".to_owned(), "use crate::cli;".to_owned()),
        ("scheduler/queue.rs".to_owned(), "use crate::cli;".to_owned()),
    ];

    let sources = without_test_files(&files);

    assert_eq!(
        sources.iter().map(|source| &*source.file).collect::<Vec<_>>(),
        ["scheduler/mod.rs", "scheduler/queue.rs"]
    );
}

/// Returns every source file of the project, except the files that contain only tests.
fn project() -> &'static [Source] {
    static PROJECT: LazyLock<Vec<Source>> = LazyLock::new(|| {
        let files = files_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
        assert!(files.iter().any(|(name, _)| name == "lib.rs"), "the sources were not found");
        without_test_files(&files)
    });
    &PROJECT
}

/// Reads all Rust files below a folder. Returns the path and the text of each file, sorted by path. The paths are
/// relative to that folder, and their separator is `/`.
fn files_below(folder: &Path) -> Vec<(String, String)> {
    files_ending_in("rs", folder)
}

fn files_ending_in(ending: &str, folder: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        let entries = std::fs::read_dir(&next).unwrap_or_else(|error| panic!("{}: {error}", next.display()));
        for entry in entries {
            let path = entry.expect("a listed entry can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == ending) {
                let name = path.strip_prefix(folder).expect("a file is below its folder");
                let parts: Vec<_> = name.iter().map(|part| part.to_string_lossy()).collect();
                files.push((parts.join("/"), read(&path)));
            }
        }
    }
    files.sort();
    files
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Removes the files that are declared by `#[cfg(test)] mod name;`.
fn without_test_files(files: &[(String, String)]) -> Vec<Source> {
    let sources: Vec<Source> = files.iter().map(|(name, text)| Source::new(name, text)).collect();
    let tests: BTreeSet<Vec<String>> = sources.iter().flat_map(Source::test_modules).collect();
    sources.into_iter().filter(|source| !tests.iter().any(|test| source.module.starts_with(test))).collect()
}
