//! Finds what is wrong with a line of JSON. Errors of the parser get a more helpful message. This module also rejects
//! JSON that the parser accepts but that can't be used.

use std::collections::HashSet;

use serde_json::value::RawValue;

use super::super::names::short;
use super::super::raw::Fault;
use crate::domain::json::{Cursor, DEEPEST, is_within_depth, lone_surrogate};
use crate::domain::{Params, shortened};

/// The deepest allowed nesting of a row, and of the row's line in the error log. JSON parsers usually have the same
/// limit.
pub(super) const MAX_DEPTH: usize = DEEPEST as usize;

pub(super) fn syntax_fault(text: &str, error: &serde_json::Error) -> Fault {
    let told = error.to_string();
    let what = &*shortened(told.rsplit_once(" at line ").map_or(&*told, |(what, _)| what));
    let mut column = error.column().max(1);
    if error.is_data() {
        return Fault::at(column - 1, what);
    }
    if what.starts_with("control character") {
        // The parser sometimes reports a column that is before the faulty character.
        column += text.bytes().skip(column - 1).position(|byte| byte < 0x20).unwrap_or_default();
    }
    let rest = text.as_bytes().get(column - 1..).unwrap_or_default();
    let hint = match rest {
        _ if error.is_eof() => "; the line ends too early: each line must be a complete JSON value",
        [b'N', b'a', b'N', ..] | [b'I', b'n', b'f', ..] => {
            "; NaN and Infinity are not JSON: leave them out or use null"
        }
        [b'N', b'o', b'n', b'e', ..] | [b'T', b'r', b'u', ..] | [b'F', b'a', b'l', ..] | [b'\'', ..] => {
            "; this looks like Python: write it with json.dumps"
        }
        _ => "",
    };
    Fault::at(column - 1, format!("is not JSON: {what}{hint}"))
}

pub(super) fn after_end_fault(text: &str, error: &serde_json::Error) -> Fault {
    let column = error.column().max(1);
    let rest = text.get(column - 1..).unwrap_or_default();
    let message = match rest.as_bytes().first() {
        Some(b'{' | b'"' | b'[') => "has a second value after its first; write each row on its own line",
        Some(b',') => "has a comma after its value; rows are separated by line ends only",
        _ => "has something after its value; write each row on its own line",
    };
    Fault::at(column - 1, message)
}

/// Rejects parameters that would be nested too deep in the error log. In the log, parameters are two levels deeper than
/// in the request.
pub(in crate::source) fn check_depth(params: &Params) -> Result<(), Fault> {
    let is_deep = |value: &RawValue| !is_within_depth(value.get().as_bytes(), DEEPEST - 2);
    match params.0.iter().find(|(_, value)| is_deep(value)) {
        Some((name, _)) => Err(Fault::new(format!("nests {} more than {} levels deep", short(name), DEEPEST - 2))),
        None => Ok(()),
    }
}

/// Rejects valid JSON that common parsers or the API would reject. Returns the number of opening brackets, including
/// brackets in strings.
///
/// Most rows have so few brackets that they can't be nested too deep, and many rows have no escapes. It is much faster
/// to count brackets and backslashes than to keep track of strings.
pub(super) fn check_text(text: &str) -> Result<usize, Fault> {
    let (openings, escapes) = openings_and_escapes(text.as_bytes());
    if openings > MAX_DEPTH
        && let Some(at) = Cursor::new(text.as_bytes()).deeper_than(MAX_DEPTH)
    {
        return Err(Fault::at(at, format!("is nested more than {MAX_DEPTH} levels deep")));
    }
    if escapes > 0
        && let Some(at) = lone_surrogate(text)
    {
        let escape = text.get(at..at + 6).unwrap_or_default();
        return Err(Fault::at(at, format!("holds {escape}, half of a character, which the API refuses")));
    }
    Ok(openings)
}

/// Returns the number of opening brackets and the number of backslashes in the text. Characters inside of strings are
/// counted too.
fn openings_and_escapes(text: &[u8]) -> (usize, usize) {
    // The counters are single bytes, so that the compiler can add sixteen of them in one instruction. The text is split
    // into chunks that are so short that no counter can overflow.
    let of_chunk = |chunk: &[u8]| {
        let openings = chunk.iter().map(|byte| u8::from(matches!(byte, b'{' | b'['))).sum::<u8>();
        let escapes = chunk.iter().map(|&byte| u8::from(byte == b'\\')).sum::<u8>();
        (usize::from(openings), usize::from(escapes))
    };
    text.chunks(255).map(of_chunk).fold((0, 0), |sum, of| (sum.0 + of.0, sum.1 + of.1))
}

/// Rejects a name that is used twice; `place` says where.
pub(in crate::source) fn refuse_repeats<'a>(
    names: impl ExactSizeIterator<Item = &'a str> + Clone,
    place: &str,
) -> Result<(), Fault> {
    let repeated_name = if names.len() <= 16 {
        let mut later = names.clone();
        names.clone().find(|name| {
            later.next();
            later.clone().any(|other| other == *name)
        })
    } else {
        let mut seen = HashSet::with_capacity(names.len());
        names.clone().find(|name| !seen.insert(*name))
    };
    repeated_name.map_or(Ok(()), |name| Err(repeated(name, place)))
}

pub(super) fn repeated(name: &str, place: &str) -> Fault {
    Fault::new(format!("has the name {} twice{place}; keep one", short(name)))
}
