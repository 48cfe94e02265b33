//! Inputs: files and pipes become rows.
//!
//! Owns the formats: one file per format and one arm in [`open`]. A row is what was written; defaults, keys and costs
//! are added in [`crate::plan`]. Reading is streaming: one row in memory at a time.

use serde_json::value::RawValue;

use crate::domain::{Origin, Params};

/// One row as it was written.
#[derive(Clone, Debug)]
pub struct Row {
    /// Where.
    pub origin: Origin,
    /// The user's label, if the row has one.
    pub custom_id: Option<String>,
    /// Its own request parameters, in the order written, without defaults.
    pub params: Params,
    /// Its other members: not sent, carried along.
    pub extra: Params,
    /// The `error` member of an error-log entry, raw.
    pub error: Option<Box<RawValue>>,
}

/// A row that can't be used. It costs only itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenRow {
    /// Where.
    pub origin: Origin,
    /// Its label, as far as it could be read.
    pub custom_id: Option<String>,
    /// Column of the fault in its line, in bytes from 1, where known.
    pub column: Option<u64>,
    /// Offset of the row's first byte in its input (after decompression).
    pub byte_offset: u64,
    /// Its text, at most the first 4 KiB.
    pub raw: Vec<u8>,
    /// What is wrong and what to do; lower case, no full stop.
    pub message: String,
}

/// What a reader returns next.
#[derive(Clone, Debug)]
pub enum Item {
    /// A usable row.
    Row(Box<Row>),
    /// A broken one.
    Broken(Box<BrokenRow>),
}
