//! Reads the compact Thrift encoding of page headers and of the footer, within limits for memory and depth.
//!
//! This module reads the footer before the parquet crate reads it. This module rejects the footer if the crate would
//! need too much memory or stack for it. Page headers are read only by this module. Source: the Thrift compact protocol
//! specification, and `parquet.thrift` of the Parquet format.

use super::damage::Damage;

/// The largest depth of nested structs. The Parquet format needs seven levels.
const MAX_DEPTH: usize = 16;

/// A value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A boolean.
    Bool(bool),
    /// A byte.
    Byte,
    /// A whole number.
    Int(i64),
    /// A floating-point number.
    Double,
    /// A string.
    Binary,
    /// The start of a list: the number of its elements, and the byte for their kind.
    List(usize, u8),
    /// The start of a struct that is the value of a field.
    Struct,
    /// The start of a struct that is an element of a list.
    Element,
}

/// The numbers that the protocol uses for the kinds of list elements.
pub(super) const INTS: u8 = 5;
pub(super) const BINARIES: u8 = 8;
pub(super) const STRUCTS: u8 = 12;

/// A function that receives each value, together with a list of field numbers. The list leads from the outermost field
/// to the value's own field. If a struct is an element of a list, the field of that list encloses the fields of the
/// struct. If an element of a list is not a struct, this function is not called for the element.
pub(super) type Visit<'v> = &'v mut dyn FnMut(&[i16], Value) -> Result<(), Damage>;

/// A reader of one encoded struct.
#[derive(Debug)]
pub(super) struct Thrift<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Thrift<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Returns how many bytes were read.
    pub(super) fn read_bytes(&self) -> usize {
        self.at
    }

    /// Reads the struct.
    pub(super) fn visit(&mut self, visit: Visit<'_>) -> Result<(), Damage> {
        self.fields(&mut Vec::with_capacity(MAX_DEPTH), visit)
    }

    fn fields(&mut self, path: &mut Vec<i16>, visit: Visit<'_>) -> Result<(), Damage> {
        if path.len() >= MAX_DEPTH {
            return Err(Damage::new("the metadata is nested too deeply"));
        }
        let mut field = 0_i16;
        loop {
            let head = self.byte()?;
            let kind = head & 0x0f;
            if kind == 0 {
                return Ok(());
            }
            field = match head >> 4 {
                0 => i16::try_from(self.zigzag()?).map_err(|_| cut())?,
                delta => field.checked_add(i16::from(delta)).ok_or_else(cut)?,
            };
            path.push(field);
            self.field(kind, path, visit)?;
            path.pop();
        }
    }

    fn field(&mut self, kind: u8, path: &mut Vec<i16>, visit: Visit<'_>) -> Result<(), Damage> {
        match kind {
            1 | 2 => visit(path, Value::Bool(kind == 1)),
            4..=6 => self.zigzag().and_then(|number| visit(path, Value::Int(number))),
            9 | 10 => self.list(path, visit),
            12 => {
                visit(path, Value::Struct)?;
                self.fields(path, visit)
            }
            _ => self.skip(kind).and_then(|value| visit(path, value)),
        }
    }

    fn list(&mut self, path: &mut Vec<i16>, visit: Visit<'_>) -> Result<(), Damage> {
        let head = self.byte()?;
        let count = match head >> 4 {
            15 => self.length()?,
            count => usize::from(count),
        };
        // Every element of a list takes at least one byte.
        if count > self.bytes.len() - self.at {
            return Err(cut());
        }
        let kind = head & 0x0f;
        visit(path, Value::List(count, kind))?;
        for _ in 0..count {
            match kind {
                1 | 2 => self.skip(3).map(drop)?,
                4..=6 => self.zigzag().map(drop)?,
                12 => {
                    visit(path, Value::Element)?;
                    self.fields(path, visit)?;
                }
                _ => self.skip(kind).map(drop)?,
            }
        }
        Ok(())
    }

    /// Skips a value whose content does not matter.
    fn skip(&mut self, kind: u8) -> Result<Value, Damage> {
        let (length, value) = match kind {
            3 => (1, Value::Byte),
            7 => (8, Value::Double),
            8 => (self.length()?, Value::Binary),
            // The Parquet format has no maps and no lists of lists.
            _ => return Err(cut()),
        };
        if length > self.bytes.len() - self.at {
            return Err(cut());
        }
        self.at += length;
        Ok(value)
    }

    fn byte(&mut self) -> Result<u8, Damage> {
        let byte = *self.bytes.get(self.at).ok_or_else(cut)?;
        self.at += 1;
        Ok(byte)
    }

    fn varint(&mut self) -> Result<u64, Damage> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(cut())
    }

    fn zigzag(&mut self) -> Result<i64, Damage> {
        let number = self.varint()?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    fn length(&mut self) -> Result<usize, Damage> {
        usize::try_from(self.varint()?).map_err(|_| cut())
    }
}

fn cut() -> Damage {
    Damage::new("the metadata can't be read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_visited_with_the_numbers_of_their_fields() {
        // These bytes encode {1: 5, 3: [{2: true}, {}], 20: "ab"}.
        let bytes = [0x15, 10, 0x29, 0x2c, 0x21, 0, 0, 0x08, 40, 2, b'a', b'b', 0, 99];

        let (read, seen) = visited(&bytes).expect("it is whole");

        let expected: [(&[i16], Value); 6] = [
            (&[1], Value::Int(5)),
            (&[3], Value::List(2, STRUCTS)),
            (&[3], Value::Element),
            (&[3, 2], Value::Bool(true)),
            (&[3], Value::Element),
            (&[20], Value::Binary),
        ];
        assert_eq!(read, 13);
        assert_eq!(seen, expected.map(|(path, value)| (path.to_vec(), value)));
    }

    #[test]
    fn a_value_that_claims_more_bytes_than_there_are_is_damaged() {
        for bytes in [
            &[0x15][..],
            &[0x18, 0xff, 0xff, 0xff, 0xff, 0x7f],
            &[0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x7f, 0],
            &[0x15, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0],
            &[0x1c; 100],
        ] {
            assert!(visited(bytes).is_err(), "{bytes:?}");
        }
    }

    type Seen = Vec<(Vec<i16>, Value)>;

    fn visited(bytes: &[u8]) -> Result<(usize, Seen), Damage> {
        let (mut thrift, mut seen) = (Thrift::new(bytes), Vec::new());
        thrift.visit(&mut |path, value| {
            seen.push((path.to_vec(), value));
            Ok(())
        })?;
        Ok((thrift.read_bytes(), seen))
    }
}
