//! Removes secrets from everything that servers send, because secrets must never be shown.
//!
//! A server can send the key back in an error, in a header or in a broken answer. In such a text, the key can be plain,
//! escaped or encoded. So each text from a server passes through [`Secrets`] after it was decoded, and before it is
//! shown, written or counted. For each secret, [`Secrets`] finds:
//!
//! - Each part of the secret that has twelve or more characters. Parts of the secret's base64 form (both alphabets, any
//!   alignment) and of its hex form are found too, if they have twelve or more characters. A secret of 8 to 11
//!   characters is found only as a whole.
//! - The characters of the secret in an escaped form, with percent signs, backslashes or HTML entities. Up to three
//!   layers of escapes are decoded, and the layers can be of different kinds. In a long text, the program does not try
//!   every order in which the kinds of escapes can be nested. A text is long if it has more than a megabyte, not
//!   counting the content of the answer.
//!
//! Each part that is found is replaced with `[key]`. Two things are not found: a part of a secret with other text
//! between its characters, and a secret with fewer than eight characters. Such a short secret can be part of an
//! ordinary word, so removing it would only damage the text.
//!
//! The content of an answer is not changed, because the results must have the model's own words, byte for byte.
//!
//! Checking a successful answer costs little. A filter checks every eighth position of the answer, but skips the
//! content of the answer. A text is searched only if the filter finds a sign of a secret. The tables of the filter
//! contain parts of the secrets. So the memory of a table is set to zero when the table is dropped.

mod filter;
mod forms;
mod view;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use zeroize::Zeroizing;

use self::filter::Filter;
use self::view::{VIEWS, VIEWS_OF_LONG, View, hash};
use super::{Failure, HaltReason, Message, Verdict, WriteFault, json};

/// A secret is searched for only if it has at least this many characters. A shorter secret is treated as a placeholder
/// (`x`, `key`).
pub(crate) const SHORTEST: usize = 8;
/// A part of a secret is removed only if it has at least this many characters.
const PART: usize = 12;
/// The text that replaces a secret.
const MARK: &str = "[key]";
/// A text of at least this size, in bytes, counts as long.
const LONG: usize = 1 << 20;

/// The secrets: texts that must never be shown. The `Debug` form of this type does not show the secrets.
#[derive(Default)]
pub struct Secrets {
    filter: Filter,
    /// The hashes of all parts that are searched for, in one sorted list per length.
    parts: Vec<(usize, Zeroizing<Vec<u64>>)>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets")
    }
}

impl Secrets {
    /// Returns a `Secrets` that finds these texts. Texts that are shorter than `SHORTEST` or not ASCII are left out.
    pub fn new<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let texts = texts.into_iter().filter(|text| text.len() >= SHORTEST && text.is_ascii());
        let forms: Vec<_> = texts.flat_map(forms::of).filter(|form| form.len() >= SHORTEST).collect();
        let mut parts: BTreeMap<usize, Zeroizing<Vec<u64>>> = BTreeMap::new();
        for form in &forms {
            let length = form.len().min(PART);
            parts.entry(length).or_default().extend(form.windows(length).map(hash));
        }
        let parts = parts.into_iter().map(|(length, mut hashes)| {
            hashes.sort_unstable();
            hashes.dedup();
            (length, hashes)
        });
        let parts: Vec<_> = parts.collect();
        let shortest = parts.first().map_or(PART, |(length, _)| *length);
        Self { filter: Filter::new(forms.iter().map(|form| form.as_slice()), shortest), parts }
    }

    /// Returns a `Secrets` that finds nothing.
    pub fn none() -> &'static Arc<Self> {
        static NONE: LazyLock<Arc<Secrets>> = LazyLock::new(Arc::default);
        &NONE
    }

    /// Removes the secrets from a text.
    pub fn clean(&self, text: &mut String) {
        if !self.is_suspect(text.as_bytes()) {
            return;
        }
        // The last range is replaced first, so the positions of the earlier ranges stay valid. Secrets are ASCII, so no
        // character is cut in the middle.
        for found in self.find(text.as_bytes(), text.len()).into_iter().rev() {
            text.replace_range(found, MARK);
        }
    }

    /// Removes the secrets from the verdict of an attempt.
    pub(crate) fn clean_verdict(&self, verdict: &mut Verdict) {
        match verdict {
            Verdict::Answered(message) => self.clean_message(message),
            Verdict::Paused { message, failure } => {
                self.clean_message(message);
                failure.answer = Some(message.json.clone());
                self.clean_failure(failure);
            }
            Verdict::Limited { failure, .. }
            | Verdict::Overloaded { failure, .. }
            | Verdict::Transient { failure, .. }
            | Verdict::Rejected { failure, .. }
            | Verdict::Forbidden(failure)
            | Verdict::NoModel(failure) => self.clean_failure(failure),
            Verdict::Halt(reason) => match reason {
                HaltReason::Key(failure)
                | HaltReason::Forbidden(failure)
                | HaltReason::Account(failure)
                | HaltReason::Models(failure)
                | HaltReason::Tls(failure)
                | HaltReason::Proxy(failure)
                | HaltReason::Endpoint(failure)
                | HaltReason::Batches(failure)
                | HaltReason::AllFail { failure, .. } => self.clean_failure(failure),
                HaltReason::Redirect { to, failure } => {
                    to.iter_mut().for_each(|to| self.clean(to));
                    self.clean_failure(failure);
                }
                HaltReason::Disk(WriteFault { message, .. }) | HaltReason::Budget(message) => self.clean(message),
                HaltReason::RetryAfter { .. }
                | HaltReason::OtherWorkspace
                | HaltReason::Signal(_)
                | HaltReason::Ctl { .. } => {}
            },
            Verdict::Aborted => {}
        }
    }

    fn clean_failure(&self, failure: &mut Failure) {
        let Failure { status: _, wire: _, kind, code, message, request_id, usage: _, stream: _, answer: _ } = failure;
        self.clean(message);
        [kind, code, request_id].into_iter().flatten().for_each(|text| self.clean(text));
    }

    /// Removes the secrets from all parts of a message except its content.
    fn clean_message(&self, message: &mut Message) {
        let Range { start, end } = message.content;
        let (before, after) = (&message.json[..start], &message.json[end..]);
        if !self.is_suspect(before) && !self.is_suspect(after) {
            return;
        }
        let (before, after) = (self.edits(before), self.edits(after));
        if before.is_empty() && after.is_empty() {
            return;
        }
        let mut json = Vec::with_capacity(message.json.len());
        write_edited(&message.json[..start], before, &mut json);
        let at = json.len();
        json.extend_from_slice(&message.json[start..end]);
        message.content = at..json.len();
        write_edited(&message.json[end..], after, &mut json);
        message.json = Bytes::from(json);
    }

    /// Returns whether a text possibly contains a secret. For a text without a secret, the result is nearly always
    /// `false`.
    fn is_suspect(&self, text: &[u8]) -> bool {
        !self.parts.is_empty() && (view::has_escapes(text) || self.filter.may_contain(text))
    }

    /// Searches a part of a JSON text, and returns the replacements with their positions. The part must not begin or
    /// end in the middle of a value.
    fn edits(&self, json: &[u8]) -> Vec<(Range<usize>, &'static str)> {
        let mut edits = Vec::new();
        let mut at = 0;
        while at < json.len() {
            let start = at;
            if json[at] == b'"' {
                let Some(end) = json::string_end(json, at) else { break };
                at = end;
                let found = self.find(&json[start + 1..end - 1], json.len());
                edits.extend(found.into_iter().map(|found| (found.start + start + 1..found.end + start + 1, MARK)));
                continue;
            }
            let rest = &json[at..];
            at += rest.iter().position(|byte| b"\",:[]{} \t".contains(byte)).unwrap_or(rest.len());
            if at == start {
                at += 1;
            } else if !self.find(&json[start..at], json.len()).is_empty() {
                edits.push((start..at, "\"[key]\""));
            }
        }
        edits
    }

    /// Returns the ranges of secrets, in order and without overlaps. No range begins or ends inside an escape.
    /// `whole_bytes` is the size of all text that is searched.
    fn find(&self, text: &[u8], whole_bytes: usize) -> Vec<Range<usize>> {
        let views = if whole_bytes < LONG { VIEWS } else { VIEWS_OF_LONG };
        let mut found = Vec::new();
        for piece in view::pieces(text) {
            View::of(text, piece).all(views).for_each(|view| self.find_in(&view, &mut found));
        }
        merged(found)
    }

    fn find_in(&self, view: &View, found: &mut Vec<Range<usize>>) {
        if !self.filter.may_contain(view.bytes()) {
            return;
        }
        for (length, hashes) in &self.parts {
            for (at, part) in view.bytes().windows(*length).enumerate() {
                if hashes.binary_search(&hash(part)).is_ok() {
                    found.push(view.source(at..at + length));
                }
            }
        }
    }
}

fn merged(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_unstable_by_key(|range| range.start);
    let mut merged: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

fn write_edited(text: &[u8], edits: Vec<(Range<usize>, &'static str)>, out: &mut Vec<u8>) {
    let mut at = 0;
    for (range, put) in edits {
        out.extend_from_slice(&text[at..range.start]);
        out.extend_from_slice(put.as_bytes());
        at = range.end;
    }
    out.extend_from_slice(&text[at..]);
}

#[cfg(test)]
mod tests;
