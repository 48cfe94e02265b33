//! Patterns for paths: `*` and `?` match within a name, and `**` matches any number of folders.

use std::path::{Component, Path, PathBuf};

/// A pattern in two pieces: the folder before the first part with `*` or `?`, and the remaining parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    /// The folder before the first part with `*` or `?`; empty for the working folder.
    pub root: PathBuf,
    parts: Vec<String>,
}

/// The indices of those parts of a pattern that are compared with the next name of a path.
pub(super) type Reached = Vec<usize>;

impl Pattern {
    /// Returns a path as a pattern; `None` if it contains neither `*` nor `?`.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let components: Vec<Component<'_>> = path.components().collect();
        let is_pattern = |part: &Component<'_>| {
            part.as_os_str()
                .to_str()
                .is_some_and(|name| matches!(part, Component::Normal(_)) && name.contains(['*', '?']))
        };
        let first = components.iter().position(is_pattern)?;
        let (root, parts) = components.split_at(first);
        let parts: Option<_> = parts.iter().map(|part| part.as_os_str().to_str().map(str::to_owned)).collect();
        Some(Self { root: root.iter().collect(), parts: parts? })
    }

    /// Returns a pattern that matches every file in a folder and in all folders below it.
    pub(super) fn of_folder(root: &Path) -> Self {
        Self { root: root.to_owned(), parts: vec!["**".to_owned(), "*".to_owned()] }
    }

    /// Returns the parts of the pattern that are compared with the names directly in the root.
    pub(super) fn start(&self) -> Reached {
        self.with_skipped(vec![0])
    }

    /// Returns the parts of the pattern that are compared with the names inside the folder `name`. Returns no parts if
    /// no file in this folder can match.
    pub(super) fn enter(&self, reached: &Reached, name: &str) -> Reached {
        let after = |&at: &usize| match &*self.parts[at] {
            "**" => Some(at),
            part => fits(part.as_bytes(), name.as_bytes()).then_some(at + 1),
        };
        let mut next: Vec<usize> = reached.iter().filter_map(after).filter(|at| *at < self.parts.len()).collect();
        next.dedup();
        self.with_skipped(next)
    }

    /// Returns whether the file `name` matches.
    pub(super) fn has(&self, reached: &Reached, name: &str) -> bool {
        let is_last = |at: usize| at + 1 == self.parts.len();
        let fits_part = |part: &str| part == "**" || fits(part.as_bytes(), name.as_bytes());
        reached.iter().any(|&at| is_last(at) && fits_part(&self.parts[at]))
    }

    /// Adds the part after each `**`, because `**` can match zero folders.
    fn with_skipped(&self, mut reached: Reached) -> Reached {
        let mut at = 0;
        while let Some(&part) = reached.get(at) {
            let next = part + 1;
            if self.parts[part] == "**" && next < self.parts.len() && !reached.contains(&next) {
                reached.push(next);
            }
            at += 1;
        }
        reached
    }
}

/// Returns whether a name matches a pattern. In a pattern, `*` is any number of bytes, and `?` is any single byte. The
/// comparison takes linear space and quadratic time.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut pos) = (0, 0);
    // A place in the pattern and a place in the name. If the last `*` must match one more byte, matching goes back to
    // these places.
    let mut retry: Option<(usize, usize)> = None;
    while pos < name.len() {
        match (pattern.get(at), retry) {
            (Some(b'*'), _) => {
                retry = Some((at + 1, pos));
                at += 1;
            }
            (Some(byte), _) if *byte == b'?' || *byte == name[pos] => {
                at += 1;
                pos += 1;
            }
            (_, Some((after, start))) => {
                retry = Some((after, start + 1));
                at = after;
                pos = start + 1;
            }
            (_, None) => return false,
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(pattern: &str, path: &str) -> bool {
        let pattern = Pattern::of(Path::new(pattern)).expect("it is a pattern");
        let path = Path::new(path).strip_prefix(&pattern.root).expect("it is within the root");
        let names: Vec<&str> = path.iter().map(|name| name.to_str().expect("text")).collect();
        let (name, folders) = names.split_last().expect("it has a name");
        let reached = folders.iter().fold(pattern.start(), |reached, folder| pattern.enter(&reached, folder));
        pattern.has(&reached, name)
    }

    #[test]
    fn a_star_matches_any_bytes_and_a_question_mark_one_byte() {
        let cases = [("*.jsonl", "a.jsonl"), ("a?c*", "abc"), ("*", ""), ("*a*b", "xaybab"), ("a**", "a")];
        assert!(cases.iter().all(|(pattern, name)| fits(pattern.as_bytes(), name.as_bytes())));

        let others = [("*.jsonl", "a.csv"), ("a?c", "ac"), ("", "a"), ("*ab", "aba")];
        assert!(others.iter().all(|(pattern, name)| !fits(pattern.as_bytes(), name.as_bytes())));
    }

    #[test]
    fn two_stars_stand_for_any_folders() {
        for (pattern, path) in [
            ("d/*.txt", "d/a.txt"),
            ("d/**/*.md", "d/a.md"),
            ("d/**/*.md", "d/e/f/a.md"),
            ("d/**", "d/e/a.md"),
            ("**/x/**/*.md", "e/x/f/g/a.md"),
            ("**/x/**/*.md", "x/a.md"),
            ("d/*/b?.txt", "d/e/b1.txt"),
            ("d/**/e/*.txt", "d/e/e/a.txt"),
        ] {
            assert!(has(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("d/*.txt", "d/e/a.txt"),
            ("d/*/*.txt", "d/a.txt"),
            ("d/**/x/*.md", "d/a.md"),
            ("d/**/*.md", "d/a.txt"),
            ("d/*/b?.txt", "d/e/f/b1.txt"),
        ] {
            assert!(!has(pattern, path), "{pattern} {path}");
        }
    }

    #[test]
    fn a_path_without_star_or_question_mark_is_not_a_pattern() {
        assert_eq!(Pattern::of(Path::new("d/a.txt")), None);
        assert_eq!(Pattern::of(Path::new("d/e/*.txt")).map(|pattern| pattern.root), Some("d/e".into()));
        assert_eq!(Pattern::of(Path::new("*.txt")).map(|pattern| pattern.root), Some("".into()));
    }
}
