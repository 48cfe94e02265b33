//! Reads JSON objects: their members in order, with values as raw text.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::super::raw::Fault;
use super::check::{MAX_DEPTH, after_end_fault, check_text, refuse_repeats, repeated, syntax_fault};

/// In the error log, a value can be nested up to this many levels deeper than in its row. In the error log, every
/// request is inside the member `params`. If a row has a short shape or the shape of another service, its values are
/// nested in fewer objects than in the error log.
const GAINED: usize = 4;

/// One member of an object.
pub(in crate::source) type Member<'a> = (Cow<'a, str>, &'a RawValue);

/// The JSON object of one line. The object's own members and the members of `params` are parsed in one pass, so that no
/// byte is scanned twice.
#[derive(Debug, Default)]
pub(in crate::source) struct Object<'a> {
    /// The members in order, without `params`.
    pub members: Vec<Member<'a>>,
    /// The members of `params`.
    pub params: Option<Nested<'a>>,
    /// Whether the object has so many brackets that its line in the error log could be nested too deep.
    pub may_be_deep: bool,
}

/// A value that should be an object.
#[derive(Debug)]
pub(in crate::source) enum Nested<'a> {
    /// The value is an object.
    Object(Vec<Member<'a>>),
    /// The value is not an object. The text names the type of the value with an article, such as `an array`.
    Other(&'static str),
}

/// How the parser treats the member `params`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::source) enum ParamsMember {
    /// The members of `params` are parsed.
    Open,
    /// `params` is a value like any other member.
    Closed,
}

impl<'a> Object<'a> {
    /// Returns a member's value.
    pub(in crate::source) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.members.iter().find(|(own, _)| own == name).map(|(_, value)| *value)
    }

    /// Returns whether the object has this member. `params` is a member too.
    pub(in crate::source) fn has(&self, name: &str) -> bool {
        self.get(name).is_some() || (name == "params" && self.params.is_some())
    }

    /// Reads one object, which must be the whole text. Members that were read before a fault stay in `self`, so that a
    /// broken row keeps its label.
    pub(in crate::source) fn read(&mut self, text: &'a str, params: ParamsMember) -> Result<(), Fault> {
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

/// The largest number of members in a row or in its `params`. This limit bounds the memory for the members of a row.
/// Real rows have far fewer members than this number.
const MAX_MEMBERS: usize = 10_000;

/// Reads the members of a row.
pub(super) struct ObjectVisitor<'o, 'a> {
    pub object: &'o mut Object<'a>,
    pub params: ParamsMember,
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

/// Reads the members of any object.
pub(super) struct MembersVisitor<'o, 'a> {
    pub members: &'o mut Vec<Member<'a>>,
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

/// Reads the members of an object. For any other value, reads only its kind.
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

/// Reads the name of a member. The name is copied only if it contains escapes.
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
