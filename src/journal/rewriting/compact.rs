//! Compaction: removes outdated entries from the error log.
//!
//! The log is replaced in one step, so if the process dies, either the old log or the compacted log is there. A later
//! run finds the same failures in the old log and in the compacted log. Before the log is replaced, the charges of the
//! removed entries are passed to `carry`. If the program dies between these two steps, the charges are counted twice.
//! For a budget, it is safer to count too much than too little.

use std::collections::HashMap;
use std::sync::Arc;

use super::copy::{LineCopy, each_line};
use crate::journal::charges::Charges;
use crate::journal::disk::{Disk, DiskFailure};
use crate::journal::files::Output;
use crate::journal::reading::{Parsed, Unresolved, parse_error};

/// Removes from the log all entries that are not in `unresolved`, and updates the offsets in `unresolved`.
///
/// If every entry still counts, nothing is done.
///
/// # Errors
/// A disk failure. After a failure, the file is either the old log or the compacted log, never a mixture of both.
pub(crate) fn compact(
    disk: &dyn Disk,
    output: &mut Output,
    unresolved: &mut Unresolved,
    carry: impl FnOnce(Charges) -> Result<(), DiskFailure>,
) -> Result<(), DiskFailure> {
    let kept = unresolved.offsets();
    let (log, path) = (Arc::clone(&output.file), output.path.clone());
    let mut removed = Charges::default();
    let mut removed_lines = 0_u64;
    each_line(&*log, &path, |offset, line| {
        if !kept.contains(&offset) {
            removed_lines += 1;
            if let Parsed::Record(record) = parse_error(line)
                && !unresolved.is_absorbed(offset)
            {
                removed += record.charges;
            }
        }
        Ok(())
    })?;
    if removed_lines == 0 {
        return Ok(());
    }
    let mut moved = HashMap::new();
    output.replace(disk, |copy, copy_path| {
        let mut out = LineCopy::new(copy, copy_path);
        each_line(&*log, &path, |offset, line| {
            if kept.contains(&offset) {
                moved.insert(offset, out.end());
                out.push(line)?;
            }
            Ok(())
        })?;
        out.flush()?;
        carry(removed)
    })?;
    unresolved.move_to(&moved);
    Ok(())
}
