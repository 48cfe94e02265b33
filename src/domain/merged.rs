//! A row's parameters over those of the flags, without copying either.

use serde_json::value::RawValue;

use super::Params;
use super::json::{write_json_str, write_on_one_line};

/// The parameters of a request: the defaults that the row leaves out, in their order, then the row's own in theirs.
///
/// [`Params`] alone are a request without defaults.
#[derive(Clone, Copy, Debug)]
pub struct Merged<'p> {
    defaults: &'p [(Box<str>, Box<RawValue>)],
    own: &'p [(Box<str>, Box<RawValue>)],
}

impl<'p> Merged<'p> {
    /// Puts a row's `own` parameters over `defaults`.
    pub fn new(defaults: &'p Params, own: &'p Params) -> Self {
        Self { defaults: &defaults.0, own: &own.0 }
    }

    /// Returns the raw JSON text of a parameter.
    #[inline]
    pub fn get(self, name: &str) -> Option<&'p str> {
        self.own(name).or_else(|| find(self.defaults, name))
    }

    /// Returns the raw JSON text of a parameter that the row itself has.
    #[inline]
    pub fn own(self, name: &str) -> Option<&'p str> {
        find(self.own, name)
    }

    /// Returns a string parameter, unescaped; `None` when it is missing or no string.
    pub(crate) fn get_str(self, name: &str) -> Option<String> {
        serde_json::from_str(self.get(name)?).ok()
    }

    /// Returns an unsigned integer parameter; `None` when it is missing or no such number.
    pub(crate) fn get_u64(self, name: &str) -> Option<u64> {
        self.get(name)?.parse().ok()
    }

    /// Returns names and raw values in the order in which they are sent.
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

#[inline]
fn find<'p>(members: &'p [(Box<str>, Box<RawValue>)], name: &str) -> Option<&'p str> {
    members.iter().find(|(own, _)| &**own == name).map(|(_, value)| value.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(members: &[(&str, &str)]) -> Params {
        let raw = |json: &str| RawValue::from_string(json.to_owned()).expect("the test writes valid JSON");
        Params(members.iter().map(|(name, json)| ((*name).into(), raw(json))).collect())
    }

    #[test]
    fn defaults_that_the_row_leaves_out_come_first() {
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
}
