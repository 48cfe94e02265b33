//! Finds dependencies in `Cargo.toml` that no source uses.

use std::collections::BTreeSet;

use crate::paths::Source;

/// The kind of source code that needs a dependency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The program.
    Program,
    /// The tests and benches of the project.
    Tests,
}

/// Returns the dependencies of one kind from a manifest. The names are spelled as in Rust source.
pub fn listed(manifest: &str, kind: Kind) -> BTreeSet<String> {
    let table = match kind {
        Kind::Program => "dependencies",
        Kind::Tests => "dev-dependencies",
    };
    let manifest: toml::Table = manifest.parse().expect("the manifest is TOML");
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    let of_targets = targets.into_iter().flat_map(toml::Table::values).filter_map(toml::Value::as_table);
    let tables = of_targets.chain([&manifest]).filter_map(|section| section.get(table)?.as_table());
    tables.flat_map(toml::Table::keys).map(|name| name.replace('-', "_")).collect()
}

/// Returns the dependencies that no source mentions.
pub fn unused(dependencies: &BTreeSet<String>, sources: &[Source]) -> Vec<String> {
    let is_named = |dependency: &&String| sources.iter().any(|source| source.names_crate(dependency));
    dependencies.iter().filter(|dependency| !is_named(dependency)).cloned().collect()
}

// Tests that the rule about dependencies finds each fault, and that it reports nothing if there is no fault.
mod tests {
    use super::*;

    const MANIFEST: &str = "[dependencies]\nhyper-util = \"1\"\ncsv = { version = \"1\" }\n\
                            [target.'cfg(unix)'.dependencies]\nrustix = \"1\"\n[dev-dependencies]\ninsta = \"1\"\n";

    #[test]
    fn dependencies_of_every_section_are_listed() {
        assert_eq!(listed(MANIFEST, Kind::Program), ["csv", "hyper_util", "rustix"].map(str::to_owned).into());
        assert_eq!(listed(MANIFEST, Kind::Tests), ["insta".to_owned()].into());
    }

    #[test]
    fn a_dependency_that_no_source_names_is_found() {
        let uses = "use hyper_util::rt;\n#[csv::attribute]\nfn f() { rustix::fs::f() }";
        let elsewhere = "// hyper_util::rt\nmod csv;\nfn f(rustix: u8) { csv::f(\"rustix::fs\") }";

        assert_eq!(unused(&listed(MANIFEST, Kind::Program), &[Source::new("a.rs", uses)]), [""; 0]);
        let found = unused(&listed(MANIFEST, Kind::Program), &[Source::new("a.rs", elsewhere)]);
        assert_eq!(found, ["csv", "hyper_util", "rustix"]);
    }
}
