//! A position in JSON text. The position moves forward while values are read.

use super::scan::{blanks_end, number_end, plain_text, string_end, word_end};

/// The deepest nesting that the cursor accepts. Common JSON parsers have the same limit.
pub(crate) const DEEPEST: u32 = 127;

/// A place in JSON text.
///
/// Each method reads one part of the text, for example a string, and moves past it. If a method does not find this
/// part, it returns `None`. After a `None`, the cursor must not be used any more. A few methods do not move the cursor
/// when they return `None`, and their docs say so. If such a method returns `None`, the cursor can be used again.
/// Values are returned as they are written in the text, and nothing is copied. Skipping a deeply nested value uses no
/// recursion. Recursion is possible only in the closures that callers give to [`Cursor::object`] and [`Cursor::array`].
#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    json: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// Returns a cursor at the start of a text.
    pub(crate) fn new(json: &'a [u8]) -> Self {
        Self { json, at: 0 }
    }

    /// Returns the position of the cursor, in bytes from the start of the text.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// Skips blanks and returns the byte that follows them, without moving past that byte.
    #[inline]
    pub(crate) fn peek(&mut self) -> Option<u8> {
        self.at = blanks_end(self.json, self.at);
        self.json.get(self.at).copied()
    }

    /// Skips blanks and moves past the byte `wanted`.
    #[inline]
    pub(crate) fn take(&mut self, wanted: u8) -> Option<()> {
        (self.peek()? == wanted).then(|| self.at += 1)
    }

    /// Moves past exactly these bytes, without skipping blanks before them. If the text does not continue with these
    /// bytes, the cursor does not move.
    #[inline]
    pub(crate) fn literal(&mut self, text: &[u8]) -> Option<()> {
        self.json.get(self.at..)?.starts_with(text).then(|| self.at += text.len())
    }

    /// Returns `Some` if the rest of the text contains only blanks.
    pub(crate) fn end(&mut self) -> Option<()> {
        self.peek().is_none().then_some(())
    }

    /// Reads an object. For each member, calls `member` with the member's name. The escapes in this name are not
    /// decoded. The closure `member` must read the value.
    #[inline]
    pub(crate) fn object(&mut self, member: impl FnMut(&mut Self, &'a [u8]) -> Option<()>) -> Option<()> {
        self.members(Self::string, member)
    }

    /// Reads an object as [`Cursor::object`] does. Returns `None` if the name of a member has escapes.
    #[inline]
    pub(crate) fn plain_object(&mut self, member: impl FnMut(&mut Self, &'a [u8]) -> Option<()>) -> Option<()> {
        self.members(Self::plain_string, member)
    }

    #[inline]
    fn members(
        &mut self,
        read_name: impl Fn(&mut Self) -> Option<&'a [u8]>,
        mut member: impl FnMut(&mut Self, &'a [u8]) -> Option<()>,
    ) -> Option<()> {
        self.list(b'{', b'}', |cursor| {
            let name = read_name(cursor)?;
            cursor.take(b':')?;
            member(cursor, name)
        })
    }

    /// Reads an array. The closure `element` is called for each element and must read its value.
    #[inline]
    pub(crate) fn array(&mut self, element: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.list(b'[', b']', element)
    }

    #[inline]
    fn list(&mut self, open: u8, close: u8, mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.take(open)?;
        if self.peek()? == close {
            return self.take(close);
        }
        loop {
            item(self)?;
            match self.peek()? {
                b',' => self.at += 1,
                _ => return self.take(close),
            }
        }
    }

    /// Reads a string and returns the text between its quotes. Escapes are not decoded.
    #[inline]
    pub(crate) fn string(&mut self) -> Option<&'a [u8]> {
        self.peek()?;
        let start = self.at;
        self.at = string_end(self.json, start)?;
        self.json.get(start + 1..self.at - 1)
    }

    /// Reads a string and returns it with its quotes. The text between the quotes is not checked, so use this method
    /// only for text that was checked before. For long strings, this method is several times as fast as
    /// [`Cursor::string`].
    #[inline]
    pub(crate) fn checked_string(&mut self) -> Option<&'a [u8]> {
        let start = self.at;
        let mut at = self.json.get(start).filter(|byte| **byte == b'"').map(|_| start + 1)?;
        loop {
            at += memchr::memchr2(b'"', b'\\', self.json.get(at..)?)?;
            if self.json[at] == b'"' {
                self.at = at + 1;
                return self.json.get(start..self.at);
            }
            at += 2;
        }
    }

    /// Reads a string without escapes.
    #[inline]
    pub(crate) fn plain_string(&mut self) -> Option<&'a [u8]> {
        self.peek()?;
        let text = plain_text(self.json, self.at)?;
        self.at = text.end + 1;
        self.json.get(text)
    }

    /// Reads a number.
    pub(crate) fn number(&mut self) -> Option<&'a [u8]> {
        self.peek()?;
        let start = self.at;
        self.at = number_end(self.json, start)?;
        self.json.get(start..self.at)
    }

    /// Reads a number that is written with digits only and fits in 64 bits. If there is no such number, the cursor does
    /// not move.
    #[inline]
    pub(crate) fn count(&mut self) -> Option<u64> {
        self.peek()?;
        let (mut number, mut end) = (0_u64, self.at);
        while let Some(digit @ b'0'..=b'9') = self.json.get(end) {
            number = number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
            end += 1;
        }
        let is_whole = !matches!(self.json.get(end), Some(b'.' | b'e' | b'E'));
        let is_number = match self.json.get(self.at..end)? {
            [] | [b'0', _, ..] => false,
            [_, ..] => is_whole,
        };
        is_number.then(|| {
            self.at = end;
            number
        })
    }

    /// Reads a value of any type, with at most `deepest` levels of nesting. Returns the text of the value. `deepest` is
    /// at most [`DEEPEST`].
    #[inline]
    pub(crate) fn value(&mut self, deepest: u32) -> Option<&'a [u8]> {
        self.peek()?;
        let start = self.at;
        self.skip_value(deepest)?;
        self.json.get(start..self.at)
    }

    /// Skips any value that is nested at most `deepest` levels deep. `deepest` is at most [`DEEPEST`].
    #[inline]
    pub(crate) fn skip_value(&mut self, deepest: u32) -> Option<()> {
        // Most values are strings and numbers. Skipping a string or a number needs no tracking of brackets.
        self.at = match self.peek()? {
            b'"' => string_end(self.json, self.at)?,
            b'0'..=b'9' => number_end(self.json, self.at)?,
            _ => value_end(self.json, self.at, deepest)?,
        };
        Some(())
    }

    /// Returns the position of the first bracket that opens a level deeper than `deepest`. The text must be valid JSON.
    pub(crate) fn deeper_than(mut self, deepest: usize) -> Option<usize> {
        let mut depth = 0;
        loop {
            match self.peek()? {
                b'"' => self.at = string_end(self.json, self.at)? - 1,
                b'{' | b'[' if depth == deepest => return Some(self.at),
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.checked_sub(1)?,
                _ => {}
            }
            self.at += 1;
        }
    }
}

/// Skips the blanks at `at` and the value after the blanks, and returns the position after the value. Returns `None`
/// when there is no value, or when the value is nested deeper than `deepest` levels. `deepest` is at most [`DEEPEST`].
fn value_end(bytes: &[u8], mut at: usize, deepest: u32) -> Option<usize> {
    // The number `open` has one bit for each open bracket: 1 for an object, 0 for an array.
    let (mut open, mut depth) = (0_u128, 0);
    loop {
        at = blanks_end(bytes, at);
        let is_opened = match bytes.get(at)? {
            b'"' => {
                at = string_end(bytes, at)?;
                false
            }
            bracket @ (b'{' | b'[') if depth < deepest.min(DEEPEST) => {
                open = (open << 1) | u128::from(*bracket == b'{');
                depth += 1;
                at = blanks_end(bytes, at + 1);
                true
            }
            b'-' | b'0'..=b'9' => {
                at = number_end(bytes, at)?;
                false
            }
            _ => {
                at = word_end(bytes, at)?;
                false
            }
        };
        let is_empty = is_opened && closes(*bytes.get(at)?, open);
        if is_opened && !is_empty {
            at = if is_object(open) { name_end(bytes, at)? } else { at };
            continue;
        }
        // Here, `at` is the position after a value, or before the closing bracket of an empty object or array.
        loop {
            if depth == 0 {
                return Some(at);
            }
            at = blanks_end(bytes, at);
            match *bytes.get(at)? {
                byte if closes(byte, open) => {
                    open >>= 1;
                    depth -= 1;
                    at += 1;
                }
                b',' if is_object(open) => {
                    at = name_end(bytes, blanks_end(bytes, at + 1))?;
                    break;
                }
                b',' => {
                    at += 1;
                    break;
                }
                _ => return None,
            }
        }
    }
}

fn is_object(open: u128) -> bool {
    open & 1 == 1
}

fn closes(byte: u8, open: u128) -> bool {
    byte == if is_object(open) { b'}' } else { b']' }
}

/// Returns the position after a member's name and its colon.
fn name_end(bytes: &[u8], at: usize) -> Option<usize> {
    let at = blanks_end(bytes, string_end(bytes, at)?);
    (*bytes.get(at)? == b':').then_some(at + 1)
}

#[cfg(test)]
mod tests;
