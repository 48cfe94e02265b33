//! Finds lone surrogates. A lone surrogate is an escape for one half of a UTF-16 pair, without the escape for the other
//! half.

/// Returns the position of the first lone surrogate in valid JSON.
///
/// JSON with a lone surrogate is valid, but the API and most other readers reject it.
pub(crate) fn lone_surrogate(text: &str) -> Option<usize> {
    let mut at = 0;
    while let Some(found) = text.get(at..)?.find('\\') {
        let escape = at + found;
        at = match unit_at(text, escape) {
            Some(0xd800..=0xdbff) => match unit_at(text, escape + 6) {
                Some(0xdc00..=0xdfff) => escape + 12,
                _ => return Some(escape),
            },
            Some(0xdc00..=0xdfff) => return Some(escape),
            Some(_) => escape + 6,
            None => escape + 2,
        };
    }
    None
}

/// Returns the UTF-16 unit that the escape `\uXXXX` at `at` encodes.
fn unit_at(text: &str, at: usize) -> Option<u16> {
    u16::from_str_radix(text.get(at..at + 6)?.strip_prefix("\\u")?, 16).ok()
}
