//! JSON as rows need it: the members of one object as raw text, in order, checked once.
//!
//! Values are cut out, not understood: what goes to the API goes byte for byte. What would pass as raw text and still
//! not do is found here: nesting that deep parsers refuse, escapes of half a character, a name used twice.
//! `serde_json::Value` was not an option: it forgets order, spelling and repeated names.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::error::short;
use super::raw::Fault;
use crate::domain::json::{Cursor, DEEPEST, first_byte, is_within_depth, lone_surrogate, write_json_str};
use crate::domain::{Params, shortened};

/// Deepest nesting of a row, and of its line in the error log: the usual bound of JSON parsers.
const MAX_DEPTH: usize = DEEPEST as usize;

/// Levels that a row can gain on its way into `params`, where the short shapes and those of others stand less deep.
const GAINED: usize = 4;

/// The most members of a row or of its `params`: far above any real row, and a bound on memory.
const MAX_MEMBERS: usize = 10_000;

/// One member of an object.
pub(super) type Member<'a> = (Cow<'a, str>, &'a RawValue);

/// A line's object, one level deep; its `params` two levels, so that no byte is scanned twice.
#[derive(Debug, Default)]
pub(super) struct Object<'a> {
    /// The members in order, but for `params`.
    pub members: Vec<Member<'a>>,
    /// The members of `params`.
    pub params: Option<Nested<'a>>,
    /// Whether it has enough brackets to be too deep as an entry of the error log.
    pub may_be_deep: bool,
}

/// A value that should be an object.
#[derive(Debug)]
pub(super) enum Nested<'a> {
    /// It is one.
    Object(Vec<Member<'a>>),
    /// It is something else: what, with its article.
    Other(&'static str),
}

/// Whether `params` is taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ParamsMember {
    /// Its members are wanted.
    Open,
    /// It is a value like any other.
    Closed,
}

impl<'a> Object<'a> {
    /// Returns a member's value.
    pub fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.members.iter().find(|(own, _)| own == name).map(|(_, value)| *value)
    }

    /// Returns whether a member is there, `params` included.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some() || (name == "params" && self.params.is_some())
    }

    /// Reads one object and nothing after it. What was read before a fault stays in `self`, so that a broken row still
    /// has its label.
    pub fn read(&mut self, text: &'a str, params: ParamsMember) -> Result<(), Fault> {
        let mut json = serde_json::Deserializer::from_str(text);
        json.deserialize_map(ObjectVisitor { object: self, params }).map_err(|error| syntax_fault(text, &error))?;
        json.end().map_err(|error| after_end_fault(text, &error))?;
        let openings = check_text(text)?;
        self.may_be_deep = openings + GAINED > MAX_DEPTH;
        refuse_repeats(self.members.iter().map(|(name, _)| &**name), "")?;
        if self.params.is_some() && self.get("params").is_some() {
            return Err(repeated("params", ""));
        }
        if let Some(Nested::Object(members)) = &self.params {
            refuse_repeats(members.iter().map(|(name, _)| &**name), " in params")?;
        }
        Ok(())
    }
}

/// Reads one value of any kind and nothing after it.
pub(super) fn read_value(text: &str) -> Result<&RawValue, Fault> {
    let mut json = serde_json::Deserializer::from_str(text);
    let value = serde::Deserialize::deserialize(&mut json).map_err(|error| syntax_fault(text, &error))?;
    json.end().map_err(|error| after_end_fault(text, &error))?;
    let _ = check_text(text)?;
    Ok(value)
}

/// Reads the members of an object that was already checked as part of a line; `None` when it is no object.
pub(super) fn members(value: &RawValue) -> Option<Vec<Member<'_>>> {
    let mut members = Vec::new();
    let mut json = serde_json::Deserializer::from_str(value.get());
    json.deserialize_map(MembersVisitor { members: &mut members }).ok()?;
    Some(members)
}

/// Reads a JSON string and nothing after it.
pub(super) fn read_string(text: &str) -> Result<String, Fault> {
    let mut json = serde_json::Deserializer::from_str(text);
    let string: String = serde::Deserialize::deserialize(&mut json).map_err(|error| syntax_fault(text, &error))?;
    json.end().map_err(|error| after_end_fault(text, &error))?;
    Ok(string)
}

/// Returns a string value, unescaped; `None` when it is something else.
pub(super) fn as_string(value: &RawValue) -> Option<String> {
    value.get().starts_with('"').then(|| serde_json::from_str(value.get()).ok()).flatten()
}

/// Returns what a value is, with its article.
pub(super) fn kind(json: &str) -> &'static str {
    match first_byte(json.as_bytes()) {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// Returns text as a JSON string.
pub(super) fn string_value(text: &str) -> Box<RawValue> {
    let mut json = Vec::with_capacity(text.len() + 2);
    write_json_str(text, &mut json);
    raw_value(String::from_utf8(json).expect("JSON of a string is UTF-8"))
}

/// Returns text that was put together as JSON as a value.
pub(super) fn raw_value(json: String) -> Box<RawValue> {
    RawValue::from_string(json).expect("it was put together from values")
}

/// Returns members as owned parameters.
pub(super) fn owned(members: Vec<Member<'_>>) -> Params {
    Params(members.into_iter().map(|(name, value)| (name.into(), value.to_owned())).collect())
}

/// Returns where in `line` one of its own parts begins, in bytes from 0.
pub(super) fn place_in(line: &str, part: &str) -> usize {
    (part.as_ptr() as usize).saturating_sub(line.as_ptr() as usize).min(line.len())
}

struct ObjectVisitor<'o, 'a> {
    object: &'o mut Object<'a>,
    params: ParamsMember,
}

impl<'a> Visitor<'a> for ObjectVisitor<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(name) = map.next_key_seed(Name)? {
            if name == "params" && self.params == ParamsMember::Open && self.object.params.is_none() {
                self.object.params = Some(map.next_value_seed(NestedVisitor)?);
            } else {
                let value = map.next_value()?;
                push(&mut self.object.members, (name, value))?;
            }
        }
        Ok(())
    }
}

struct MembersVisitor<'o, 'a> {
    members: &'o mut Vec<Member<'a>>,
}

impl<'a> Visitor<'a> for MembersVisitor<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(name) = map.next_key_seed(Name)? {
            let value = map.next_value()?;
            push(self.members, (name, value))?;
        }
        Ok(())
    }
}

fn push<'a, E: serde::de::Error>(members: &mut Vec<Member<'a>>, member: Member<'a>) -> Result<(), E> {
    if members.len() >= MAX_MEMBERS {
        return Err(E::custom(format_args!("has more than {MAX_MEMBERS} names in one object")));
    }
    members.push(member);
    Ok(())
}

/// Reads an object's members, and anything else as what it is.
struct NestedVisitor;

impl<'a> DeserializeSeed<'a> for NestedVisitor {
    type Value = Nested<'a>;

    fn deserialize<D: serde::Deserializer<'a>>(self, json: D) -> Result<Nested<'a>, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for NestedVisitor {
    type Value = Nested<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'a>>(self, map: M) -> Result<Nested<'a>, M::Error> {
        let mut members = Vec::new();
        MembersVisitor { members: &mut members }.visit_map(map)?;
        Ok(Nested::Object(members))
    }

    fn visit_seq<S: SeqAccess<'a>>(self, mut seq: S) -> Result<Nested<'a>, S::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Nested::Other("an array"))
    }

    fn visit_str<E>(self, _: &str) -> Result<Nested<'a>, E> {
        Ok(Nested::Other("a string"))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Nested<'a>, E> {
        Ok(Nested::Other("true or false"))
    }

    fn visit_unit<E>(self) -> Result<Nested<'a>, E> {
        Ok(Nested::Other("null"))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Nested<'a>, E> {
        Ok(Nested::Other("a number"))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Nested<'a>, E> {
        Ok(Nested::Other("a number"))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Nested<'a>, E> {
        Ok(Nested::Other("a number"))
    }
}

/// Reads a name without copying it where it has no escapes.
struct Name;

impl<'a> DeserializeSeed<'a> for Name {
    type Value = Cow<'a, str>;

    fn deserialize<D: serde::Deserializer<'a>>(self, json: D) -> Result<Cow<'a, str>, D::Error> {
        json.deserialize_str(self)
    }
}

impl<'a> Visitor<'a> for Name {
    type Value = Cow<'a, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, text: &'a str) -> Result<Cow<'a, str>, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Cow<'a, str>, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

fn syntax_fault(text: &str, error: &serde_json::Error) -> Fault {
    let told = error.to_string();
    let what = &*shortened(told.rsplit_once(" at line ").map_or(&*told, |(what, _)| what));
    let mut column = error.column().max(1);
    if error.is_data() {
        return Fault::at(column - 1, what);
    }
    if what.starts_with("control character") {
        // The parser names the column before it.
        column += text.bytes().skip(column - 1).position(|byte| byte < 0x20).unwrap_or_default();
    }
    let rest = text.as_bytes().get(column - 1..).unwrap_or_default();
    let hint = match rest {
        _ if error.is_eof() => "; the line ends too early: one whole JSON value a line",
        [b'N', b'a', b'N', ..] | [b'I', b'n', b'f', ..] => "; NaN and Infinity are no JSON: leave them out or use null",
        [b'N', b'o', b'n', b'e', ..] | [b'T', b'r', b'u', ..] | [b'F', b'a', b'l', ..] | [b'\'', ..] => {
            "; this looks like Python: write it with json.dumps"
        }
        _ => "",
    };
    Fault::at(column - 1, format!("is not JSON: {what}{hint}"))
}

fn after_end_fault(text: &str, error: &serde_json::Error) -> Fault {
    let column = error.column().max(1);
    let rest = text.get(column - 1..).unwrap_or_default();
    let message = match rest.as_bytes().first() {
        Some(b'{' | b'"' | b'[') => "has a second value after its first; write one row a line",
        Some(b',') => "has a comma after its value; rows are separated by line ends only",
        _ => "has something after its value; write one row a line",
    };
    Fault::at(column - 1, message)
}

/// Refuses parameters that would make a line of the error log too deep, in which they stand two levels down.
pub(super) fn check_depth(params: &Params) -> Result<(), Fault> {
    let is_deep = |value: &RawValue| !is_within_depth(value.get().as_bytes(), DEEPEST - 2);
    match params.0.iter().find(|(_, value)| is_deep(value)) {
        Some((name, _)) => Err(Fault::new(format!("nests {} more than {} levels deep", short(name), DEEPEST - 2))),
        None => Ok(()),
    }
}

/// Finds in valid JSON what parsers and the API refuse all the same; returns how many brackets open in it, at least.
///
/// Most rows have too few brackets to be deep at all, and many have no escapes: to count those is much faster than to
/// follow strings.
fn check_text(text: &str) -> Result<usize, Fault> {
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

/// Returns how many opening brackets and how many backslashes there are, in strings or out of them.
fn openings_and_escapes(text: &[u8]) -> (usize, usize) {
    // Counted in bytes, which the compiler takes sixteen at a time; a chunk can't overflow one.
    let of_chunk = |chunk: &[u8]| {
        let openings = chunk.iter().map(|byte| u8::from(matches!(byte, b'{' | b'['))).sum::<u8>();
        let escapes = chunk.iter().map(|&byte| u8::from(byte == b'\\')).sum::<u8>();
        (usize::from(openings), usize::from(escapes))
    };
    text.chunks(255).map(of_chunk).fold((0, 0), |sum, of| (sum.0 + of.0, sum.1 + of.1))
}

/// Refuses a name that is used twice; `place` says where.
pub(super) fn refuse_repeats<'a>(
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

fn repeated(name: &str, place: &str) -> Fault {
    Fault::new(format!("has the name {} twice{place}; keep one", short(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_come_in_order_and_byte_for_byte() {
        let text = r#" {"b": 1.50 ,"params":{"x":[1, 2],"\u0061":"\u00e9"},"a":123456789012345678901234567890} "#;

        let object = read(text).expect("valid");

        let seen: Vec<(&str, &str)> = object.members.iter().map(|(name, value)| (&**name, value.get())).collect();
        assert_eq!(seen, [("b", "1.50"), ("a", "123456789012345678901234567890")]);
        let Some(Nested::Object(params)) = object.params else { panic!("params is an object") };
        assert_eq!((&*params[0].0, params[0].1.get()), ("x", "[1, 2]"));
        assert_eq!((&*params[1].0, params[1].1.get()), ("a", r#""\u00e9""#));
    }

    #[test]
    fn faults_name_the_column() {
        let cases = [
            (r#"{"prompt": NaN}"#, 12, "NaN and Infinity"),
            (r#"{"prompt": -Infinity}"#, 13, "is not JSON"),
            (r#"{"prompt": 'x'}"#, 12, "Python"),
            (r#"{"prompt": "x""#, 14, "ends too early"),
            (r#"{"prompt": "x"} {"prompt":"y"}"#, 17, "second value"),
            (r#"{"prompt": "x"},"#, 16, "comma"),
            (r#"{"prompt": "a\ud800b"}"#, 14, r"\ud800"),
            (r#"{"prompt": "a\udc00\ud800"}"#, 14, r"\udc00"),
            ("{\"prompt\": \"a\0b\"}", 14, "control character"),
        ];

        for (text, column, message) in cases {
            let fault = read(text).expect_err(text);

            assert!(fault.message.contains(message), "{text}: {}", fault.message);
            assert_eq!(fault.column, Some(column), "{text}: {}", fault.message);
        }
    }

    #[test]
    fn whole_surrogate_pairs_and_escaped_backslashes_pass() {
        for text in [r#"{"p":"\ud83d\ude00"}"#, r#"{"p":"\\ud800"}"#, r#"{"p":"\\\\ud800 \u0000"}"#] {
            assert!(read(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn nesting_is_bounded_without_using_the_stack() {
        let nested = |depth: usize| format!("{{\"p\":{}{}}}", "[".repeat(depth), "]".repeat(depth));

        assert!(read(&nested(MAX_DEPTH - 1)).is_ok());
        assert_eq!(read(&nested(MAX_DEPTH)).expect_err("too deep").column, Some(MAX_DEPTH as u64 + 5));
        assert!(read(&nested(100_000)).is_err());
        assert!(read(&format!("{{\"p\":{}", "[".repeat(100_000))).is_err());
        assert!(read(&format!("{{\"params\":{}", "{\"a\":".repeat(100_000))).is_err());
        assert!(read(&format!("{{\"p\":\"{}\"}}", "[".repeat(100_000))).is_ok());
    }

    #[test]
    fn repeated_names_are_refused_by_name() {
        let many: String = (0..50).map(|n| format!("\"n{n}\":0,")).collect();

        assert!(read(r#"{"a":1,"\u0061":2}"#).expect_err("twice").message.contains("name a twice"));
        assert!(read(r#"{"params":{},"params":{}}"#).expect_err("twice").message.contains("params twice"));
        assert!(read(r#"{"params":{"b":1,"b":1}}"#).expect_err("twice").message.contains("in params"));
        assert!(read(&format!("{{{many}\"n7\":0}}")).expect_err("twice").message.contains("name n7 twice"));
    }

    #[test]
    fn the_number_of_members_is_bounded() {
        let members = |count: usize| (0..count).map(|n| format!("\"n{n}\":0")).collect::<Vec<_>>().join(",");

        assert!(read(&format!("{{{}}}", members(MAX_MEMBERS))).is_ok());
        let row = read(&format!("{{{}}}", members(MAX_MEMBERS + 1))).expect_err("too many");
        let params = read(&format!("{{\"params\":{{{}}}}}", members(MAX_MEMBERS + 1))).expect_err("too many");
        assert_eq!(row.message, "has more than 10000 names in one object");
        assert_eq!(row.message, params.message);
    }

    #[test]
    fn what_was_read_before_a_fault_stays() {
        let mut object = Object::default();

        let fault = object.read(r#"{"custom_id":"a","prompt":}"#, ParamsMember::Open);

        assert!(fault.is_err());
        assert_eq!(object.get("custom_id").map(RawValue::get), Some("\"a\""));
    }

    fn read(text: &str) -> Result<Object<'_>, Fault> {
        let mut object = Object::default();
        object.read(text, ParamsMember::Open).map(|()| object)
    }
}
