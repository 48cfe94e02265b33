//! A walk reads a request once, from its start to its end. A walk reads the parts that the model sees, and the cache
//! marks (`cache_control`), which make the API write to a cache.

use super::image::Vision;
use super::weights::{self, Class, Weighed, Weights, weigh, weigh_escaped, weigh_wide};
use crate::domain::json::{Cursor, DEEPEST, inside_quotes};
use crate::domain::{Caching, Interval};

/// The number of levels of nested blocks that are read. The API nests blocks three levels deep. Deeper content is
/// counted as plain text.
const MOST_DEPTH: u32 = 8;
/// The API adds tokens around a whole request. For the tokens around a whole request, the program counts this number of
/// bytes. The API also adds tokens at each message. These tokens are fewer than the bytes of JSON around the message,
/// so no extra bytes are counted for messages.
pub(super) const BYTES_AROUND: u64 = 16;
/// The real number of tokens of a text, divided by the text's weight (the estimated number of tokens). The values are
/// the lowest, the likely and the highest ratio, in thousandths. ASCII text is mostly Latin prose, code and data. Wide
/// text is text that is not ASCII, such as accented letters and other scripts.
///
/// No tokenizer is published. To check the weights, two counts were compared on code, JSON, tables of numbers, and
/// texts in ten languages. The first of the two counts was made with the weights. For the second count, the text was
/// split into runs of letters, runs of digits and runs of punctuation. The ratio of the two counts was between 0.52 and
/// 1.35 for ASCII texts, and between 0.46 and 1.44 for other texts. Third-party measurements (April 2026) differ from
/// each other by a fifth.
const ASCII_TEXT: Interval<u64> = Interval { low: 550, likely: 1000, high: 1500 };
const WIDE_TEXT: Interval<u64> = Interval { low: 500, likely: 1000, high: 1500 };
/// The tokens that the API adds per message.
const MESSAGE: Interval<u64> = Interval { low: 3, likely: 7, high: 10 };
/// The parameters that are not part of a prompt.
const NOT_IN_PROMPT: [&[u8]; 12] = [
    b"model",
    b"max_tokens",
    b"metadata",
    b"stop_sequences",
    b"stream",
    b"temperature",
    b"top_p",
    b"top_k",
    b"service_tier",
    b"speed",
    b"inference_geo",
    b"cache_control",
];

/// A scale says how many tokens each kind of content in a request has. There are three scales: for the old tokenizer,
/// for the new tokenizer, and for the lower bound.
pub(super) struct Scale {
    weights: &'static Weights,
    message_tokens: u64,
    pub vision: Vision,
    /// The number of tokens of the text of a PDF page. The tokens of the page's picture are added to this number.
    /// Source: API documentation, "PDF support": 1,500 to 3,000 tokens.
    pub page_text_tokens: u64,
}

const NO_VISION: Vision = Vision { longest_edge_px: 1, max_tokens: 0 };

impl Scale {
    pub(super) const OLD: Self =
        Self { weights: &weights::OLD, message_tokens: MESSAGE.likely, vision: Vision::OLD, page_text_tokens: 2250 };
    pub(super) const NEW: Self = Self { weights: &weights::NEW, vision: Vision::NEW, ..Self::OLD };
    pub(super) const FLOOR: Self =
        Self { weights: &weights::FLOOR, message_tokens: 0, vision: NO_VISION, page_text_tokens: 0 };
}

/// One pass over a request, and the counts that this pass collects.
pub(super) struct Walk<'s> {
    pub scale: &'s Scale,
    /// The tokens of all text, in thousandths.
    text: u64,
    /// How much of `text` comes from characters outside ASCII.
    wide: u64,
    /// The tokens of all pictures and documents.
    pub media: Interval<u64>,
    pub messages: u32,
    /// The total size of everything that can be part of a prompt, in bytes. The size of an escape is its written
    /// length: `\n` has two bytes.
    pub bytes: u64,
    /// The part of `bytes` that is not text: the data of pictures and documents, and the extra bytes of escapes (an
    /// escape is longer than its character).
    pub left_out: u64,
    /// The highest possible number of tokens of all pictures and documents.
    pub most_media_tokens: u64,
    pub caching: Caching,
    /// Whether the API accepts a cache mark on the text or block that was read last.
    can_be_marked: bool,
    /// The parts of the prompt, in the order of the members in the JSON text; `None` if the parts are not collected.
    pub parts: Option<Vec<Part>>,
}

/// A part of the prompt: all tools, a text, or a content block. A cached prefix can end at the end of a part.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub section: Section,
    /// The start and the end of the part, in bytes from the start of the member's value.
    pub start: usize,
    pub end: usize,
    /// The position of the closing brace, where a cache mark can be inserted; `None` for a text that is written as a
    /// plain string.
    pub brace: Option<usize>,
    /// The tokens of the part, in thousandths.
    pub weight: u64,
    /// Whether the API accepts a cache mark on the part.
    pub can_be_marked: bool,
    /// The lifetime of the part's own cache mark, if the part has a mark.
    pub own_mark: Caching,
}

/// The section of the prompt to which a part belongs. The order of the sections is the order in which the API reads
/// them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Section {
    Tools,
    System,
    /// A message: its index, and the first letter of its role.
    Message(u32, u8),
}

impl<'s> Walk<'s> {
    /// Reads the members of a request. Each member is a name and a value. The name is the text between its quotes, with
    /// its escapes.
    ///
    /// With `wants_parts`, the parts of the prompt are collected.
    pub(super) fn over<'m>(
        members: impl Iterator<Item = (&'m [u8], &'m [u8])>,
        scale: &'s Scale,
        wants_parts: bool,
    ) -> Self {
        #[cfg(test)]
        WALKS.set(WALKS.get() + 1);
        let mut walk = Self {
            scale,
            text: 0,
            wide: 0,
            media: Interval::default(),
            messages: 0,
            bytes: BYTES_AROUND,
            left_out: 0,
            most_media_tokens: 0,
            caching: Caching::None,
            can_be_marked: true,
            parts: wants_parts.then(Vec::new),
        };
        for (name, value) in members {
            if !NOT_IN_PROMPT.contains(&name) {
                walk.bytes += value.len() as u64;
            }
            let (text, wide, media, left_out) = (walk.text, walk.wide, walk.media, walk.left_out);
            let mut cursor = Cursor::new(value);
            let is_read = match name {
                b"messages" => walk.messages(&mut cursor),
                b"system" => walk.blocks(&mut cursor, Section::System),
                b"tools" => walk.all_tools(value),
                b"output_config" => {
                    walk.verbatim(value);
                    Some(())
                }
                b"cache_control" => {
                    walk.mark(value);
                    Some(())
                }
                _ => Some(()),
            };
            if is_read.is_none() {
                // The value is nested too deep to be read. So the value's whole text is counted as it is written, and
                // the value is treated as if it had a one-hour cache mark.
                (walk.text, walk.wide, walk.media, walk.left_out) = (text, wide, media, left_out);
                walk.verbatim(value);
                walk.caching = Caching::Hour;
                walk.parts = None;
            }
        }
        walk
    }

    /// Records a cache mark, because the API can write everything before the mark to a cache.
    fn mark(&mut self, value: &[u8]) {
        self.caching = self.caching.max(lifetime(value));
    }

    /// A name with escapes can stand for any name, so this function treats it as a cache mark of the most expensive
    /// kind. In practice, no row has such names.
    pub(super) fn note_escapes(&mut self, name: &[u8]) {
        if name.contains(&b'\\') {
            self.caching = Caching::Hour;
        }
    }

    /// Returns the estimated tokens.
    pub(super) fn tokens(&self) -> u64 {
        self.text.div_ceil(1000) + u64::from(self.messages) * self.scale.message_tokens + self.media.likely
    }

    /// Returns the estimated tokens as an interval.
    pub(super) fn interval(&self) -> Interval<u64> {
        let ascii = self.text.saturating_sub(self.wide);
        let text = |of_ascii: u64, of_wide: u64| (ascii * of_ascii + self.wide * of_wide).div_ceil(1_000_000);
        let messages = u64::from(self.messages);
        Interval {
            low: text(ASCII_TEXT.low, WIDE_TEXT.low) + messages * MESSAGE.low + self.media.low,
            likely: self.tokens(),
            high: text(ASCII_TEXT.high, WIDE_TEXT.high) + messages * MESSAGE.high + self.media.high,
        }
    }

    fn messages(&mut self, cursor: &mut Cursor<'_>) -> Option<()> {
        if cursor.peek()? != b'[' {
            return Some(());
        }
        cursor.array(|cursor| {
            let number = self.messages;
            self.messages = self.messages.saturating_add(1);
            if cursor.peek()? != b'{' {
                return cursor.skip_value(DEEPEST);
            }
            let mut role = 0;
            let first_part = self.parts.as_ref().map_or(0, Vec::len);
            cursor.object(|cursor, name| match name {
                b"content" => self.blocks(cursor, Section::Message(number, 0)),
                b"role" => {
                    role = cursor.value(DEEPEST)?.get(1).copied().unwrap_or_default();
                    Some(())
                }
                name => {
                    self.note_escapes(name);
                    cursor.skip_value(DEEPEST)
                }
            })?;
            if let Some(parts) = &mut self.parts {
                let own = &mut parts[first_part..];
                own.iter_mut().for_each(|part| part.section = Section::Message(number, role));
                own.iter_mut().take(1).for_each(|part| part.weight += 1000 * self.scale.message_tokens);
            }
            Some(())
        })
    }

    /// Reads all tools, which form one part of the prompt.
    fn all_tools(&mut self, value: &[u8]) -> Option<()> {
        let (text, caching) = (self.text, std::mem::take(&mut self.caching));
        self.verbatim(value);
        let mut last_brace = None;
        self.tools(&mut Cursor::new(value), &mut last_brace)?;
        let own_mark = self.caching;
        self.caching = self.caching.max(caching);
        if let Some(parts) = &mut self.parts {
            let (section, weight, end) = (Section::Tools, self.text - text, value.len());
            let can_be_marked = last_brace.is_some();
            parts.push(Part { section, start: 0, end, brace: last_brace, weight, can_be_marked, own_mark });
        }
        Some(())
    }

    /// Reads `system`, or the content of a message.
    fn blocks(&mut self, cursor: &mut Cursor<'_>, section: Section) -> Option<()> {
        match cursor.peek()? {
            b'[' => cursor.array(|cursor| self.part(cursor, section, MOST_DEPTH - 1)),
            _ => self.part(cursor, section, MOST_DEPTH),
        }
    }

    /// Reads a text or a content block, and adds it as a part.
    fn part(&mut self, cursor: &mut Cursor<'_>, section: Section, depth: u32) -> Option<()> {
        if self.parts.is_none() {
            return self.content(cursor, depth);
        }
        let first = cursor.peek()?;
        // A string can become a block only if it stands for the whole list. A string inside the list is not valid.
        let can_be_block = first == b'{' || (first == b'"' && depth == MOST_DEPTH);
        let (start, text, media) = (cursor.position(), self.text, self.media.likely);
        let caching = std::mem::take(&mut self.caching);
        self.content(cursor, depth)?;
        let end = cursor.position();
        let own_mark = self.caching;
        self.caching = self.caching.max(caching);
        let part = Part {
            section,
            start,
            end,
            brace: (first == b'{').then(|| end - 1),
            weight: self.text - text + 1000 * (self.media.likely - media),
            can_be_marked: self.can_be_marked && can_be_block,
            own_mark,
        };
        self.parts.as_mut()?.push(part);
        Some(())
    }

    /// Reads the cache marks of tools. Also finds the closing brace of the last tool that can have a mark. Tools that
    /// are loaded only when needed are not part of the prompt, and the API rejects marks on such tools.
    fn tools(&mut self, cursor: &mut Cursor<'_>, last_brace: &mut Option<usize>) -> Option<()> {
        if cursor.peek()? != b'[' {
            return Some(());
        }
        cursor.array(|cursor| {
            if cursor.peek()? != b'{' {
                *last_brace = None;
                return cursor.skip_value(DEEPEST);
            }
            let (mut has_mark, mut is_deferred) = (false, false);
            cursor.object(|cursor, name| {
                match name {
                    b"cache_control" => {
                        has_mark = true;
                        self.mark(cursor.value(DEEPEST)?);
                    }
                    b"defer_loading" => is_deferred = cursor.value(DEEPEST)? != b"false",
                    name => {
                        self.note_escapes(name);
                        cursor.skip_value(DEEPEST)?;
                    }
                }
                Some(())
            })?;
            if !is_deferred {
                *last_brace = (!has_mark).then(|| cursor.position() - 1);
            }
            Some(())
        })
    }

    pub(super) fn content(&mut self, cursor: &mut Cursor<'_>, depth: u32) -> Option<()> {
        match cursor.peek()? {
            b'[' if depth > 0 => cursor.array(|cursor| self.content(cursor, depth - 1)),
            b'{' if depth > 0 => self.block(cursor, depth - 1),
            _ => {
                let value = cursor.value(DEEPEST)?;
                self.can_be_marked = inside_quotes(value).is_some_and(|text| !is_blank(text));
                self.verbatim(value);
                Some(())
            }
        }
    }

    /// Adds the tokens of a block, except for the parts that the model does not see: ids, cache marks and signatures.
    fn block(&mut self, cursor: &mut Cursor<'_>, depth: u32) -> Option<()> {
        let left_out_before = self.left_out;
        let mut kind = &b""[..];
        let mut source = None;
        let (mut has_mark, mut is_empty) = (false, false);
        cursor.object(|cursor, name| {
            match name {
                b"type" => kind = inside_quotes(cursor.value(DEEPEST)?).unwrap_or_default(),
                b"source" => source = Some(cursor.value(DEEPEST)?),
                b"cache_control" => {
                    has_mark = true;
                    self.mark(cursor.value(DEEPEST)?);
                }
                b"content" => self.content(cursor, depth)?,
                b"text" => {
                    let text = cursor.value(DEEPEST)?;
                    is_empty = inside_quotes(text).is_none_or(is_blank);
                    self.verbatim(text);
                }
                b"thinking" | b"title" | b"context" | b"name" | b"input" | b"encrypted_content" => {
                    self.verbatim(cursor.value(DEEPEST)?);
                }
                name => {
                    self.note_escapes(name);
                    cursor.skip_value(DEEPEST)?;
                }
            }
            Some(())
        })?;
        // Inner blocks end before the outer block, so the outermost block sets these flags last.
        let is_thinking = matches!(kind, b"thinking" | b"redacted_thinking" | b"") || kind.contains(&b'\\');
        self.can_be_marked = !has_mark && !is_empty && !is_thinking;
        if !matches!(kind, b"text" | b"tool_result" | b"image" | b"document") {
            // All bytes of a block that has none of these kinds are counted, because the model may see its text
            // unchanged.
            self.left_out = left_out_before;
        }
        match (source, kind) {
            (Some(source), b"image") => self.image(source),
            (Some(source), b"document") => self.document(source, depth)?,
            (Some(source), _) => {
                self.verbatim(source);
                self.left_out = left_out_before;
            }
            (None, _) => {}
        }
        Some(())
    }

    /// Adds the tokens of a value. The text of the value is counted exactly as it is written. For a string, only its
    /// content is counted.
    pub(super) fn verbatim(&mut self, value: &[u8]) {
        let mut previous = Class::Break;
        let weights = self.scale.weights;
        let Weighed { weight, wide, surplus } = match inside_quotes(value) {
            Some(body) => weigh_escaped(weights, body, &mut previous),
            None => {
                let weight = weigh(weights, value, &mut previous);
                Weighed { weight, wide: weigh_wide(weights, value), surplus: 0 }
            }
        };
        self.text += weight;
        self.wide += wide;
        self.left_out += surplus;
    }
}

/// Returns whether a text consists of blanks. The text can contain JSON escapes.
pub(super) fn is_blank(text: &[u8]) -> bool {
    // For most texts, the loop stops at the first byte.
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let rest = &text[at..];
        at += match byte {
            b'\\' => match rest.get(1) {
                Some(b'n' | b't' | b'r' | b'f') => 2,
                Some(b'u') => match rest.get(2..6).and_then(code_unit).filter(|char| char.is_whitespace()) {
                    Some(_) => 6,
                    None => return false,
                },
                _ => return false,
            },
            byte if byte.is_ascii() => match char::from(byte).is_whitespace() {
                true => 1,
                false => return false,
            },
            _ => match first_char(rest).filter(|char| char.is_whitespace()) {
                Some(char) => char.len_utf8(),
                None => return false,
            },
        };
    }
    true
}

fn code_unit(digits: &[u8]) -> Option<char> {
    char::from_u32(u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?)
}

fn first_char(text: &[u8]) -> Option<char> {
    let most = &text[..text.len().min(4)];
    most.utf8_chunks().next()?.valid().chars().next()
}

/// Returns the lifetime that a cache mark asks for.
fn lifetime(mark: &[u8]) -> Caching {
    match mark {
        b"null" => Caching::None,
        // The lifetime may be written with escapes, so the longer lifetime is assumed.
        mark if has(mark, b"1h") || mark.contains(&b'\\') => Caching::Hour,
        _ => Caching::FiveMinutes,
    }
}

fn has(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// In an object, finds the first member named `wanted`, and returns the value of this member.
pub(super) fn member<'a>(object: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    let mut found = None;
    // The walk stops early when it finds the member, so the result of `object` is ignored.
    let _ = Cursor::new(object).object(|cursor, name| {
        let value = cursor.value(DEEPEST)?;
        found = (name == wanted).then_some(value);
        found.is_none().then_some(())
    });
    found
}

#[cfg(test)]
thread_local! {
    /// The number of walks over requests that this thread has made.
    static WALKS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Returns how many walks over requests this thread has made.
#[cfg(test)]
pub(crate) fn walks() -> u64 {
    WALKS.get()
}
