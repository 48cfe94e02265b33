//! Replaces comments, strings, character literals and test items in source text with blanks.

use std::ops::Range;

/// Returns whether a word can begin with `c`.
pub fn is_word_start(c: char) -> bool {
    c == '_' || c.is_alphabetic()
}

/// Returns whether a word can contain `c`.
pub fn is_word_part(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// Replaces comments, strings and character literals with blanks. Line breaks stay, so that every line keeps its
/// number.
pub fn without_comments_and_strings(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = blank_end(&chars, at);
        if end == at {
            code.push(chars[at]);
            at += 1;
        } else {
            code.extend(chars[at..end].iter().map(|&c| if c == '\n' { c } else { ' ' }));
            at = end;
        }
    }
    code
}

/// Returns the end of the comment or literal that starts at `at`; `at` itself if no comment or literal starts there.
fn blank_end(chars: &[char], at: usize) -> usize {
    let next = chars.get(at + 1).copied().unwrap_or('\0');
    match chars[at] {
        '/' if next == '/' => find(chars, at, |rest| rest[0] == '\n'),
        '/' if next == '*' => block_comment_end(chars, at),
        '"' => string_end(chars, at),
        '\'' if next == '\\' => find(chars, at + 3, |rest| rest[0] == '\'') + 1,
        '\'' if chars.get(at + 2) == Some(&'\'') => at + 3,
        'r' if at == 0 || !is_word_part(chars[at - 1]) || is_raw_prefix(chars, at) => raw_string_end(chars, at),
        _ => at,
    }
    .min(chars.len())
}

/// Returns whether the `r` at `at` belongs to a prefix `br"` or `cr"`.
fn is_raw_prefix(chars: &[char], at: usize) -> bool {
    matches!(chars[at - 1], 'b' | 'c') && (at == 1 || !is_word_part(chars[at - 2]))
}

/// Searches from the position `from`. Returns the first position where `is_there` accepts the rest of the text. If
/// there is no such position, returns the end of the text.
pub fn find(chars: &[char], from: usize, is_there: impl Fn(&[char]) -> bool) -> usize {
    (from..chars.len()).find(|&at| is_there(&chars[at..])).unwrap_or(chars.len())
}

fn block_comment_end(chars: &[char], at: usize) -> usize {
    let mut depth = 0;
    let mut here = at;
    while here < chars.len() {
        match chars[here..] {
            ['/', '*', ..] => (depth, here) = (depth + 1, here + 2),
            ['*', '/', ..] => (depth, here) = (depth - 1, here + 2),
            _ => here += 1,
        }
        if depth == 0 {
            break;
        }
    }
    here
}

fn string_end(chars: &[char], at: usize) -> usize {
    let mut here = at + 1;
    while here < chars.len() && chars[here] != '"' {
        here += if chars[here] == '\\' { 2 } else { 1 };
    }
    here + 1
}

fn raw_string_end(chars: &[char], at: usize) -> usize {
    let hashes = chars[at + 1..].iter().take_while(|&&c| c == '#').count();
    let open = at + 1 + hashes;
    if chars.get(open) != Some(&'"') {
        return at;
    }
    let is_close =
        |rest: &[char]| rest[0] == '"' && rest[1..].iter().take(hashes).filter(|&&c| c == '#').count() == hashes;
    find(chars, open + 1, is_close) + 1 + hashes
}

/// Replaces the items under `#[cfg(test)]` with blanks. Returns the changed code, and the names of the modules that the
/// replaced items declare as files.
pub fn without_test_items(code: String) -> (String, Vec<String>) {
    let mut chars: Vec<char> = code.chars().collect();
    let mut modules = Vec::new();
    for item in test_items(&chars) {
        modules.extend(declared_module(&chars[item.clone()].iter().collect::<String>()));
        chars[item].iter_mut().filter(|c| **c != '\n').for_each(|c| *c = ' ');
    }
    (chars.into_iter().collect(), modules)
}

/// Returns how many lines of a source do not belong to an item under `#[cfg(test)]`.
pub fn lines_without_tests(text: &str) -> usize {
    let chars: Vec<char> = without_comments_and_strings(text).chars().collect();
    // The last line break of an item is not in its range, so the range has one more line than line breaks.
    let lines_of = |item: Range<usize>| chars[item].split(|c| *c == '\n').count();
    let of_tests: usize = test_items(&chars).into_iter().map(lines_of).sum();
    text.lines().count().saturating_sub(of_tests)
}

/// Returns the positions of the items under `#[cfg(test)]`, including that attribute.
fn test_items(chars: &[char]) -> Vec<Range<usize>> {
    let mut items = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let Some(attribute_end) = attribute_end(chars, at) else {
            at += 1;
            continue;
        };
        let attribute: String = chars[at..attribute_end].iter().filter(|c| !c.is_whitespace()).collect();
        if !is_for_tests(&attribute) {
            at = attribute_end;
            continue;
        }
        let end = if attribute.starts_with("#!") { chars.len() } else { item_end(chars, attribute_end) };
        items.push(at..end);
        at = end;
    }
    items
}

fn is_for_tests(attribute: &str) -> bool {
    let is_cfg = attribute.starts_with("#[cfg(") || attribute.starts_with("#![cfg(");
    is_cfg && !attribute.contains("not(test)") && attribute.split(|c| !is_word_part(c)).any(|word| word == "test")
}

/// Returns the end of the attribute that starts at `at`; `None` if no attribute starts there.
fn attribute_end(chars: &[char], at: usize) -> Option<usize> {
    let open = match chars[at..] {
        ['#', '[', ..] => at + 1,
        ['#', '!', '[', ..] => at + 2,
        _ => return None,
    };
    Some(matching_end(chars, open))
}

/// Finds the bracket that closes the bracket at `open`, and returns the position after the closing bracket.
fn matching_end(chars: &[char], open: usize) -> usize {
    let mut depth = 0;
    for (at, c) in chars.iter().enumerate().skip(open) {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    chars.len()
}

/// Returns the end of the item that follows `from`: the position after its `;` or its closing brace. Between `from` and
/// the item, there can be further attributes.
fn item_end(chars: &[char], from: usize) -> usize {
    let mut at = from;
    while at < chars.len() {
        match chars[at] {
            ';' => return at + 1,
            '{' => return matching_end(chars, at),
            '(' | '[' => at = matching_end(chars, at),
            _ => at += 1,
        }
    }
    at
}

fn declared_module(item: &str) -> Option<String> {
    let words: Vec<&str> = item.strip_suffix(';')?.split_whitespace().collect();
    match words[..] {
        [.., "mod", name] => Some(name.to_owned()),
        _ => None,
    }
}
