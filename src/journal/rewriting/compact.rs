//! Compaction: entries that do not count any more are removed from the error log.
//!
//! The log is replaced as a whole, so a death at any step leaves the old log or the compacted one, and both mean the
//! same. What removed entries say was spent is given to `carry` before the log is replaced. A death between the two
//! counts it twice, which is the safe side for a budget.

use std::collections::HashMap;
use std::sync::Arc;

use super::copy::{LineCopy, each_line};
use crate::journal::charges::Charges;
use crate::journal::disk::{Disk, DiskFailure};
use crate::journal::files::Output;
use crate::journal::reading::{Parsed, Unresolved, parse_error};

/// Removes all entries of the log that are not in `unresolved`, and tells `unresolved` the new offsets.
///
/// Does nothing when every entry counts.
///
/// # Errors
/// What failed; the log is then the old one or the compacted one.
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
            if let Parsed::Record(record) = parse_error(line) {
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
