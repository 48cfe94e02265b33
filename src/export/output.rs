//! Writes outputs to standard output or to a file, compressed or not. A file gets its name only when it is complete.
//!
//! While the file is written, it is locked and has another name in the same folder. When the file is complete, it is
//! synced and renamed. If a crash leaves an unfinished file, the next command overwrites it. While one command writes
//! an output, a second command for the same output ends with an error.

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use flate2::write::GzEncoder;

use super::ExportError;
use super::form::Compression;
use crate::journal::{Disk, DiskFailure, DiskFile, LockAttempt, OpenMode, sync_name, with_suffix};

/// The suffix of the output file's name while the file is written.
const UNFINISHED: &str = ".unfinished";
/// How many bytes of an output are written at a time.
const BUFFER_BYTES: usize = 256 << 10;
/// How many times the unfinished file is opened again if another command renamed it in the meantime.
const TRIES: u32 = 16;
/// The compression level that the command `zstd` uses by default.
const ZSTD_LEVEL: i32 = 3;

/// The destination of a projection's bytes.
pub(crate) trait Output: Write + Send {
    /// Writes the bytes that are still in memory, and the end of the compressed data.
    ///
    /// # Errors
    /// The errors of writing to the output.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

struct Plain<W: Write>(BufWriter<W>);

struct Gzip<W: Write>(GzEncoder<BufWriter<W>>);

struct Zstd<W: Write>(zstd::Encoder<'static, BufWriter<W>>);

/// Returns an output that compresses everything written to it, and writes the result to `to`.
///
/// # Errors
/// Returns an error if there is not enough memory for the compressor.
pub(crate) fn packed(to: impl Write + Send + 'static, compression: Compression) -> io::Result<Box<dyn Output>> {
    let to = BufWriter::with_capacity(BUFFER_BYTES, to);
    Ok(match compression {
        Compression::None => Box::new(Plain(to)),
        Compression::Gzip => Box::new(Gzip(GzEncoder::new(to, flate2::Compression::default()))),
        Compression::Zstd => {
            let mut encoder = zstd::Encoder::new(to, ZSTD_LEVEL)?;
            encoder.include_checksum(true)?;
            Box::new(Zstd(encoder))
        }
    })
}

macro_rules! writes {
    ($($kind:ident),*) => {$(
        impl<W: Write> Write for $kind<W> {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.write(bytes)
            }

            fn flush(&mut self) -> io::Result<()> {
                self.0.flush()
            }
        }
    )*};
}
writes!(Plain, Gzip, Zstd);

impl<W: Write + Send> Output for Plain<W> {
    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.0.flush()
    }
}

impl<W: Write + Send> Output for Gzip<W> {
    fn finish(self: Box<Self>) -> io::Result<()> {
        self.0.finish()?.flush()
    }
}

impl<W: Write + Send> Output for Zstd<W> {
    fn finish(self: Box<Self>) -> io::Result<()> {
        self.0.finish()?.flush()
    }
}

/// A writer that appends to a file.
struct Appended {
    file: Arc<dyn DiskFile>,
    at: u64,
}

impl Write for Appended {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_at(bytes, self.at)?;
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Makes the file of an output. `fill` writes the whole content and finishes the output. The file at `path` is replaced
/// only when the new file is complete and on disk.
///
/// # Errors
/// [`ExportError::Busy`], [`ExportError::Disk`], and the errors of `fill`. After an error, the file at `path` is
/// unchanged. There is one exception: if only the last step (the sync of the folder) fails, the file is already
/// replaced.
pub(crate) fn whole_file<T>(
    disk: &dyn Disk,
    path: &Path,
    compression: Compression,
    fill: impl FnOnce(Box<dyn Output>) -> Result<T, ExportError>,
) -> Result<T, ExportError> {
    let unfinished = with_suffix(path, UNFINISHED);
    let file: Arc<dyn DiskFile> = lock(disk, path, &unfinished)?.into();
    let made = packed(Appended { file: file.clone(), at: 0 }, compression)
        .map_err(|error| DiskFailure::of("write", &unfinished)(error).into())
        .and_then(fill)
        .map_err(|error| match error {
            ExportError::Output(error) => DiskFailure::of("write", path)(error).into(),
            error => error,
        })
        .and_then(|made| {
            file.sync().map_err(DiskFailure::of("sync", &unfinished))?;
            disk.rename(&unfinished, path).map_err(DiskFailure::of("rename", &unfinished))?;
            Ok(made)
        });
    if made.is_err() {
        // Only the first failure is reported. If the unfinished file can't be removed, the next command overwrites it.
        let _ = file.truncate(0).and_then(|()| disk.remove(&unfinished));
    }
    let made = made?;
    sync_name(disk, path)?;
    Ok(made)
}

/// Opens the unfinished file, locks it and empties it.
fn lock(disk: &dyn Disk, path: &Path, unfinished: &Path) -> Result<Box<dyn DiskFile>, ExportError> {
    let busy = || ExportError::Busy { path: path.to_owned() };
    for _ in 0..TRIES {
        let file = match disk.open(unfinished, OpenMode::Edit) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => return Err(busy()),
            opened => opened.map_err(DiskFailure::of("create", unfinished))?,
        };
        match file.try_lock().map_err(DiskFailure::of("lock", unfinished))? {
            LockAttempt::Held => return Err(busy()),
            LockAttempt::Locked | LockAttempt::Unsupported => {}
        }
        // In the time between opening and locking this file, another command can finish the file and rename it.
        if file.is_at(unfinished).map_err(DiskFailure::of("look at", unfinished))? {
            file.truncate(0).map_err(DiskFailure::of("cut", unfinished))?;
            return Ok(file);
        }
    }
    Err(busy())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::journal::MemDisk;

    const PATH: &str = "a.csv";

    fn make(disk: &MemDisk, text: &str) -> Result<(), ExportError> {
        whole_file(disk, Path::new(PATH), Compression::None, |mut out| {
            out.write_all(text.as_bytes()).and_then(|()| out.finish()).map_err(ExportError::Output)
        })
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_no_other_file_is_left() {
        let disk = MemDisk::new();
        disk.put("a.csv.unfinished", b"left by a crash, and longer than the new text");

        make(&disk, "new").expect("the disk works");

        assert_eq!(disk.content(PATH).as_deref(), Some(&b"new"[..]));
        assert_eq!(disk.content("a.csv.unfinished"), None);
    }

    #[test]
    fn a_failure_leaves_the_old_file() {
        let disk = MemDisk::new();
        disk.put(PATH, b"old");

        let made: Result<(), _> = whole_file(&disk, Path::new(PATH), Compression::None, |mut out| {
            out.write_all(b"half").map_err(ExportError::Output)?;
            Err(ExportError::Output(io::ErrorKind::StorageFull.into()))
        });

        assert!(made.is_err());
        assert_eq!(disk.content(PATH).as_deref(), Some(&b"old"[..]));
    }

    #[test]
    fn a_fault_at_any_step_leaves_the_old_file_or_the_new_file() {
        for at in 0.. {
            let disk = MemDisk::new();
            disk.put(PATH, b"old");
            disk.fail_at(at, io::ErrorKind::Other);

            let made = make(&disk, "new");

            let content = disk.content(PATH).expect("the file exists");
            assert!(content == b"new" || made.is_err() && content == b"old", "fault {at}: {content:?}");
            if made.is_ok() {
                return assert!(
                    at > 3,
                    "{at} faults are too few: a write, a sync, a rename and the sync of the folder"
                );
            }
        }
    }

    #[test]
    fn two_commands_never_write_the_same_output() {
        let disk = MemDisk::new();

        let made = whole_file(&disk, Path::new(PATH), Compression::None, |out| {
            assert!(matches!(make(&disk, "second"), Err(ExportError::Busy { .. })));
            out.finish().map_err(ExportError::Output)
        });

        assert!(made.is_ok());
        assert_eq!(disk.content(PATH).as_deref(), Some(&b""[..]));
    }

    #[test]
    fn compressed_data_is_complete() {
        let disk = MemDisk::new();
        let text = "one line\n".repeat(9_999);
        for compression in [Compression::Gzip, Compression::Zstd] {
            whole_file(&disk, Path::new(PATH), compression, |mut out| {
                out.write_all(text.as_bytes()).and_then(|()| out.finish()).map_err(ExportError::Output)
            })
            .expect("the disk works");

            let bytes = disk.content(PATH).expect("it was made");
            let mut unpacked = String::new();
            match compression {
                Compression::Gzip => flate2::read::GzDecoder::new(&*bytes).read_to_string(&mut unpacked),
                _ => zstd::Decoder::new(&*bytes).and_then(|mut decoder| decoder.read_to_string(&mut unpacked)),
            }
            .expect("it is whole");
            assert!(unpacked == text && bytes.len() < text.len() / 10);
        }
    }

    #[test]
    fn a_crash_at_any_step_leaves_the_old_file_or_the_new_file() {
        let text = "a line of the new file\n".repeat(40_000);
        let whole = {
            let disk = MemDisk::new();
            make(&disk, &text).expect("the disk works");
            disk.changes()
        };
        assert!(whole > 5, "{whole}");
        for at in 0..whole {
            let disk = MemDisk::new();
            disk.put(PATH, b"old");
            let before = disk.changes();
            disk.die_at(before + at, 7);
            assert!(make(&disk, &text).is_err(), "step {at}");

            let after = disk.after_death();

            let found = after.content(PATH).expect("it is never missing");
            assert!(found == b"old" || found == text.as_bytes(), "step {at}: {} bytes", found.len());
            make(&after, &text).expect("the next command makes it whole");
            assert!(after.content(PATH).is_some_and(|found| found == text.as_bytes()));
            assert_eq!(after.paths().len(), 1, "step {at}: {:?}", after.paths());
        }
    }
}
