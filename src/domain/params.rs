//! The parameters of a request: a row's own parameters, alone or merged with the parameters from flags. No parameter is
//! copied for the merge.

use std::fmt;

use serde::Deserializer as _;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use super::json::{write_json_str, write_on_one_line};

/// Request parameters: names and raw JSON values, in the order in which they were written.
///
/// Values are never changed: no code parses a value and writes it again. The API gets the bytes of the input: the
/// spelling of numbers, the order of keys and the escapes stay the same. Prompt caching works only if equal prefixes
/// have equal bytes. The list contains each name at most once.
#[derive(Clone, Debug, Default)]
pub struct Params(pub Vec<(Box<str>, Box<RawValue>)>);

impl Params {
    /// Reads the members of a JSON object, in their order; `None` for all other texts.
    pub(crate) fn of_object(json: &str) -> Option<Self> {
        Self::of_object_if(json, |_, _| Ok(())).ok()
    }

    /// Reads the members of an object, in their order, without parsing their values. The closure `check` is called for
    /// each member. The arguments of `check` are the members that were read so far, and the name of the next member. If
    /// `check` returns an error, reading ends.
    ///
    /// # Errors
    /// Returns an error if the text is not an object, or if `check` rejects a member.
    pub(crate) fn of_object_if(
        json: &str,
        check: impl FnMut(&Self, &str) -> Result<(), String>,
    ) -> Result<Self, serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let members = deserializer.deserialize_map(Members(check))?;
        deserializer.end()?;
        Ok(members)
    }

    /// Returns the raw JSON text of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| &**own == name).map(|(_, value)| value.get())
    }

    /// Sets a parameter. A parameter that exists already keeps its place. A new parameter is added at the end.
    pub fn set(&mut self, name: &str, value: Box<RawValue>) {
        match self.0.iter_mut().find(|(own, _)| &**own == name) {
            Some((_, own)) => *own = value,
            None => self.0.push((name.into(), value)),
        }
    }

    /// Adds a parameter. If the name exists already, nothing changes.
    pub(crate) fn set_default(&mut self, name: &str, value: &RawValue) {
        if self.get(name).is_none() {
            self.0.push((name.into(), value.to_owned()));
        }
    }

    /// Returns the number of bytes in the names and values of the parameters.
    pub fn bytes(&self) -> usize {
        self.0.iter().map(|(name, value)| name.len() + value.get().len()).sum()
    }

    /// Writes the parameters as one JSON object, without white space between its members.
    ///
    /// Line breaks inside the raw values become blanks, so the object stays on one line. The meaning of the values
    /// stays the same, because JSON has no line breaks inside strings.
    pub(crate) fn write_object(&self, out: &mut Vec<u8>) {
        Merged::from(self).write_object(out);
    }
}

/// The parameters of a request, which are merged from two groups. The first group contains the defaults that the row
/// does not override. The second group contains the row's own parameters. The parameters of each group keep their
/// order.
///
/// A function that takes `impl Into<Merged>` also accepts plain [`Params`], which become a `Merged` without defaults.
#[derive(Clone, Copy, Debug)]
pub struct Merged<'p> {
    defaults: &'p [(Box<str>, Box<RawValue>)],
    own: &'p [(Box<str>, Box<RawValue>)],
}

impl<'p> Merged<'p> {
    /// Merges a row's `own` parameters with `defaults`. The row's own parameters override the defaults.
    pub fn new(defaults: &'p Params, own: &'p Params) -> Self {
        Self { defaults: &defaults.0, own: &own.0 }
    }

    /// Returns the raw JSON text of a parameter.
    #[inline]
    pub fn get(self, name: &str) -> Option<&'p str> {
        self.own(name).or_else(|| find(self.defaults, name))
    }

    /// Returns the raw JSON text of a parameter if the row itself has this parameter.
    #[inline]
    pub fn own(self, name: &str) -> Option<&'p str> {
        find(self.own, name)
    }

    /// Returns the decoded text of a string parameter; `None` when the parameter is missing or is not a string.
    pub(crate) fn get_str(self, name: &str) -> Option<String> {
        serde_json::from_str(self.get(name)?).ok()
    }

    /// Returns the value of an unsigned integer parameter; `None` when the parameter is missing or is not an unsigned
    /// integer.
    pub(crate) fn get_u64(self, name: &str) -> Option<u64> {
        self.get(name)?.parse().ok()
    }

    /// Returns the names and raw values of the parameters in the order in which they are sent.
    pub fn iter(self) -> impl Iterator<Item = (&'p str, &'p str)> + Clone {
        let is_missing = move |name: &str| self.own.iter().all(|(own, _)| &**own != name);
        let missing = self.defaults.iter().filter(move |(name, _)| is_missing(name));
        missing.chain(self.own).map(|(name, value)| (&**name, value.get()))
    }

    /// Writes the parameters as [`Params::write_object`] does.
    pub(crate) fn write_object(self, out: &mut Vec<u8>) {
        out.push(b'{');
        for (at, (name, value)) in self.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            write_json_str(name, out);
            out.push(b':');
            write_on_one_line(value.as_bytes(), out);
        }
        out.push(b'}');
    }
}

impl<'p> From<&'p Params> for Merged<'p> {
    fn from(own: &'p Params) -> Self {
        Self { defaults: &[], own: &own.0 }
    }
}

/// Reads the members of an object, and checks each member.
struct Members<F>(F);

impl<'de, F: FnMut(&Params, &str) -> Result<(), String>> Visitor<'de> for Members<F> {
    type Value = Params;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Params, A::Error> {
        let mut params = Params::default();
        while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
            (self.0)(&params, &name).map_err(serde::de::Error::custom)?;
            params.0.push((name.into(), value));
        }
        Ok(params)
    }
}

#[inline]
fn find<'p>(members: &'p [(Box<str>, Box<RawValue>)], name: &str) -> Option<&'p str> {
    members.iter().find(|(own, _)| &**own == name).map(|(_, value)| value.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).expect("the test writes valid JSON")
    }

    fn params(members: &[(&str, &str)]) -> Params {
        Params(members.iter().map(|(name, json)| ((*name).into(), raw(json))).collect())
    }

    #[test]
    fn defaults_that_the_row_does_not_override_come_first() {
        let defaults = params(&[("a", "1"), ("b", "2"), ("c", "\"x\"")]);
        let own = params(&[("d", "3"), ("b", "4")]);

        let merged = Merged::new(&defaults, &own);

        let seen: Vec<(&str, &str)> = merged.iter().collect();
        assert_eq!(seen, [("a", "1"), ("c", "\"x\""), ("d", "3"), ("b", "4")]);
        assert_eq!((merged.get("a"), merged.get("b"), merged.get("e")), (Some("1"), Some("4"), None));
        assert_eq!((merged.own("a"), merged.own("b")), (None, Some("4")));
        assert_eq!((merged.get_u64("b"), merged.get_str("c").as_deref()), (Some(4), Some("x")));
    }

    #[test]
    fn parameters_alone_have_no_defaults() {
        let own = params(&[("d", "3"), ("b", "4")]);

        let seen: Vec<(&str, &str)> = Merged::from(&own).iter().collect();

        assert_eq!(seen, [("d", "3"), ("b", "4")]);
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
