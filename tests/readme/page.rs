//! The pages, and the parts of a page.

use std::fs;
use std::path::{Path, PathBuf};

/// A page of documentation.
pub struct Page {
    /// The path of the page, relative to the root of the repository.
    pub path: String,
    pub text: String,
}

/// A block of a page between two lines of three backticks.
pub struct Block<'a> {
    /// The language of the block, for example `sh`.
    pub language: &'a str,
    /// The last line of text before this block. The line is empty if there is no text between two blocks.
    pub above: &'a str,
    pub text: String,
}

/// Returns the root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the README.
pub fn readme() -> Page {
    Page::read("README.md")
}

/// Returns the README and all pages below `src`, in the order of their paths.
pub fn pages() -> Vec<Page> {
    let mut paths = Vec::new();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder can be read") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.extension().is_some_and(|ending| ending == "md") => paths.push(path),
                false => {}
            }
        }
    }
    paths.sort();
    let page = |path: PathBuf| Page::read(path.strip_prefix(root()).expect("it is below").to_str().expect("text"));
    [readme()].into_iter().chain(paths.into_iter().map(page)).collect()
}

impl Page {
    pub fn read(path: &str) -> Self {
        let text = fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        Self { path: path.to_owned(), text }
    }

    /// Returns the text below a heading, up to the next heading of the same level.
    pub fn section(&self, heading: &str) -> &str {
        let rest = self.text.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no {heading}")).1;
        rest.split("\n## ").next().unwrap_or(rest)
    }

    /// Returns the text of the page without its code blocks.
    pub fn prose(&self) -> String {
        self.text.split("\n```").step_by(2).collect::<Vec<_>>().join("\n")
    }

    pub fn blocks(&self) -> Vec<Block<'_>> {
        blocks(&self.text)
    }
}

/// Returns the blocks of a text.
pub fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut found = Vec::new();
    let (mut above, mut open): (&str, Option<Block<'_>>) = ("", None);
    for line in text.lines() {
        match (line.strip_prefix("```"), open.take()) {
            (Some(_), Some(block)) => {
                found.push(block);
                above = "";
            }
            (Some(language), None) => open = Some(Block { language, above, text: String::new() }),
            (None, Some(mut block)) => {
                block.text.push_str(line);
                block.text.push('\n');
                open = Some(block);
            }
            (None, None) if line.is_empty() => {}
            (None, None) => above = line,
        }
    }
    assert!(open.is_none(), "the last block has an end");
    found
}
