//! A column of a Parquet file. Each value of the column is a primitive value, or a list, map or structure of other
//! values.
//!
//! The values of a nested column are stored in several leaves (columns of primitive values). A leaf consists of slots,
//! and each slot either has one value or shows that a value is missing. Each slot has a definition level and a
//! repetition level. The definition level says how much of the path from the root to the value is present. The
//! repetition level says which of the enclosing lists continues with this value. Source: the Parquet format, "Nested
//! Encoding" and "Nested Types", including the rules for files of old writers.

use parquet::basic::{ConvertedType, LogicalType, Repetition};
use parquet::schema::types::Type;

use super::super::InputCell;
use super::super::json;
use super::damage::Damage;
use super::leaf::Leaf;
use super::value::{Shown, Unshown};
use crate::domain::MAX_BODY_BYTES;

/// A part of a column.
#[derive(Debug)]
pub(super) enum Field {
    /// A primitive value.
    Leaf(usize),
    /// A field that can be missing. The field is present if the definition level is at least this number.
    Optional(i16, Box<Field>),
    /// A list with any number of elements. The list has at least one element if the definition level is at least
    /// `definition`. If the repetition level of a slot is `repetition`, the slot begins the next element of the list.
    List { definition: i16, repetition: i16, element: Box<Field> },
    /// A map with any number of keys and their values. `definition` and `repetition` have the same meaning as for a
    /// list.
    Map { definition: i16, repetition: i16, key: Box<Field>, value: Box<Field> },
    /// A structure: its named parts, in order.
    Struct(Vec<(String, Field)>),
}

impl Field {
    /// Returns the field of a top-level column. `leaves` is the index of the next leaf (a column of primitive values).
    pub(super) fn new(node: &Type, leaves: &mut usize) -> Self {
        Builder { leaves }.node(node, 0, 0)
    }

    /// Returns the first leaf of the field. The levels of this leaf show which parts of a value are present.
    fn first(&self) -> usize {
        match self {
            Self::Leaf(leaf) => *leaf,
            Self::Optional(_, inner) => inner.first(),
            Self::List { element, .. } => element.first(),
            Self::Map { key, .. } => key.first(),
            Self::Struct(fields) => fields.first().map_or(0, |(_, field)| field.first()),
        }
    }

    /// Reads the field's cell of the next row.
    pub(super) fn cell(&self, row: &mut RowState<'_>) -> Result<InputCell, Damage> {
        match self {
            Self::Optional(level, inner) => match row.definition(self.first())? {
                found if found < *level => {
                    self.pass(row.leaves);
                    Ok(InputCell::Missing)
                }
                _ => inner.cell(row),
            },
            Self::Leaf(leaf) => Ok(match row.take(*leaf)? {
                None => InputCell::Missing,
                Some(Shown::Text(text)) => InputCell::Text(text.into()),
                Some(Shown::Json(json)) => InputCell::Json(json.into()),
            }),
            Self::List { .. } | Self::Map { .. } | Self::Struct(_) => {
                let mut text = String::new();
                self.write(row, &mut text)?;
                Ok(InputCell::Json(text.into()))
            }
        }
    }

    /// Skips one slot of each leaf. These slots have no value.
    fn pass(&self, leaves: &mut [Leaf]) {
        match self {
            Self::Leaf(leaf) => leaves[*leaf].pass(),
            Self::Optional(_, inner) => inner.pass(leaves),
            Self::List { element, .. } => element.pass(leaves),
            Self::Map { key, value, .. } => {
                key.pass(leaves);
                value.pass(leaves);
            }
            Self::Struct(fields) => fields.iter().for_each(|(_, field)| field.pass(leaves)),
        }
    }

    /// Reads the next value and writes it as JSON.
    fn write(&self, row: &mut RowState<'_>, text: &mut String) -> Result<(), Damage> {
        if text.len() > MAX_CELL_BYTES {
            row.fault = Some(TOO_LONG);
            text.clear();
        }
        match self {
            Self::Leaf(leaf) => match row.take(*leaf)? {
                None => text.push_str("null"),
                Some(Shown::Text(value)) => text.push_str(json::string_value(&value).get()),
                Some(Shown::Json(value)) => text.push_str(&value),
            },
            Self::Optional(level, inner) => match row.definition(self.first())? {
                found if found < *level => {
                    self.pass(row.leaves);
                    text.push_str("null");
                }
                _ => inner.write(row, text)?,
            },
            Self::List { definition, repetition, element } => {
                text.push('[');
                let levels = (*definition, *repetition);
                self.elements(levels, row, text, &mut |row, text| element.write(row, text))?;
                text.push(']');
            }
            Self::Map { definition, repetition, key, value } => {
                text.push('{');
                let levels = (*definition, *repetition);
                self.elements(levels, row, text, &mut |row, text| {
                    let mut name = String::new();
                    key.write(row, &mut name)?;
                    match name.starts_with('"') {
                        true => text.push_str(&name),
                        false => text.push_str(json::string_value(&name).get()),
                    }
                    text.push(':');
                    value.write(row, text)
                })?;
                text.push('}');
            }
            Self::Struct(fields) => {
                text.push('{');
                for (at, (name, field)) in fields.iter().enumerate() {
                    text.push_str(if at > 0 { "," } else { "" });
                    text.push_str(json::string_value(name).get());
                    text.push(':');
                    field.write(row, text)?;
                }
                text.push('}');
            }
        }
        Ok(())
    }

    /// Writes the elements of a list or map, with commas between them.
    fn elements(
        &self,
        (level, repetition): (i16, i16),
        row: &mut RowState<'_>,
        text: &mut String,
        write: &mut dyn FnMut(&mut RowState<'_>, &mut String) -> Result<(), Damage>,
    ) -> Result<(), Damage> {
        let first = self.first();
        if row.definition(first)? < level {
            self.pass(row.leaves);
            return Ok(());
        }
        loop {
            write(row, text)?;
            if row.leaves[first].definition().is_none() || row.leaves[first].repetition() != repetition {
                return Ok(());
            }
            text.push(',');
        }
    }
}

/// The state while the cells of one row are read.
pub(super) struct RowState<'a> {
    pub(super) leaves: &'a mut [Leaf],
    /// What is wrong with a value of the row. The other values of the row are still read, so that reading continues
    /// exactly at the next row.
    pub(super) fault: Option<Unshown>,
}

impl RowState<'_> {
    fn definition(&self, leaf: usize) -> Result<i16, Damage> {
        self.leaves[leaf].definition().ok_or_else(|| Damage::new("a column has fewer values than rows"))
    }

    /// Reads a value; `None` if it can't be shown.
    fn take(&mut self, leaf: usize) -> Result<Option<Shown<'_>>, Damage> {
        match self.leaves[leaf].take()? {
            Ok(Shown::Text(text)) if text.len() > MAX_CELL_BYTES => {
                self.fault = Some(TOO_LONG);
                Ok(None)
            }
            Ok(shown) => Ok(Some(shown)),
            Err(fault) => {
                self.fault = Some(fault);
                Ok(None)
            }
        }
    }
}

const TOO_LONG: Unshown = "is longer than the API accepts";

/// The maximum length of a cell's text, in bytes. This is twice the size limit of a request, because JSON can be longer
/// than the text in it.
const MAX_CELL_BYTES: usize = 2 * MAX_BODY_BYTES;

struct Builder<'a> {
    leaves: &'a mut usize,
}

impl Builder<'_> {
    /// Returns the field of a node of the schema. `definition` and `repetition` are the levels of the node's parent.
    fn node(&mut self, node: &Type, definition: i16, repetition: i16) -> Field {
        match repetition_of(node) {
            Repetition::REQUIRED => self.inner(node, definition, repetition),
            Repetition::OPTIONAL => {
                let inner = self.inner(node, definition + 1, repetition);
                Field::Optional(definition + 1, Box::new(inner))
            }
            // This node is a list that is not wrapped in a group.
            Repetition::REPEATED => {
                let (definition, repetition) = (definition + 1, repetition + 1);
                Field::List { definition, repetition, element: Box::new(self.inner(node, definition, repetition)) }
            }
        }
    }

    fn inner(&mut self, node: &Type, definition: i16, repetition: i16) -> Field {
        if node.is_primitive() {
            *self.leaves += 1;
            return Field::Leaf(*self.leaves - 1);
        }
        match (group(node), node.get_fields()) {
            (Group::List, [repeated]) if repetition_of(repeated) == Repetition::REPEATED => {
                self.list(node, repeated, definition + 1, repetition + 1)
            }
            (Group::Map, [repeated]) if repetition_of(repeated) == Repetition::REPEATED && repeated.is_group() => {
                self.map(repeated, definition + 1, repetition + 1)
            }
            _ => self.fields(node, definition, repetition),
        }
    }

    fn list(&mut self, node: &Type, repeated: &Type, definition: i16, repetition: i16) -> Field {
        let is_old = |fields: &[_]| {
            fields.len() != 1 || repeated.name() == "array" || repeated.name() == format!("{}_tuple", node.name())
        };
        let element = match repeated.is_group() {
            true if !is_old(repeated.get_fields()) => self.node(&repeated.get_fields()[0], definition, repetition),
            _ => self.inner(repeated, definition, repetition),
        };
        Field::List { definition, repetition, element: Box::new(element) }
    }

    fn map(&mut self, repeated: &Type, definition: i16, repetition: i16) -> Field {
        let [key, value] = repeated.get_fields() else {
            let element = Box::new(self.inner(repeated, definition, repetition));
            return Field::List { definition, repetition, element };
        };
        let key = Box::new(self.node(key, definition, repetition));
        Field::Map { definition, repetition, key, value: Box::new(self.node(value, definition, repetition)) }
    }

    fn fields(&mut self, node: &Type, definition: i16, repetition: i16) -> Field {
        let fields = node.get_fields().iter();
        Field::Struct(fields.map(|field| (field.name().to_owned(), self.node(field, definition, repetition))).collect())
    }
}

fn repetition_of(node: &Type) -> Repetition {
    let info = node.get_basic_info();
    if info.has_repetition() { info.repetition() } else { Repetition::REQUIRED }
}

enum Group {
    List,
    Map,
    Struct,
}

fn group(node: &Type) -> Group {
    let info = node.get_basic_info();
    match (info.logical_type_ref(), info.converted_type()) {
        (Some(LogicalType::List), _) | (None, ConvertedType::LIST) => Group::List,
        (Some(LogicalType::Map), _) | (None, ConvertedType::MAP | ConvertedType::MAP_KEY_VALUE) => Group::Map,
        _ => Group::Struct,
    }
}
