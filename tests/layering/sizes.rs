//! Checks the sizes of files. Lines of tests are not counted.

/// The largest number of lines that a file is allowed to have.
const MOST_LINES: usize = 500;
/// Nine of ten files must have at most this many lines.
const MOST_LINES_OF_NINE_IN_TEN: usize = 300;

/// Returns the faults in the sizes of files. `sizes` contains the name of each file and its number of lines.
pub fn size_faults(sizes: &[(String, usize)]) -> Vec<String> {
    let longer_than = |most: usize| sizes.iter().filter(move |(_, lines)| *lines > most);
    let shown = |(name, lines): &(String, usize)| format!("{name} has {lines} lines without its tests");
    let mut faults: Vec<String> =
        longer_than(MOST_LINES).map(|size| format!("{}, at most {MOST_LINES} are allowed", shown(size))).collect();
    let long: Vec<String> = longer_than(MOST_LINES_OF_NINE_IN_TEN).map(shown).collect();
    if long.len() * 10 > sizes.len() {
        let (count, all) = (long.len(), sizes.len());
        faults.push(format!(
            "{count} of {all} files are longer than {MOST_LINES_OF_NINE_IN_TEN} lines, at most one in ten may be:\n{}",
            long.join("\n")
        ));
    }
    faults
}

// Tests that the rule about sizes finds each fault, and that it reports nothing if there is no fault.
mod tests {
    use super::*;
    use crate::code::lines_without_tests;

    #[test]
    fn the_message_names_a_file_that_is_too_long() {
        let at_the_limit = [("a.rs", 500), ("b.rs", 10)];
        let over_it = [("a.rs", 501), ("b.rs", 10)];

        assert_eq!(faults(&at_the_limit, 20), [""; 0]);
        assert_eq!(faults(&over_it, 20), ["a.rs has 501 lines without its tests, at most 500 are allowed"]);
    }

    #[test]
    fn more_than_one_long_file_in_ten_is_too_many() {
        let long = [("a.rs", 301), ("b.rs", 400)];

        assert_eq!(faults(&long, 18), [""; 0]);
        assert_eq!(faults(&long, 17).len(), 1);
    }

    #[test]
    fn lines_of_tests_do_not_count() {
        let text = "use a;\n\n/// Doc.\nfn f() {}\n\n#[cfg(test)]\nmod tests {\n    fn g() {}\n}\n\nfn h() {}\n";

        assert_eq!(lines_without_tests(text), 7);
        assert_eq!(lines_without_tests("#![cfg(test)]\nfn f() {}\n"), 0);
        assert_eq!(lines_without_tests("fn f() {}\nfn g() {}"), 2);
    }

    /// Returns the faults of these files. Files of one line each are checked together with these files; `short` is the
    /// number of the files of one line.
    fn faults(files: &[(&str, usize)], short: usize) -> Vec<String> {
        let named = files.iter().map(|(name, lines)| (name.to_string(), *lines));
        let short = (0..short).map(|at| (format!("short{at}.rs"), 1));
        size_faults(&named.chain(short).collect::<Vec<_>>())
    }
}
