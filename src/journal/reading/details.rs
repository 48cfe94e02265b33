//! Reads lines for the report of a run. The report needs more members of each line than a resumed run needs.
//!
//! A resumed run does not use this module, so it loses no time here. This module does not keep the lines in memory.

use std::borrow::Cow;
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::contents::collect_entry;
use super::fast_path;
use super::lines::Line;
use super::parse::{parse_any_result, parse_error};
use super::record::{Details, ErrorRecord, Parsed, ResultRecord};
use super::scan::scan;
use super::stored::read_line;
use crate::domain::{ErrorClass, Lane, Money, TakenFrom, shortened};
use crate::journal::disk::{Disk, DiskFailure, DiskFile, OpenMode};
use crate::journal::error::JournalError;
use crate::sink::parse_usd;

/// The text of a failure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FailureText {
    /// The label of the row, shortened.
    pub(crate) label: String,
    /// The class.
    pub(crate) class: Option<ErrorClass>,
    /// The HTTP status.
    pub(crate) status: Option<u16>,
    /// The message of the API or of this program, shortened.
    pub(crate) message: String,
    /// The number of attempts.
    pub(crate) attempts: u64,
}

#[derive(Deserialize)]
struct DetailedLine<'a> {
    #[serde(borrow)]
    meta: DetailedMeta<'a>,
}

#[derive(Deserialize)]
struct DetailedMeta<'a> {
    #[serde(borrow)]
    model: Option<Cow<'a, str>>,
    #[serde(borrow)]
    lane: Option<Cow<'a, str>>,
    #[serde(default)]
    attempts: u64,
    latency_ms: Option<u64>,
    #[serde(borrow)]
    cost_usd: Option<&'a RawValue>,
    #[serde(borrow)]
    saved_usd: Option<&'a RawValue>,
    #[serde(borrow)]
    copied_from: Option<Cow<'a, str>>,
    reused_from: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct FailureLine<'a> {
    #[serde(borrow)]
    error: FailurePart<'a>,
}

#[derive(Deserialize)]
struct FailurePart<'a> {
    status: Option<u16>,
    #[serde(borrow)]
    message: Option<Cow<'a, str>>,
    attempts: Option<u64>,
}

/// Reads all lines of a results file on several threads. The function `read` adds a line to the details of the block
/// (part of the file) that contains the line. The function `take` receives the details of each block, in the order of
/// the file. Damaged lines and a half-written end are left out.
///
/// # Errors
/// [`JournalError::Foreign`], [`JournalError::ForeignLine`], [`JournalError::NewerFormat`], [`JournalError::Disk`].
pub(crate) fn read_details<T: Default + Send>(
    path: &Path,
    disk: &dyn Disk,
    read: impl Fn(&ResultRecord<'_>, &Details<'_>, &mut T) + Sync,
    take: impl FnMut(T),
) -> Result<(), JournalError> {
    let file = disk.open(path, OpenMode::Read).map_err(DiskFailure::of("open", path))?;
    let read = |line: &Line<'_>, block: &mut T| {
        let parsed = match fast_path::parse_detailed(line.bytes) {
            Some(parsed) => Parsed::Record(parsed),
            None => parse_any_detailed(line.bytes),
        };
        parsed.handed_to(|(record, details)| read(&record, &details, block))
    };
    scan(&*file, path, true, read, take).map(drop)
}

/// Reads all entries of an error log, in order, with the offset of each.
///
/// # Errors
/// The errors of [`read_details`].
pub(crate) fn read_failures(
    path: &Path,
    disk: &dyn Disk,
    mut take: impl FnMut(u64, &ErrorRecord),
) -> Result<(), JournalError> {
    let file = disk.open(path, OpenMode::Read).map_err(DiskFailure::of("open", path))?;
    let take = |entries: Vec<(u64, ErrorRecord)>| entries.iter().for_each(|(offset, record)| take(*offset, record));
    scan(&*file, path, true, collect_entry, take).map(drop)
}

/// Reads the texts of the failures whose lines begin at these offsets. A line that can't be read is left out.
///
/// # Errors
/// The file can't be opened.
pub(crate) fn read_failure_texts(
    path: &Path,
    disk: &dyn Disk,
    offsets: &[u64],
) -> Result<Vec<FailureText>, JournalError> {
    let file = disk.open(path, OpenMode::Read).map_err(DiskFailure::of("open", path))?;
    let mut line = Vec::new();
    Ok(offsets.iter().filter_map(|offset| failure_text(&*file, *offset, &mut line)).collect())
}

fn failure_text(file: &dyn DiskFile, offset: u64, line: &mut Vec<u8>) -> Option<FailureText> {
    read_line(file, offset, line).ok()?;
    let Parsed::Record(record) = parse_error(line) else { return None };
    let FailureLine { error } = serde_json::from_slice(line).ok()?;
    Some(FailureText {
        label: shortened(&record.label).into_owned(),
        class: Some(record.class),
        status: error.status,
        message: error.message.map(|message| shortened(&message).into_owned()).unwrap_or_default(),
        attempts: error.attempts.unwrap_or_default(),
    })
}

/// Parses a result line and its details. The members of the line can be in any order.
pub(super) fn parse_any_detailed(line: &[u8]) -> Parsed<(ResultRecord<'_>, Details<'_>)> {
    let record = match parse_any_result(line) {
        Parsed::Record(record) => record,
        Parsed::Newer(version) => return Parsed::Newer(version),
        Parsed::NotOurs => return Parsed::NotOurs,
    };
    // A detail of an unexpected type is ignored, but the rest of the line is used.
    let details = serde_json::from_slice(line).map(|DetailedLine { meta }| details(meta)).unwrap_or_default();
    Parsed::Record((record, details))
}

fn details(meta: DetailedMeta<'_>) -> Details<'_> {
    let money = |raw: Option<&RawValue>| raw.and_then(|raw| parse_usd(raw.get())).unwrap_or(Money::ZERO);
    let taken = match (meta.reused_from, meta.copied_from) {
        (Some(_), _) => Some(TakenFrom::EarlierResults),
        (None, Some(_)) => Some(TakenFrom::EqualRow),
        (None, None) => None,
    };
    Details {
        is_batch: meta.lane.as_deref() == Some(Lane::Batch.name()),
        model: meta.model,
        attempts: meta.attempts,
        latency_ms: meta.latency_ms,
        has_cost: meta.cost_usd.is_some(),
        saved: money(meta.saved_usd),
        taken,
    }
}
