//! Checks the tables of `src/lib.rs` that show where parts of the program are. Everything that a row of these tables
//! mentions must exist.

use std::collections::BTreeSet;
use std::path::Path;

/// Checks the names in the tables of a module doc. Returns the names that do not exist in the project. `read` returns
/// the text of a file, or of all files in a folder. `read` returns `None` if there is no such file or folder.
pub fn map_faults(doc: &str, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut faults = Vec::new();
    for row in doc.lines().filter(|line| line.starts_with("//! |")) {
        let (paths, names): (Vec<&str>, Vec<&str>) = quoted(row).partition(|name| is_path(name));
        let texts: Vec<Option<String>> = paths.iter().map(|path| read(path)).collect();
        let missing = paths.iter().zip(&texts).filter(|(_, text)| text.is_none());
        faults.extend(missing.map(|(path, _)| format!("there is no {path}")));
        let words: BTreeSet<&str> = texts.iter().flatten().flat_map(|text| words(text)).collect();
        let is_known = |name: &&str| name.split("::").all(|part| words.contains(part));
        let unknown = names.into_iter().filter(|name| !is_known(name));
        faults.extend(unknown.map(|name| format!("{name} is not in {}", paths.join(", "))));
    }
    faults
}

/// Returns the parts of a line that stand between backticks.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

fn is_path(name: &str) -> bool {
    name.contains('/') || Path::new(name).extension().is_some()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c != '_' && !c.is_alphanumeric())
}

// Tests that the rule about names finds each fault, and that it reports nothing if there is no fault.
mod tests {
    use super::*;

    #[test]
    fn every_name_in_the_map_must_exist() {
        let read = |path: &str| (path == "a/one.rs").then(|| "impl One { fn first() {} }".to_owned());
        let good = "//! `nothing` here counts\n//! | a row | `a/one.rs`: `One::first` |";
        let moved = "//! | a row | `a/two.rs` |";
        let renamed = "//! | a row | `a/one.rs`: `One::second` |";

        assert_eq!(map_faults(good, read), [""; 0]);
        assert_eq!(map_faults(moved, read), ["there is no a/two.rs"]);
        assert_eq!(map_faults(renamed, read), ["One::second is not in a/one.rs"]);
    }
}
