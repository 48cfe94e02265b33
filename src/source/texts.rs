//! Text files of a folder or a pattern: which files are read, in which order, and which are left out.
//!
//! Hidden files and folders are left out. Links to folders, and links that lead out of the folder, are left out too.
//! Only the names of the files are in memory, not their texts.

use std::cmp::Ordering;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::compression::Compression;
use super::names::name_list;
use super::pattern::{Pattern, Reached};
use super::{InputFormat, SourceError};

/// The extensions of text files.
pub(crate) const TEXT_ENDINGS: [&str; 15] = [
    "txt", "text", "md", "markdown", "rst", "adoc", "asciidoc", "org", "tex", "html", "htm", "xml", "srt", "vtt", "eml",
];

/// The extensions of files with rows.
pub(super) const ROW_ENDINGS: [&str; 8] = ["jsonl", "ndjson", "json", "csv", "tsv", "tab", "parquet", "xlsx"];

/// Returns whether a file name has one of these extensions. The extension of a compressed file is ignored: `a.txt.gz`
/// counts as `txt`.
pub(super) fn ends_in(name: &str, endings: &[&str]) -> bool {
    let ending = Compression::name_inside(name).rsplit_once('.').map(|(_, ending)| ending);
    ending.is_some_and(|ending| endings.iter().any(|known| ending.eq_ignore_ascii_case(known)))
}

/// The text files of a folder or a pattern; each file is a row. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Texts {
    name: Arc<str>,
    pattern: Arc<Pattern>,
    takes_any_ending: bool,
    /// Paths from the root, with `/` on every system, in natural order.
    files: Arc<[Box<str>]>,
    left_out: Arc<LeftOut>,
}

impl Texts {
    /// Returns the folder or pattern as the user typed it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the folder where the paths in labels start; empty for the working folder.
    pub(crate) fn root(&self) -> &Path {
        &self.pattern.root
    }

    /// Returns the path of a file for messages, with `/` on every system.
    pub(super) fn shown(&self, label: &str) -> String {
        shown(self.root(), label)
    }

    /// Returns the number of files.
    pub(crate) fn count(&self) -> u64 {
        self.files.len() as u64
    }

    /// Returns the labels of the files.
    pub(super) fn labels(&self) -> &[Box<str>] {
        &self.files
    }

    /// Returns a text that says which files are left out, for use in messages; `None` if no file is left out.
    pub(crate) fn left_out(&self) -> Option<String> {
        (*self.left_out != LeftOut::default()).then(|| self.left_out.to_string())
    }

    /// Returns whether the next run would read a file at `path` as an input.
    pub(crate) fn would_take(&self, path: &Path) -> bool {
        let root = if self.root().as_os_str().is_empty() { Path::new(".") } else { self.root() };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let (Ok(root), Ok(folder)) = (root.canonicalize(), folder.canonicalize()) else { return false };
        let (Ok(inside), Some(name)) = (folder.strip_prefix(root), path.file_name()) else { return false };
        let Some(folders) = inside.iter().map(|part| part.to_str()).collect::<Option<Vec<_>>>() else { return false };
        let Some(name) = name.to_str() else { return false };
        let reached = folders.iter().fold(self.pattern.start(), |reached, name| self.pattern.enter(&reached, name));
        let is_hidden = folders.iter().chain([&name]).any(|name| name.starts_with('.'));
        !is_hidden && self.pattern.has(&reached, name) && (self.takes_any_ending || ends_in(name, &TEXT_ENDINGS))
    }
}

fn shown(root: &Path, label: &str) -> String {
    let root = root.display().to_string();
    if root.is_empty() || root.ends_with('/') { format!("{root}{label}") } else { format!("{root}/{label}") }
}

/// What a path on the command line stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expanded {
    /// The path is a single input, such as a file or a pipe.
    Itself,
    /// The path names several files, and each of them is a separate input.
    Files(Vec<PathBuf>),
    /// The path names text files, which form one input.
    Texts(Texts),
}

/// Returns the inputs that a path on the command line names. A relative path starts at `working_folder`.
///
/// A folder stands for the text files in it and in the folders below it. A pattern stands for the text files that match
/// the pattern. But each matching file is a separate input in two cases: none of these files is a text file, or
/// `format` is a format for files with rows.
///
/// # Errors
/// [`SourceError::NoMatch`], [`SourceError::NoTexts`], [`SourceError::FolderFormat`], [`SourceError::Open`].
pub(crate) fn expand(path: &Path, working_folder: &Path, format: InputFormat) -> Result<Expanded, SourceError> {
    // Collecting the components of the path removes a slash at the end.
    let path: &Path = &path.components().collect::<PathBuf>();
    let name = path.display().to_string();
    let typed = working_folder.join(path);
    let is_of_rows = !matches!(format, InputFormat::Auto | InputFormat::Text);
    let is_folder = typed.is_dir();
    let pattern = match Pattern::of(path) {
        _ if is_folder && is_of_rows => return Err(SourceError::FolderFormat { name, format: format.name() }),
        _ if is_folder => Pattern::of_folder(path),
        Some(pattern) if fs::symlink_metadata(&typed).is_err() => pattern,
        Some(_) | None => return Ok(Expanded::Itself),
    };
    let takes_any_ending = format == InputFormat::Text;
    let Walked { files, mut left_out } = walk(&pattern, working_folder)?;
    if !is_folder && files.is_empty() {
        return Err(SourceError::NoMatch { name });
    }
    let is_text = |file: &File| takes_any_ending || ends_in(&file.label, &TEXT_ENDINGS);
    let path_of = |file: &File| pattern.root.join(&*file.label);
    if !is_folder && (is_of_rows || !files.iter().any(is_text)) {
        return Ok(Expanded::Files(files.iter().map(path_of).collect()));
    }
    let (texts, others): (Vec<File>, Vec<File>) = files.into_iter().partition(|file| is_text(file) && !file.is_outside);
    others.iter().for_each(|file| left_out.add(if file.is_outside { Kind::Link } else { Kind::Other }, &file.label));
    if texts.is_empty() {
        return Err(no_texts(name, &pattern.root, &others, &left_out));
    }
    let files = texts.into_iter().map(|file| file.label).collect();
    let (pattern, left_out) = (Arc::new(pattern), Arc::new(left_out));
    Ok(Expanded::Texts(Texts { name: name.into(), pattern, takes_any_ending, files, left_out }))
}

/// Returns the error for a folder that has no text file to read.
fn no_texts(name: String, folder: &Path, others: &[File], left_out: &LeftOut) -> SourceError {
    if *left_out == LeftOut::default() {
        let problem = "is an empty folder".to_owned();
        return SourceError::NoTexts { name, problem, remedy: "give a folder of text files, or a file".to_owned() };
    }
    let rows = others.iter().find(|file| ends_in(&file.label, &ROW_ENDINGS));
    let remedy = match rows {
        Some(file) => format!("give its files, as in: claude-batch run {}", shown(folder, &file.label)),
        None => {
            let endings = name_list(TEXT_ENDINGS);
            format!("text files are those that end in {endings}; with --format text, every file counts as a text file")
        }
    };
    SourceError::NoTexts { name, problem: format!("is a folder without text files; it contains {left_out}"), remedy }
}

/// A file that matches a pattern.
#[derive(Clone, Debug)]
struct File {
    label: Box<str>,
    /// Whether the file is a link that leads out of the folder.
    is_outside: bool,
}

/// What the search in a folder found.
struct Walked {
    /// The files that are read, in natural order.
    files: Vec<File>,
    left_out: LeftOut,
}

/// Finds the files that match a pattern.
fn walk(pattern: &Pattern, working_folder: &Path) -> Result<Walked, SourceError> {
    let root = working_folder.join(&pattern.root);
    let root = if root.as_os_str().is_empty() { PathBuf::from(".") } else { root };
    let failed = |path: &Path| {
        let name = path.display().to_string();
        move |source: io::Error| SourceError::Open { name, source }
    };
    let real_root = root.canonicalize().map_err(failed(&root))?;
    let (mut files, mut left_out) = (Vec::new(), LeftOut::default());
    let mut folders: Vec<(String, Reached)> = vec![(String::new(), pattern.start())];
    while let Some((inside, reached)) = folders.pop() {
        let folder = root.join(&inside);
        for entry in fs::read_dir(&folder).map_err(failed(&folder))? {
            let entry = entry.map_err(failed(&folder))?;
            let kind = entry.file_type().map_err(failed(&folder))?;
            let name = entry.file_name();
            let label = |name: &str| if inside.is_empty() { name.to_owned() } else { format!("{inside}/{name}") };
            let Some(name) = name.to_str() else {
                left_out.add(Kind::Other, &label(&name.to_string_lossy()));
                continue;
            };
            let label = label(name);
            let (deeper, fits) = (pattern.enter(&reached, name), pattern.has(&reached, name));
            let is_link_to_file = || kind.is_symlink() && entry.path().metadata().is_ok_and(|target| target.is_file());
            let may_be_entered = !deeper.is_empty() && !kind.is_file();
            if !fits && !may_be_entered {
                continue;
            }
            if name.starts_with('.') {
                left_out.add(Kind::Hidden, &label);
            } else if kind.is_dir() && may_be_entered {
                folders.push((label, deeper));
            } else if fits && (kind.is_file() || is_link_to_file()) {
                let is_inside = || entry.path().canonicalize().is_ok_and(|real| real.starts_with(&real_root));
                files.push(File { label: label.into(), is_outside: kind.is_symlink() && !is_inside() });
            } else if kind.is_symlink() {
                left_out.add(Kind::Link, &label);
            }
        }
    }
    files.sort_unstable_by(|one, other| natural(&one.label, &other.label));
    Ok(Walked { files, left_out })
}

/// Compares two paths. `file2` comes before `file10`, and the files of a folder stay together.
fn natural(one: &str, other: &str) -> Ordering {
    let (mut left, mut right) = (one.as_bytes(), other.as_bytes());
    while let (Some(&a), Some(&b)) = (left.first(), right.first()) {
        let order = if a.is_ascii_digit() && b.is_ascii_digit() {
            let (number, rest) = number(left);
            let (other_number, other_rest) = self::number(right);
            (left, right) = (rest, other_rest);
            number.len().cmp(&other_number.len()).then(number.cmp(other_number))
        } else {
            (left, right) = (&left[1..], &right[1..]);
            rank(a).cmp(&rank(b))
        };
        if order.is_ne() {
            return order;
        }
    }
    left.len().cmp(&right.len()).then_with(|| one.cmp(other))
}

/// Splits off the number at the beginning of a text. Returns the number without leading zeros, and the rest of the
/// text.
fn number(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let zeros = text[..end].iter().take_while(|byte| **byte == b'0').count();
    (&text[zeros..end], &text[end..])
}

fn rank(byte: u8) -> u8 {
    if byte == b'/' { 0 } else { byte.to_ascii_lowercase() }
}

/// The reason why a file is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Other,
    Hidden,
    Link,
}

/// The files that are left out: for each reason, the number of files and the first file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct LeftOut {
    others: (u64, String),
    hidden: (u64, String),
    links: (u64, String),
}

impl LeftOut {
    fn add(&mut self, kind: Kind, label: &str) {
        let (count, first) = match kind {
            Kind::Other => &mut self.others,
            Kind::Hidden => &mut self.hidden,
            Kind::Link => &mut self.links,
        };
        *count += 1;
        if *count == 1 || natural(label, first).is_lt() {
            label.clone_into(first);
        }
    }
}

impl fmt::Display for LeftOut {
    /// Writes `3 files of other kinds (photo.png), 1 hidden file (.note.txt)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = |(count, first): &(u64, String), one: &str, many: &str| {
            (*count > 0).then(|| format!("{count} {} ({first})", if *count == 1 { one } else { many }))
        };
        let kinds = [
            words(&self.others, "file of another kind", "files of other kinds"),
            words(&self.hidden, "hidden file", "hidden files"),
            words(&self.links, "link", "links"),
        ];
        f.write_str(&kinds.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a folder with these files.
    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("there is room");
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().expect("it is in the folder")).expect("there is room");
            fs::write(path, "text").expect("there is room");
        }
        folder
    }

    fn texts(typed: &str, within: &Path, format: InputFormat) -> Texts {
        match expand(Path::new(typed), within, format) {
            Ok(Expanded::Texts(texts)) => texts,
            other => panic!("{typed}: {other:?}"),
        }
    }

    fn labels(typed: &str, within: &Path) -> Vec<String> {
        texts(typed, within, InputFormat::Auto).labels().iter().map(ToString::to_string).collect()
    }

    fn refusal(typed: &str, within: &Path, format: InputFormat) -> String {
        expand(Path::new(typed), within, format).expect_err(typed).to_string()
    }

    #[test]
    fn the_texts_of_a_folder_come_in_natural_order_with_paths_relative_to_it() {
        let folder = folder(&["d/file10.txt", "d/file2.txt", "d/File1.TXT", "d/b/x.md", "d/b/007.rst", "d/b/7.rst.gz"]);

        for typed in ["d", "d/", "./d"] {
            let expected = ["b/007.rst", "b/7.rst.gz", "b/x.md", "File1.TXT", "file2.txt", "file10.txt"];
            assert_eq!(labels(typed, folder.path()), expected, "{typed}");
        }
        assert_eq!(texts("d/", folder.path(), InputFormat::Auto).root(), Path::new("d"));
    }

    #[test]
    fn a_pattern_gives_paths_relative_to_its_fixed_part() {
        let folder = folder(&["d/e/a.txt", "d/e/f/b.md", "d/e/f/c.txt", "d/g.txt", "h.txt"]);

        assert_eq!(labels("d/e/*.txt", folder.path()), ["a.txt"]);
        assert_eq!(labels("d/**/*.txt", folder.path()), ["e/a.txt", "e/f/c.txt", "g.txt"]);
        assert_eq!(labels("d/*/f/*", folder.path()), ["e/f/b.md", "e/f/c.txt"]);
        assert_eq!(labels("*.txt", folder.path()), ["h.txt"]);
    }

    #[test]
    fn files_that_are_left_out_are_counted_and_one_of_them_is_named() {
        let folder = folder(&["d/a.txt", "d/b.csv", "d/a.png", "d/.hidden.txt", "d/.git/config", "d/sub/.x.txt"]);

        let left_out = texts("d", folder.path(), InputFormat::Auto).left_out();

        let expected = "2 files of other kinds (a.png), 3 hidden files (.git)";
        assert_eq!(left_out.as_deref(), Some(expected));
        assert_eq!(
            texts("d/*.txt", folder.path(), InputFormat::Auto).left_out().as_deref(),
            Some("1 hidden file (.hidden.txt)")
        );
        assert_eq!(texts("d/a.*", folder.path(), InputFormat::Text).left_out(), None);
    }

    #[cfg(unix)]
    #[test]
    fn links_out_of_a_folder_and_to_folders_are_left_out() {
        use std::os::unix::fs::symlink;
        let folder = folder(&["d/a.txt", "d/sub/b.txt", "secret.txt", "other/c.txt"]);
        let at = |name: &str| folder.path().join(name);
        for (target, link) in [
            ("../secret.txt", "d/out.txt"),
            ("a.txt", "d/in.txt"),
            ("..", "d/up"),
            (".", "d/sub/loop"),
            ("../other", "d/others"),
            ("nothing", "d/dead.txt"),
        ] {
            symlink(target, at(link)).expect("it can be linked");
        }

        let found = texts("d", folder.path(), InputFormat::Auto);

        assert_eq!(labels("d", folder.path()), ["a.txt", "in.txt", "sub/b.txt"]);
        assert_eq!(found.left_out().as_deref(), Some("5 links (dead.txt)"));
        assert_eq!(labels("d/**/*.txt", folder.path()), ["a.txt", "in.txt", "sub/b.txt"]);
        symlink("d", at("link")).expect("it can be linked");
        assert_eq!(labels("link", folder.path()), ["a.txt", "in.txt", "sub/b.txt"]);
    }

    #[test]
    fn the_error_for_a_folder_without_texts_says_what_is_in_it_and_what_to_do() {
        let folder = folder(&["rows/b.csv", "rows/a.jsonl.gz", "rows/c.png", "images/a.png"]);
        fs::create_dir(folder.path().join("empty")).expect("there is room");

        let rows = refusal("rows/", folder.path(), InputFormat::Auto);
        let images = refusal("images", folder.path(), InputFormat::Auto);
        let empty = refusal("empty", folder.path(), InputFormat::Auto);

        assert!(rows.contains("3 files of other kinds (a.jsonl.gz)"), "{rows}");
        assert!(rows.ends_with("claude-batch run rows/a.jsonl.gz"), "{rows}");
        assert!(images.contains("1 file of another kind (a.png)") && images.contains("--format text"), "{images}");
        assert!(empty.contains("is an empty folder"), "{empty}");
        assert!(refusal("*.tsv", folder.path(), InputFormat::Auto).contains("no file matches *.tsv"));
        let csv = refusal("rows", folder.path(), InputFormat::Csv);
        assert!(csv.contains("--format csv") && csv.contains("'rows/*'"), "{csv}");
    }

    #[test]
    fn each_file_with_rows_that_matches_a_pattern_is_a_separate_input() {
        let folder = folder(&["d/p10.csv", "d/p2.csv", "d/a.txt"]);
        let files = |typed: &str, format| match expand(Path::new(typed), folder.path(), format) {
            Ok(Expanded::Files(files)) => files,
            other => panic!("{typed}: {other:?}"),
        };

        assert_eq!(files("d/*.csv", InputFormat::Auto), ["d/p2.csv", "d/p10.csv"].map(PathBuf::from));
        assert_eq!(files("d/*.txt", InputFormat::Lines), [PathBuf::from("d/a.txt")]);
        assert_eq!(labels("d/*", folder.path()), ["a.txt"]);
        assert_eq!(expand(Path::new("d/a.txt"), folder.path(), InputFormat::Auto).expect("a file"), Expanded::Itself);
    }

    #[test]
    fn output_files_that_the_next_run_would_read_are_recognized() {
        let folder = folder(&["d/a.txt", "d/sub/b.txt", "e/c.txt"]);
        let at = |name: &str| folder.path().join(name);
        let all = texts(&at("d").display().to_string(), folder.path(), InputFormat::Auto);
        let any = texts(&at("d").display().to_string(), folder.path(), InputFormat::Text);
        let some = texts(&at("d/*.txt").display().to_string(), folder.path(), InputFormat::Auto);

        for (path, expected) in [
            ("d/o.txt", [true, true, true]),
            ("d/sub/o.md", [true, true, false]),
            ("d/../d/o.txt", [true, true, true]),
            ("d/o.results.jsonl", [false, true, false]),
            ("d/.o.txt", [false; 3]),
            ("e/o.txt", [false; 3]),
            ("o.txt", [false; 3]),
        ] {
            let found = [&all, &any, &some].map(|texts| texts.would_take(&at(path)));
            assert_eq!(found, expected, "{path}");
        }
    }

    #[test]
    fn numbers_in_names_are_compared_as_numbers() {
        let mut names = ["b", "a10", "a9b", "a9", "A1", "a/z", "a-1", "a010", "a99999999999999999999999", "a"];
        names.sort_unstable_by(|one, other| natural(one, other));

        assert_eq!(names, ["a", "a/z", "a-1", "A1", "a9", "a9b", "a010", "a10", "a99999999999999999999999", "b"]);
    }
}
