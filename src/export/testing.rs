//! Functions for the tests of all writers.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use super::form::Compression;
use super::output::{Output, packed};
use super::{Column, ColumnKind, TableWriter, Value};

/// Returns columns of text.
pub(super) fn columns(names: &[&str]) -> Vec<Column> {
    names.iter().map(|name| Column { name: (*name).to_owned(), kind: ColumnKind::Text }).collect()
}

/// Returns the output that a writer makes from rows.
pub(super) fn written(
    make: impl FnOnce(Box<dyn Output>) -> io::Result<Box<dyn TableWriter>>,
    rows: &[&[Value<'_>]],
) -> Vec<u8> {
    let shared = Shared::default();
    let out = packed(shared.clone(), Compression::None).expect("there is memory");
    let mut writer = make(out).expect("a write to memory never fails");
    for row in rows {
        writer.row(row).expect("a write to memory never fails");
    }
    writer.finish().expect("a write to memory never fails");
    let bytes = shared.0.lock().unwrap_or_else(PoisonError::into_inner);
    bytes.clone()
}

/// Memory that several owners can write to.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
