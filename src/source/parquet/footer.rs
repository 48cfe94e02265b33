//! Reads the footer of a Parquet file. The footer contains the schema and the positions of the columns.
//!
//! The parquet crate decodes the footer, but this module reads and checks the footer first, for two reasons. The crate
//! allocates memory for all children that a group claims to have. The crate also recurses once for each level of nested
//! groups. The crate also expects that each field has the type that the format prescribes, so the types are checked
//! too.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use super::super::guard::guarded;
use super::damage::Damage;
use super::thrift::{BINARIES, INTS, STRUCTS, Thrift, Value};

/// The longest footer that is read. The footer of a file with fifty columns and a thousand row groups has 8 MB.
const MAX_FOOTER_BYTES: u64 = 32 << 20;

/// The highest number of nodes in a schema.
const MAX_NODES: usize = 20_000;

/// The largest depth of a column below the root of the schema.
pub(super) const MAX_NESTED: usize = 64;

/// The bytes with which a Parquet file begins and ends.
const MAGIC: [u8; 4] = *b"PAR1";

/// Reads the footer of a file.
pub(super) fn read(file: &mut File) -> Result<ParquetMetaData, Damage> {
    let bytes = bytes(file)?;
    check(&bytes)?;
    guarded(|| ParquetMetaDataReader::decode_metadata(&bytes).map_err(Damage::from))
}

fn bytes(file: &mut File) -> Result<Vec<u8>, Damage> {
    let length = file.seek(SeekFrom::End(0))?;
    if length < 12 {
        return Err(Damage::new("it is too short to be a Parquet file"));
    }
    let mut tail = [0; 8];
    file.seek(SeekFrom::Start(length - 8))?;
    file.read_exact(&mut tail)?;
    let [a, b, c, d, magic @ ..] = tail;
    if &magic == b"PARE" {
        return Err(Damage::new("it is encrypted, which is not supported"));
    }
    if magic != MAGIC {
        return Err(Damage::new("the end is missing: it was not completely written or copied"));
    }
    let footer = u64::from(u32::from_le_bytes([a, b, c, d]));
    if footer + 12 > length {
        return Err(Damage::new("the Parquet footer is longer than the file"));
    }
    if footer > MAX_FOOTER_BYTES {
        return Err(Damage::new(format!("the Parquet footer has more than {} MiB", MAX_FOOTER_BYTES >> 20)));
    }
    file.seek(SeekFrom::Start(length - 8 - footer))?;
    let mut bytes = vec![0; footer as usize];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The types of the fields of each struct in a footer. An entry has two parts:
///
/// - the numbers of the fields that lead to the struct, beginning with the outermost field;
/// - one letter for the type of each field, beginning with field 1: `i` whole number, `y` byte, `t` boolean, `b`
///   string, `s` struct, `I` list of whole numbers, `B` list of strings, `S` list of structs.
const TYPES: [(&[i16], &str); 18] = [
    (&[], "iSiSSbSsb"),
    (&[2], "iiibiiiiis"),
    (&[2, 10], "sssssssssssssssssss"),
    (&[2, 10, 5], "ii"),
    (&[2, 10, 7], "ts"),
    (&[2, 10, 7, 2], "sss"),
    (&[2, 10, 8], "ts"),
    (&[2, 10, 8, 2], "sss"),
    (&[2, 10, 10], "yt"),
    (&[2, 10, 16], "y"),
    (&[2, 10, 17], "b"),
    (&[2, 10, 18], "bi"),
    (&[4], "SiiSiii"),
    (&[4, 1], "bisiiiisb"),
    (&[4, 1, 3], "iIBiiiiSiiisSiiss"),
    (&[4, 1, 3, 12], "bbiibbtt"),
    (&[4, 1, 3, 13], "iii"),
    (&[4, 4], "itt"),
];

/// Checks that the parquet crate can decode a footer without taking too much memory or stack.
fn check(footer: &[u8]) -> Result<(), Damage> {
    let mut schema = Schema::default();
    Thrift::new(footer).visit(&mut |path, value| {
        check_type(path, value)?;
        match (path, value) {
            ([2], Value::List(count, _)) if schema.nodes.is_none() => schema.begin(count),
            ([2] | [4], Value::List(..)) if schema.has_groups => Err(damaged()),
            ([2], Value::List(..)) => Err(damaged()),
            ([2], Value::Element) => schema.node(),
            ([2, 5], Value::Int(children)) => schema.children(children),
            ([4], Value::List(..)) => schema.end(),
            ([4, 1], Value::List(count, _)) if count != schema.leaves => Err(damaged()),
            _ => Ok(()),
        }
    })
}

fn check_type(path: &[i16], value: Value) -> Result<(), Damage> {
    let Some((field, within)) = path.split_last() else { return Ok(()) };
    let types = TYPES.iter().find(|(of, _)| *of == within).map(|(_, types)| types.as_bytes());
    let Some(expected) = types.and_then(|types| types.get(usize::try_from(*field).ok()?.checked_sub(1)?)) else {
        return Ok(());
    };
    let found = match value {
        Value::Bool(_) => b't',
        Value::Byte => b'y',
        Value::Int(_) => b'i',
        Value::Double => b'd',
        Value::Binary => b'b',
        Value::Struct => b's',
        Value::List(0, _) if expected.is_ascii_uppercase() => *expected,
        Value::List(_, INTS) => b'I',
        Value::List(_, BINARIES) => b'B',
        Value::List(_, STRUCTS) => b'S',
        Value::List(..) => b'?',
        Value::Element => return Ok(()),
    };
    if *expected == found { Ok(()) } else { Err(damaged()) }
}

/// The nodes of a schema. Each node comes before its children, and a group says how many children it has.
#[derive(Debug, Default)]
struct Schema {
    /// How many nodes the schema has; `None` before its list of nodes begins.
    nodes: Option<usize>,
    seen: usize,
    leaves: usize,
    /// For each group that contains the next node: how many children of the group are still to come.
    open: Vec<usize>,
    /// Whether the last node is a group.
    is_group: bool,
    has_groups: bool,
}

impl Schema {
    fn begin(&mut self, count: usize) -> Result<(), Damage> {
        if count > MAX_NODES {
            return Err(Damage::new(format!("the file has more than {MAX_NODES} columns")));
        }
        self.nodes = Some(count);
        Ok(())
    }

    /// Counts the schema node that begins now.
    fn node(&mut self) -> Result<(), Damage> {
        self.close_leaf();
        if self.seen > 0 {
            let Some(open) = self.open.last_mut() else { return Err(damaged()) };
            *open -= 1;
        }
        self.seen += 1;
        self.is_group = false;
        Ok(())
    }

    fn children(&mut self, count: i64) -> Result<(), Damage> {
        let left = self.nodes.unwrap_or_default().saturating_sub(self.seen);
        let count = usize::try_from(count).ok().filter(|count| *count <= left).ok_or_else(damaged)?;
        if self.is_group || self.seen == 0 {
            return Err(damaged());
        }
        if count > 0 {
            self.is_group = true;
            self.open.push(count);
        }
        if self.open.len() > MAX_NESTED {
            return Err(Damage::new(format!("the columns are nested deeper than {MAX_NESTED}")));
        }
        Ok(())
    }

    fn close_leaf(&mut self) {
        if self.seen > 0 && !self.is_group {
            self.leaves += usize::from(self.seen > 1);
        }
        while self.open.last() == Some(&0) {
            self.open.pop();
        }
    }

    /// When the row groups begin, checks that the schema is complete.
    fn end(&mut self) -> Result<(), Damage> {
        self.close_leaf();
        self.has_groups = true;
        let is_whole = self.nodes == Some(self.seen) && self.open.is_empty();
        if is_whole { Ok(()) } else { Err(damaged()) }
    }
}

fn damaged() -> Damage {
    Damage::new("the Parquet footer can't be read")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the bytes of a field that is a list of structs. `step` is the number of the field minus the number of
    /// the previous field.
    fn list(step: u8, elements: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = vec![step << 4 | 9, 0xf0 | STRUCTS];
        bytes.extend(varint(elements.len() as u64));
        bytes.extend(elements.concat());
        bytes
    }

    fn varint(mut number: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while number >= 0x80 {
            bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        bytes.push(number as u8);
        bytes
    }

    /// Returns the bytes of a node of a schema: a group with the given number of children, or a column of texts.
    fn node(children: Option<u64>) -> Vec<u8> {
        let name = [8, 1, b'n'];
        match children {
            Some(children) => [&[0x48], &name[1..], &[0x15], &varint(children << 1), &[0]].concat(),
            None => [&[0x15, 12, 0x25, 2, 0x18], &name[1..], &[0]].concat(),
        }
    }

    fn group(columns: usize) -> Vec<u8> {
        [list(1, &vec![vec![0]; columns]), vec![0]].concat()
    }

    fn footer(schema: &[Vec<u8>], groups: &[Vec<u8>]) -> Vec<u8> {
        [vec![0x15, 2], list(1, schema), vec![0x16, 0], list(1, groups), vec![0]].concat()
    }

    #[test]
    fn a_schema_is_a_tree_and_each_row_group_has_all_its_leaves() {
        let nested = [node(Some(2)), node(None), node(Some(2)), node(None), node(None)];

        assert!(check(&footer(&nested, &[group(3), group(3)])).is_ok());
        assert!(check(&footer(&nested, &[])).is_ok());
        for wrong in [
            footer(&nested, &[group(3), group(4)]),
            footer(&nested, &[group(2)]),
            footer(&nested[..4], &[group(2)]),
            footer(&[node(None), node(None)], &[group(1)]),
        ] {
            assert!(check(&wrong).is_err());
        }
    }

    #[test]
    fn claims_that_would_take_too_much_memory_or_stack_are_damage() {
        let many = footer(&[node(Some(1 << 31)), node(None)], &[]);
        let mut deep = vec![node(Some(1)); MAX_NESTED + 1];
        deep.push(node(None));
        let wide = [vec![node(Some(MAX_NODES as u64))], vec![node(None); MAX_NODES]].concat();
        let again = [footer(&[node(Some(1)), node(None)], &[]), Vec::new()].concat();
        let twice = [&again[..again.len() - 1], &[0x09, 4], &list(0, &[node(None)])[1..], &[0]].concat();

        for wrong in [many, footer(&deep, &[group(1)]), footer(&wide, &[]), twice] {
            assert!(check(&wrong).is_err());
        }
        assert!(check(&footer(&deep[1..], &[group(1)])).is_ok(), "one level less is fine");
    }

    #[test]
    fn a_field_of_another_type_is_damage() {
        // In this footer, a number stands in the place of the schema. The parquet crate would read this number as a
        // list.
        assert!(check(&[0x15, 2, 0x15, 0x2c, 0]).is_err());
        assert!(check(&[0x15, 2, 0x19, 0x15, 2, 0]).is_err());
    }
}
