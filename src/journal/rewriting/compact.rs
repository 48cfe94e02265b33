//! Compaction: removes entries that do not count any more from the error log.
//!
//! The log is replaced as a whole, so a death at any step leaves the old log or the compacted one, and both mean the
//! same. Before the log is replaced, the spending recorded in the removed entries is given to `carry`. If the program
//! dies between the two steps, that spending is counted twice, which is the safe side for a budget.

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
/// The failure of the disk. The log is then still the old one or already the compacted one.
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
