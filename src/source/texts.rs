//! Text files of a folder, or of a pattern: which ones are read, in which order, and what is left out.
//!
//! Hidden files and folders are left out, and so is every link that leads out of the folder or to a folder. Only the
//! list of names is in memory.

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

/// Endings of text files.
pub(crate) const TEXT_ENDINGS: [&str; 15] = [
    "txt", "text", "md", "markdown", "rst", "adoc", "asciidoc", "org", "tex", "html", "htm", "xml", "srt", "vtt", "eml",
];

/// Endings of files of rows.
pub(super) const ROW_ENDINGS: [&str; 8] = ["jsonl", "ndjson", "json", "csv", "tsv", "tab", "parquet", "xlsx"];

/// Returns whether a file name has one of these endings, before the ending of a compressed file.
pub(super) fn ends_in(name: &str, endings: &[&str]) -> bool {
    let ending = Compression::name_inside(name).rsplit_once('.').map(|(_, ending)| ending);
    ending.is_some_and(|ending| endings.iter().any(|known| ending.eq_ignore_ascii_case(known)))
}

/// Text files of a folder or a pattern, a row each. Cheap to clone.
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
    /// Returns what was typed.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the folder that labels are relative to; empty for the working folder.
    pub(crate) fn root(&self) -> &Path {
        &self.pattern.root
    }

    /// Returns how many files there are.
    pub(crate) fn count(&self) -> u64 {
        self.files.len() as u64
    }

    /// Returns the labels of the files.
    pub(super) fn labels(&self) -> &[Box<str>] {
        &self.files
    }

    /// Returns what is left out, for people; `None` when nothing is.
    pub(crate) fn left_out(&self) -> Option<String> {
        (*self.left_out != LeftOut::default()).then(|| self.left_out.to_string())
    }

    /// Returns whether the next run would read a file that is written at `path`.
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

/// What a typed path stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expanded {
    /// One file, or anything else with this path.
    Itself,
    /// Files that are inputs of their own.
    Files(Vec<PathBuf>),
    /// Text files, which are one input.
    Texts(Texts),
}

/// Returns what a typed path stands for. A relative path starts at `working_folder`.
///
/// A folder stands for the text files in it and below. A pattern stands for the text files that fit. If none of those is
/// a text file, or if `format` is that of files with rows, it stands for all files that fit, as inputs of their own.
///
/// # Errors
/// [`SourceError::NoMatch`], [`SourceError::NoTexts`], [`SourceError::FolderFormat`], [`SourceError::Open`].
pub(crate) fn expand(path: &Path, working_folder: &Path, format: InputFormat) -> Result<Expanded, SourceError> {
    // Without a slash at the end.
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

/// Returns the error of a folder without a text file that can be read.
fn no_texts(name: String, folder: &Path, others: &[File], left_out: &LeftOut) -> SourceError {
    let rows = others.iter().find(|file| ends_in(&file.label, &ROW_ENDINGS));
    let remedy = match rows {
        Some(file) => format!("name its files, as in: claude-batch run {}", folder.join(&*file.label).display()),
        None => format!(
            "text files are those that end in {}; with --format text every file is one",
            name_list(TEXT_ENDINGS)
        ),
    };
    let holds = if *left_out == LeftOut::default() { "it is empty".to_owned() } else { format!("it holds {left_out}") };
    SourceError::NoTexts { name, holds, remedy }
}

/// A file that fits a pattern.
#[derive(Clone, Debug)]
struct File {
    label: Box<str>,
    /// Whether it is a link that leads out of the folder.
    is_outside: bool,
}

/// What a walk found.
struct Walked {
    /// In natural order.
    files: Vec<File>,
    left_out: LeftOut,
}

/// Finds the files that fit a pattern.
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

/// Compares two paths so that `file2` comes before `file10`, and what is in a folder stays together.
fn natural(one: &str, other: &str) -> Ordering {
    let (mut left, mut right) = (one.as_bytes(), other.as_bytes());
    loop {
        let (Some(&a), Some(&b)) = (left.first(), right.first()) else { break };
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

/// Returns the number that a text begins with, without leading zeros, and the rest of it.
fn number(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let zeros = text[..end].iter().take_while(|byte| **byte == b'0').count();
    (&text[zeros..end], &text[end..])
}

fn rank(byte: u8) -> u8 {
    if byte == b'/' { 0 } else { byte.to_ascii_lowercase() }
}

/// Why a file is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Other,
    Hidden,
    Link,
}

/// Files that are left out: for each reason how many, and the first of them.
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
