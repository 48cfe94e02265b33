//! Finds public functions that are not mentioned anywhere outside the library.

use std::collections::BTreeSet;

use crate::paths::Source;
use crate::rules::Fault;

/// Searches a source for public functions, and returns the functions whose names are not in `outside`. `outside`
/// contains the words of the program, its tests and its benches.
pub fn idle_public(source: &Source, outside: &BTreeSet<String>) -> Vec<Fault> {
    let is_idle = |(name, _): &&(String, usize)| !outside.contains(name);
    let found = source.public_functions.iter().filter(is_idle);
    found
        .map(|(name, line)| Fault {
            file: format!("src/{}", source.file),
            line: *line,
            message: format!("{name} is public, but is used only inside the library; make it pub(crate)"),
        })
        .collect()
}

// Tests that the rule about public functions finds each fault, and that it reports nothing if there is no fault.
mod tests {
    use super::*;
    use crate::paths::words;

    #[test]
    fn a_public_function_that_is_not_used_outside_the_library_is_found() {
        let outside = words("fn main() { used(); /* idle() */ let text = \"idle\"; }").collect();
        let text = "pub fn used() {}\npub const fn idle() {}\npub(crate) fn inner() {}\npub struct Idle;\nfn own() {}";

        let faults = idle_public(&Source::new("a.rs", text), &outside);

        assert_eq!(faults.iter().map(|fault| fault.line).collect::<Vec<_>>(), [2]);
    }
}
