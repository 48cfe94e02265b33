//! Jobs: what is to be answered, and how it is known again.

use std::fmt;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::{Ask, Merged, Request, RowId};

/// Number of a job in its run: the row's position over all that the run reads, from 0, blank lines not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

/// What a job asks, as 128 bits: two rows with the same key are the same request.
///
/// Shape: shown as `k1:` and 32 hexadecimal digits. Made by [`crate::plan::key`] from the logical request: API version,
/// sorted betas, model and params without insignificant white space.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobKey(pub [u8; 16]);

impl JobKey {
    /// Returns the shown form, in ASCII.
    pub fn text(self) -> [u8; 35] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = *b"k1:00000000000000000000000000000000";
        for (pair, byte) in text[3..].chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        text
    }
}

impl fmt::Display for JobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.text()).expect("hexadecimal digits are text"))
    }
}

impl fmt::Debug for JobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobKey({self})")
    }
}

impl JobKey {
    /// Reads the shown form back; `None` when it is not one (another version of the key, a damaged line).
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix("k1:")?;
        let digits: &[u8; 32] = hex.as_bytes().try_into().ok()?;
        let value = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = (value(pair[0])? << 4) | value(pair[1])?;
        }
        Some(Self(bytes))
    }
}

/// How a row is known again in a later run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The user named the row: label and key together.
    Named,
    /// The row has no name: its key, and which of the equal rows it is, counted from 0 in input order.
    ///
    /// So a line inserted above leaves finished rows finished.
    Nth(u32),
}

/// Where a row was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Name of the input as it is shown: the file's path as given, or `stdin`.
    pub source: Arc<str>,
    /// Line on which the row starts, from 1.
    pub line: u64,
}

/// Request parameters: names and raw JSON values in the order they were written.
///
/// Values are never parsed and written again, so number spelling, key order and escapes inside them reach the API byte
/// for byte (prompt caching needs byte-stable prefixes). Names are unique.
#[derive(Clone, Debug, Default)]
pub struct Params(pub Vec<(Box<str>, Box<RawValue>)>);

impl Params {
    /// Returns the raw JSON text of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| &**own == name).map(|(_, value)| value.get())
    }

    /// Sets a parameter, in place when it is there, else at the end.
    pub fn set(&mut self, name: &str, value: Box<RawValue>) {
        match self.0.iter_mut().find(|(own, _)| &**own == name) {
            Some((_, own)) => *own = value,
            None => self.0.push((name.into(), value)),
        }
    }

    /// Adds a parameter unless the row has its own.
    pub(crate) fn set_default(&mut self, name: &str, value: &RawValue) {
        if self.get(name).is_none() {
            self.0.push((name.into(), value.to_owned()));
        }
    }

    /// Returns how many bytes of text they are.
    pub fn bytes(&self) -> usize {
        self.0.iter().map(|(name, value)| name.len() + value.get().len()).sum()
    }

    /// Writes the parameters as one JSON object without insignificant white space between them.
    ///
    /// Line breaks inside the raw values become blanks: JSON has none inside strings, so the value is the same and the
    /// object stays on one line.
    pub(crate) fn write_object(&self, out: &mut Vec<u8>) {
        Merged::from(self).write_object(out);
    }
}

/// One row to be answered: what it is, and what it asks. Never changes; what is sent for it is its [`Ask`].
#[derive(Clone, Debug)]
pub struct Job {
    /// Its number in this run.
    pub id: JobId,
    /// Its label: the user's, or `<source>:<line>`.
    pub custom_id: String,
    /// What it asks.
    pub key: JobKey,
    /// How a later run knows it again.
    pub identity: Identity,
    /// The same in 16 bytes.
    pub row: RowId,
    /// What the row asks: its own parameters over those of the flags. `model` and `max_tokens` are always there, `stream`
    /// never is: how an answer travels is not the row's to say. The key covers this, and an error entry holds it.
    pub request: Request,
    /// Fields that ride along and are not sent: one JSON object's members, as raw values.
    pub extra: Params,
    /// Where it was read.
    pub origin: Origin,
    /// The row's position over all inputs of the run that read it first, from 0, blank lines not counted. The same as
    /// `id`, but for rows of an error log: they keep the position that the log has of them.
    pub index: u64,
}

impl Job {
    /// Returns how many bytes of text it holds: label, request and what rides along.
    pub fn bytes(&self) -> usize {
        self.custom_id.len() + self.request.json().len() + self.extra.bytes()
    }
}

/// A job with what is to be sent for it next, as the scheduler takes it.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The job.
    pub job: Box<Job>,
    /// What is sent for it.
    pub ask: Ask,
}

impl Planned {
    /// Returns how many bytes of text it holds. The first ask of a row shares those of its job.
    pub fn bytes(&self) -> usize {
        let (of_job, of_ask) = (self.job.request.json(), self.ask.request.json());
        let is_shared = of_job.as_ptr() == of_ask.as_ptr();
        self.job.bytes() + if is_shared { 0 } else { of_ask.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).expect("the test writes valid JSON")
    }

    #[test]
    fn a_key_reads_back_what_it_shows() {
        let key = JobKey([0xab; 16]);

        assert_eq!(JobKey::parse(&key.to_string()), Some(key));
        assert_eq!(JobKey::parse("k2:00"), None);
        assert_eq!(JobKey::parse("k1:é0000000000000000000000000000000"), None);
    }

    #[test]
    fn params_keep_order_and_spelling() {
        let mut params = Params::default();
        params.set("temperature", raw("1.0e0"));
        params.set("a", raw("[1,\n 2]"));
        params.set("temperature", raw("1.50"));

        let mut out = Vec::new();
        params.write_object(&mut out);

        assert_eq!(String::from_utf8_lossy(&out), r#"{"temperature":1.50,"a":[1,  2]}"#);
    }
}
