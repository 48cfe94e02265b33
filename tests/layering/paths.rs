//! Finds the paths in a source, expands `use` trees, and resolves relative paths.

use std::collections::BTreeSet;
use std::fmt;

use crate::code::{find, is_word_part, is_word_start, without_comments_and_strings, without_test_items};
use crate::rules::Fault;

/// The parts of a source file that the rules need.
pub struct Source {
    /// The path of the file, relative to `src`, with `/`.
    pub file: String,
    /// The module path of the file; empty for the crate roots. For example, `limiter/pool.rs` has the path `limiter`,
    /// `pool`.
    pub module: Vec<String>,
    /// All paths in the code of the file.
    pub paths: Vec<SourcePath>,
    /// The names of the project's modules that the file can use in paths. The file declares these modules, or imports
    /// them from `crate`, `self` or `super`.
    pub local_names: BTreeSet<String>,
    /// The names of the modules that the file declares.
    pub children: BTreeSet<String>,
    /// The names and line numbers of the functions that are `pub`.
    pub public_functions: Vec<(String, usize)>,
    /// The names of modules that are declared only for tests and are separate files.
    pub own_test_modules: Vec<String>,
}

impl Source {
    pub fn new(file: &str, text: &str) -> Self {
        let (code, own_test_modules) = without_test_items(without_comments_and_strings(text));
        Self { own_test_modules, ..Self::of_code(file, &code) }
    }

    /// Reads a source file, including its tests.
    pub fn with_tests(file: &str, text: &str) -> Self {
        Self::of_code(file, &without_comments_and_strings(text))
    }

    fn of_code(file: &str, code: &str) -> Self {
        let tokens = tokens(code);
        let paths = paths(&tokens);
        let declared = tokens.windows(2).filter(|pair| pair[0].text == "mod").map(|pair| pair[1].text.clone());
        let children: BTreeSet<String> = declared.collect();
        let is_ours = |path: &&SourcePath| matches!(path.first(), "crate" | "self" | "super");
        let imported = paths.iter().filter(is_ours).map(|path| path.last().to_owned());
        let local_names = children.iter().cloned().chain(imported).collect();
        Self {
            file: file.to_owned(),
            module: module_path(file),
            paths,
            local_names,
            children,
            public_functions: public_functions(&tokens),
            own_test_modules: Vec::new(),
        }
    }

    pub fn top_module(&self) -> Option<String> {
        self.module.first().cloned()
    }

    pub fn test_modules(&self) -> Vec<Vec<String>> {
        let with = |name: &String| self.module.iter().chain([name]).cloned().collect();
        self.own_test_modules.iter().map(with).collect()
    }

    /// Returns the top-level module to which a path leads; `None` if the path leads outside the library.
    pub fn used_module(&self, path: &SourcePath) -> Option<String> {
        match path.first() {
            "crate" | "claude_batch" | "self" | "super" => self.whole(path)?.into_iter().next(),
            _ => None,
        }
    }

    /// Returns a path, written from the root of the library; `None` if the path leads outside the library.
    pub fn whole(&self, path: &SourcePath) -> Option<Vec<String>> {
        let segments = &path.segments;
        match path.first() {
            "crate" => Some(segments[1..].to_vec()),
            "claude_batch" if self.file == "main.rs" => Some(segments[1..].to_vec()),
            "self" | "super" => {
                let start = usize::from(path.first() == "self");
                let ups = segments[start..].iter().take_while(|segment| *segment == "super").count();
                let kept = self.module.len().saturating_sub(ups);
                Some(self.module[..kept].iter().chain(&segments[start + ups..]).cloned().collect())
            }
            first if segments.len() > 1 && self.children.contains(first) => {
                Some(self.module.iter().chain(segments).cloned().collect())
            }
            _ => None,
        }
    }

    /// Returns whether a path leads into this foreign crate.
    pub fn names_crate(&self, krate: &str) -> bool {
        let is_ours = self.local_names.contains(krate);
        let leads_there = |path: &SourcePath| path.first() == krate && (path.is_absolute || !is_ours);
        self.paths.iter().any(|path| path.segments.len() > 1 && leads_there(path))
    }

    pub fn fault(&self, path: &SourcePath, message: String) -> Fault {
        Fault { file: format!("src/{}", self.file), line: path.line, message }
    }
}

fn module_path(file: &str) -> Vec<String> {
    let stem = file.strip_suffix(".rs").unwrap_or(file);
    let mut parts: Vec<String> = stem.split('/').map(str::to_owned).collect();
    if parts.len() == 1 && matches!(&*parts[0], "lib" | "main") || parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    parts
}

fn public_functions(tokens: &[Token]) -> Vec<(String, usize)> {
    let starts = tokens.iter().enumerate().filter(|(_, token)| token.text == "pub").map(|(at, _)| at + 1);
    let named = starts.filter_map(|start| {
        let qualifiers =
            tokens[start..].iter().take_while(|token| matches!(&*token.text, "const" | "async" | "unsafe"));
        let at = start + qualifiers.count();
        (tokens.get(at)?.text == "fn").then(|| tokens.get(at + 1))?
    });
    named.map(|name| (name.text.clone(), name.line)).collect()
}

/// Returns the words of a text. Comments and strings are left out.
pub fn words(text: &str) -> impl Iterator<Item = String> {
    tokens(&without_comments_and_strings(text)).into_iter().filter(Token::is_word).map(|token| token.text)
}

/// A path in code, for example `std::time::Instant`. `use` trees are expanded.
#[derive(Debug)]
pub struct SourcePath {
    pub segments: Vec<String>,
    pub line: usize,
    /// Whether the path began with `::`.
    pub is_absolute: bool,
    /// Whether the path is the name of a macro that is called.
    pub is_macro: bool,
    /// Whether the path is re-exported with `pub use`.
    pub is_export: bool,
}

impl SourcePath {
    pub fn first(&self) -> &str {
        self.segments.first().map_or("", String::as_str)
    }

    pub fn last(&self) -> &str {
        self.segments.last().map_or("", String::as_str)
    }

    pub fn starts_with(&self, start: &str) -> bool {
        start.split("::").enumerate().all(|(at, part)| self.segments.get(at).is_some_and(|own| own == part))
    }

    /// Returns whether the path contains these segments one after the other.
    pub fn contains(&self, name: &str) -> bool {
        let parts: Vec<&str> = name.split("::").collect();
        self.segments.windows(parts.len()).any(|window| window == parts)
    }
}

impl fmt::Display for SourcePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.segments.join("::"))
    }
}

/// A token of the code: a word, `::`, or one other character.
struct Token {
    pub text: String,
    pub line: usize,
}

impl Token {
    fn is_word(&self) -> bool {
        self.text.starts_with(is_word_start)
    }
}

fn tokens(code: &str) -> Vec<Token> {
    let chars: Vec<char> = code.chars().collect();
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < chars.len() {
        let end = match chars[at..] {
            [first, ..] if is_word_start(first) => find(&chars, at, |rest| !is_word_part(rest[0])),
            [':', ':', ..] => at + 2,
            _ => at + 1,
        };
        if chars[at] == '\n' {
            line += 1;
        } else if !chars[at].is_whitespace() {
            tokens.push(Token { text: chars[at..end].iter().collect(), line });
        }
        at = end;
    }
    tokens
}

/// The keywords after which a `::` begins a new path.
const BEFORE_PATHS: &[&str] = &[
    "as", "break", "const", "dyn", "else", "for", "if", "impl", "in", "match", "move", "mut", "pub", "return", "use",
    "where", "while", "yield",
];

fn paths(tokens: &[Token]) -> Vec<SourcePath> {
    let mut paths = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at].is_word() && !BEFORE_PATHS.contains(&&*tokens[at].text) {
            let before = |back: usize| at.checked_sub(back).map_or("", |before| &*tokens[before].text);
            let words = [before(1), before(2), before(3), before(4), before(5)];
            let first = paths.len();
            at = read_path(tokens, at, Vec::new(), words[0] == "::", &mut paths);
            match words {
                // The name of a declared module and the visibility of an item do not count as uses.
                ["mod", ..] | ["(", "pub", ..] | ["in", "(", "pub", ..] => paths.truncate(first),
                ["use", "pub", ..] | ["use", ")", _, "(", "pub"] => {
                    paths[first..].iter_mut().for_each(|path| path.is_export = true);
                }
                _ => {}
            }
        } else {
            at += 1;
        }
    }
    paths
}

/// Reads the path, or the tree of paths, that starts at `at`. Returns the position after the path or tree.
fn read_path(
    tokens: &[Token],
    mut at: usize,
    mut segments: Vec<String>,
    is_absolute: bool,
    paths: &mut Vec<SourcePath>,
) -> usize {
    let text = |at: usize| tokens.get(at).map_or("", |token| &*token.text);
    let line = tokens.get(at).map_or(0, |token| token.line);
    loop {
        match tokens.get(at) {
            Some(token) if token.is_word() => segments.push(token.text.clone()),
            Some(token) if token.text == "{" => return read_group(tokens, at + 1, &segments, is_absolute, paths),
            _ => break,
        }
        at += 1;
        if text(at) != "::" {
            break;
        }
        at += 1;
    }
    let is_macro = text(at) == "!" && matches!(text(at + 1), "(" | "[" | "{");
    paths.push(SourcePath { segments, line, is_absolute, is_macro, is_export: false });
    at
}

/// Reads the members of a `use` tree up to its closing brace. Returns the position after the tree.
fn read_group(
    tokens: &[Token],
    mut at: usize,
    prefix: &[String],
    is_absolute: bool,
    paths: &mut Vec<SourcePath>,
) -> usize {
    while at < tokens.len() {
        match &*tokens[at].text {
            "}" => return at + 1,
            "as" => at += 2,
            _ if tokens[at].is_word() => at = read_path(tokens, at, prefix.to_vec(), is_absolute, paths),
            _ => at += 1,
        }
    }
    at
}
