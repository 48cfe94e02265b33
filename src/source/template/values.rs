//! JSON values inside a template: members keep their order, and numbers keep their spelling.
//!
//! The engine has only numbers of fixed size, which forget how they were written: `2.50` becomes 2.5. So a number that
//! the engine would write in another way becomes a [`Number`], which is written as in the row. The engine can't
//! calculate with such an object. So each place of a template that calculates or compares gets the number itself
//! ([`super::spelling`] decides which places these are).
//!
//! A list or an object has two views. In the view [`View::Spelled`], its elements are [`Number`]s; in the view
//! [`View::Plain`], they are numbers of the engine. Written as a whole, both views are the same JSON.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;
use std::io::{self, Write};
use std::str::from_utf8;
use std::sync::Arc;

use minijinja::value::{DynObject, Enumerator, Object, ObjectRepr, ValueKind};
use minijinja::{Error, ErrorKind, Value};

use crate::domain::json::{Cursor, DEEPEST, inside_quotes};
use crate::domain::shortened;

/// How the numbers of a list or an object are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// Numbers are written as in the row, and can't be calculated with.
    Spelled,
    /// Numbers can be calculated with.
    Plain,
}

/// Returns the value of a JSON text; `None` if the text is not JSON, or is nested too deeply.
pub(super) fn read(json: &str) -> Option<Value> {
    let mut cursor = Cursor::new(json.as_bytes());
    let value = value(&mut cursor, DEEPEST)?;
    cursor.end()?;
    Some(value)
}

/// Returns an object with these members.
pub(super) fn object(members: Vec<(Arc<str>, Value)>) -> Value {
    Value::from_object(Members { all: Arc::new(All::new(members)), view: View::Spelled })
}

/// Returns a value in another view. Values that do not come from JSON stay as they are.
pub(super) fn seen(value: &Value, view: View) -> Value {
    let Some(object) = value.as_object() else { return value.clone() };
    if let Some(list) = object.downcast_ref::<List>() {
        return Value::from_object(List { all: list.all.clone(), view });
    }
    if let Some(members) = object.downcast_ref::<Members>() {
        return Value::from_object(Members { all: members.all.clone(), view });
    }
    match (object.downcast_ref::<Number>(), view) {
        (Some(number), View::Plain) => number.plain(),
        _ => value.clone(),
    }
}

/// Writes a value as JSON. Numbers from JSON are written as they were spelled.
///
/// # Errors
/// The errors of writing to `out`, and an error if the value is no JSON value.
pub(super) fn write_json(value: &Value, out: &mut impl Write) -> io::Result<()> {
    let Some(object) = value.as_object() else { return Ok(serde_json::to_writer(out, value)?) };
    if let Some(number) = object.downcast_ref::<Number>() {
        return out.write_all(number.text.as_bytes());
    }
    if let Some(list) = object.downcast_ref::<List>() {
        return write_list(list.all.iter(), out);
    }
    if let Some(members) = object.downcast_ref::<Members>() {
        return write_members(members.all.members.iter().map(|(name, value)| (&**name, value)), out);
    }
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => {
            let items: Vec<Value> = value.try_iter().map_err(io::Error::other)?.collect();
            write_list(items.iter(), out)
        }
        ValueKind::Map => {
            let names: Vec<Value> = value.try_iter().map_err(io::Error::other)?.collect();
            let members = names.iter().map(|name| Ok((name.to_string(), value.get_item(name)?)));
            let members = members.collect::<Result<Vec<_>, Error>>().map_err(io::Error::other)?;
            write_members(members.iter().map(|(name, value)| (&**name, value)), out)
        }
        _ => Ok(serde_json::to_writer(out, value)?),
    }
}

fn write_list<'v>(items: impl Iterator<Item = &'v Value>, out: &mut impl Write) -> io::Result<()> {
    out.write_all(b"[")?;
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.write_all(b",")?;
        }
        write_json(item, out)?;
    }
    out.write_all(b"]")
}

fn write_members<'v>(members: impl Iterator<Item = (&'v str, &'v Value)>, out: &mut impl Write) -> io::Result<()> {
    out.write_all(b"{")?;
    for (at, (name, value)) in members.enumerate() {
        if at > 0 {
            out.write_all(b",")?;
        }
        serde_json::to_writer(&mut *out, name)?;
        out.write_all(b":")?;
        write_json(value, out)?;
    }
    out.write_all(b"}")
}

fn value(cursor: &mut Cursor<'_>, depth: u32) -> Option<Value> {
    match cursor.peek()? {
        b'{' => {
            let depth = depth.checked_sub(1)?;
            let mut members = Vec::new();
            cursor.object(|cursor, name| {
                let name = match name.contains(&b'\\') {
                    false => from_utf8(name).ok()?.into(),
                    true => text(&[b"\"", name, b"\""].concat())?.into(),
                };
                members.push((name, value(cursor, depth)?));
                Some(())
            })?;
            Some(object(members))
        }
        b'[' => {
            let depth = depth.checked_sub(1)?;
            let mut all = Vec::new();
            cursor.array(|cursor| {
                all.push(value(cursor, depth)?);
                Some(())
            })?;
            Some(Value::from_object(List { all: all.into(), view: View::Spelled }))
        }
        b'"' => text(cursor.value(DEEPEST)?).map(Value::from),
        b't' => cursor.literal(b"true").map(|()| Value::from(true)),
        b'f' => cursor.literal(b"false").map(|()| Value::from(false)),
        b'n' => cursor.literal(b"null").map(|()| Value::from(())),
        _ => from_utf8(cursor.number()?).ok().map(number),
    }
}

/// Returns the text of a JSON string; `None` if the string has a lone surrogate, which is no character.
fn text(json: &[u8]) -> Option<String> {
    let inside = inside_quotes(json)?;
    if !inside.contains(&b'\\') {
        return from_utf8(inside).ok().map(str::to_owned);
    }
    serde_json::from_slice(json).ok()
}

/// Returns a number of the engine if the engine writes it as it is spelled; otherwise returns a [`Number`].
fn number(text: &str) -> Value {
    let number = engine_number(text);
    match number {
        Some(number) if number.to_string() == text => number,
        number => Value::from_object(Number { text: text.into(), number }),
    }
}

/// Returns the number of the engine that is nearest to a number; `None` if the number is too large.
fn engine_number(text: &str) -> Option<Value> {
    let whole = || -> Option<Value> {
        let small = text.parse::<i64>().ok().map(Value::from);
        let large = || text.parse::<i128>().ok().map(Value::from);
        small.or_else(large).or_else(|| text.parse::<u128>().ok().map(Value::from))
    };
    let part = || text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::from);
    whole().or_else(part)
}

/// A number that the engine would write in another way.
#[derive(Debug)]
struct Number {
    text: Box<str>,
    /// The number for calculations; `None` if it is too large.
    number: Option<Value>,
}

impl Number {
    /// Returns the number for calculations. If the number is too large, its use is an error that names the number.
    fn plain(&self) -> Value {
        self.number.clone().unwrap_or_else(|| {
            let message = format!("the number {} is too large to calculate with", shortened(&self.text));
            Value::from(Error::new(ErrorKind::InvalidOperation, message))
        })
    }
}

impl Object for Number {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn is_true(self: &Arc<Self>) -> bool {
        self.number.as_ref().is_none_or(Value::is_true)
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        let other = other.downcast_ref::<Self>()?;
        Some(self.number.cmp(&other.number).then_with(|| match self.number {
            Some(_) => Ordering::Equal,
            None => self.text.cmp(&other.text),
        }))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A JSON array.
#[derive(Debug)]
struct List {
    all: Arc<[Value]>,
    view: View,
}

impl Object for List {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.all.get(key.as_usize()?).map(|item| seen(item, self.view))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.all.len())
    }
}

/// A JSON object.
#[derive(Debug)]
struct Members {
    all: Arc<All>,
    view: View,
}

/// The members of an object, in order.
#[derive(Debug)]
struct All {
    members: Vec<(Arc<str>, Value)>,
    /// The places of the members by name, if there are many members.
    places: Option<HashMap<Arc<str>, usize>>,
}

/// The names of an object with more members are looked up in a table.
const FEW: usize = 16;

impl All {
    /// If two members have the same name, the last one counts, in the place of the first one.
    fn new(members: Vec<(Arc<str>, Value)>) -> Self {
        let mut all = Self { members: Vec::with_capacity(members.len()), places: None };
        let mut places: HashMap<Arc<str>, usize> = HashMap::new();
        let is_large = members.len() > FEW;
        for (name, value) in members {
            let place = match is_large {
                true => places.get(&name).copied(),
                false => all.members.iter().position(|(own, _)| *own == name),
            };
            match place {
                Some(place) => all.members[place].1 = value,
                None => {
                    if is_large {
                        places.insert(name.clone(), all.members.len());
                    }
                    all.members.push((name, value));
                }
            }
        }
        all.places = is_large.then_some(places);
        all
    }

    fn get(&self, name: &str) -> Option<&Value> {
        let place = match &self.places {
            Some(places) => places.get(name).copied()?,
            None => self.members.iter().position(|(own, _)| &**own == name)?,
        };
        self.members.get(place).map(|(_, value)| value)
    }
}

impl Object for Members {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        self.all.get(key).map(|value| seen(value, self.view))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let names = self.all.members.iter().map(|(name, _)| Value::from(name.clone()));
        Enumerator::Values(names.collect())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.all.members.len())
    }
}
