//! Walking raw JSON text by slices, without building a tree.
//!
//! The text is known to be valid (it was read as raw values). Still nothing here panics or loops on text that is not:
//! iteration just ends. Depth costs no stack.

use crate::domain::json::special;

/// Returns the first byte of a value; `None` for empty text.
pub(super) fn first_byte(value: &[u8]) -> Option<u8> {
    value.iter().copied().find(|byte| !byte.is_ascii_whitespace())
}

/// Returns the content of a string value between its quotes, still escaped; `None` when the value is no string.
pub(super) fn string_body(value: &[u8]) -> Option<&[u8]> {
    value.trim_ascii().strip_prefix(b"\"")?.strip_suffix(b"\"")
}

/// Returns the elements of an array as raw values; nothing for another value.
pub(super) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = value.trim_ascii().strip_prefix(b"[").unwrap_or_default();
    std::iter::from_fn(move || next_value(&mut rest))
}

/// Returns the members of an object, names still escaped and without quotes; nothing for another value.
pub(super) fn members(value: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = value.trim_ascii().strip_prefix(b"{").unwrap_or_default();
    std::iter::from_fn(move || {
        let name = string_body(next_value(&mut rest)?)?;
        Some((name, next_value(&mut rest)?))
    })
}

/// What [`members_of_elements`] comes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// An element begins.
    Element,
    /// A member of the element: its name, still escaped and without quotes, and its raw value.
    Member(&'a [u8], &'a [u8]),
}

/// Returns the elements of an array, each followed by its members if it is an object; nothing for another value.
///
/// The same as [`elements`] and the [`members`] of each, but the end of an element is not looked for before it is walked.
pub(super) fn members_of_elements(value: &[u8]) -> impl Iterator<Item = Found<'_>> {
    let mut rest = value.trim_ascii().strip_prefix(b"[").unwrap_or_default();
    let mut is_inside = false;
    std::iter::from_fn(move || {
        if is_inside {
            if let Some(name) = next_value(&mut rest) {
                return Some(Found::Member(string_body(name)?, next_value(&mut rest)?));
            }
            rest = rest.strip_prefix(b"}")?;
        }
        skip_separators(&mut rest);
        is_inside = rest.first() == Some(&b'{');
        if is_inside {
            rest = &rest[1..];
            return Some(Found::Element);
        }
        next_value(&mut rest).map(|_| Found::Element)
    })
}

/// Returns how many bytes stand before the next quote or backslash; all of them when there is none.
pub(super) fn find_quote_or_escape(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(found) = special(bytes, at) {
        if matches!(bytes[found], b'"' | b'\\') {
            return found;
        }
        // A control character: valid text has none.
        at = found + 1;
    }
    bytes.len()
}

/// Takes the next value off a list of values and separators; `None` at the list's end.
fn next_value<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    skip_separators(rest);
    let text = *rest;
    let len = value_len(text);
    *rest = &text[len..];
    (len > 0).then(|| &text[..len])
}

fn skip_separators(rest: &mut &[u8]) {
    let separators = rest.iter().take_while(|byte| byte.is_ascii_whitespace() || matches!(byte, b',' | b':')).count();
    *rest = &rest[separators..];
}

/// Returns the length of the value at the start of `text`; zero at a closing bracket or the end.
fn value_len(text: &[u8]) -> usize {
    match text.first() {
        Some(b'"') => string_len(text),
        Some(b'[' | b'{') => nested_len(text),
        _ => text
            .iter()
            .take_while(|byte| !matches!(byte, b',' | b':' | b']' | b'}') && !byte.is_ascii_whitespace())
            .count(),
    }
}

/// Returns the length of the string at the start of `text`, quotes included.
pub(super) fn string_len(text: &[u8]) -> usize {
    let mut at = 1;
    loop {
        match text.get(at) {
            Some(b'"') => return at + 1,
            Some(b'\\') => at = (at + 2).min(text.len()),
            Some(_) => at += find_quote_or_escape(&text[at..]),
            None => return text.len(),
        }
    }
}

/// Returns the length of the array or object at the start of `text`.
fn nested_len(text: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => {
                at += string_len(&text[at..]);
                continue;
            }
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
        if depth == 0 {
            break;
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::estimate::tests::any_json;
    use super::*;

    #[test]
    fn elements_are_cut_at_their_own_ends() {
        let list = br#" [ 1 , "a,]\"" ,[2,[3]], {"b":"}"} ,null] "#;

        let found: Vec<&[u8]> = elements(list).collect();

        assert_eq!(found, [&b"1"[..], br#""a,]\"""#, b"[2,[3]]", br#"{"b":"}"}"#, b"null"]);
    }

    #[test]
    fn members_come_with_their_raw_values() {
        let object = br#"{"a" : "x\\" , "b":{"c":[1]},"d":-1.5e3}"#;

        let found: Vec<(&[u8], &[u8])> = members(object).collect();

        assert_eq!(found, [(&b"a"[..], &br#""x\\""#[..]), (b"b", br#"{"c":[1]}"#), (b"d", b"-1.5e3")]);
    }

    proptest! {
        #[test]
        fn elements_and_their_members_are_found_in_one_walk(
            values in prop::collection::vec(any_json(), 0..4),
            is_pretty in any::<bool>(),
            cut in any::<prop::sample::Index>(),
        ) {
            let text = if is_pretty { serde_json::to_string_pretty(&values) } else { serde_json::to_string(&values) };
            let text = text.expect("values become JSON").into_bytes();
            let of_element = |element| {
                let members = members(element).map(|(name, value)| Found::Member(name, value));
                std::iter::once(Found::Element).chain(members).collect::<Vec<_>>()
            };

            let whole: Vec<Found<'_>> = members_of_elements(&text).collect();
            let cut = members_of_elements(&text[..cut.index(text.len())]).count();

            prop_assert_eq!(&whole, &elements(&text).flat_map(of_element).collect::<Vec<_>>());
            prop_assert!(cut <= whole.len());
        }
    }

    #[test]
    fn other_values_have_neither_elements_nor_members() {
        for value in [&b"1"[..], b"\"[1]\"", b"null", b"", b"  "] {
            assert_eq!(elements(value).count() + members(value).count(), 0);
        }
    }

    #[test]
    fn text_that_ends_too_early_ends_the_walk() {
        let whole = br#"{"a":["x\"",{"b":1}],"c":"\\"}"#;

        for end in 0..whole.len() {
            let cut = &whole[..end];
            assert!(members(cut).count() <= 2 && elements(cut).count() == 0);
        }
        assert_eq!(members(b"{\"a\":1]2").count(), 1);
        assert_eq!(elements(b"[1}").count(), 1);
    }

    #[test]
    fn nesting_of_any_depth_is_one_value() {
        let deep = ["[".repeat(200_000), "]".repeat(200_000)].concat();

        assert_eq!(elements(deep.as_bytes()).count(), 1);
    }

    #[test]
    fn quotes_and_escapes_are_found_at_every_position() {
        for len in 0..100 {
            for stop in [b'"', b'\\'] {
                let mut bytes = vec![b'a'; len];
                assert_eq!(find_quote_or_escape(&bytes), len);
                bytes.push(stop);
                bytes.extend([b'"'; 40]);
                assert_eq!(find_quote_or_escape(&bytes), len);
            }
        }
    }
}
