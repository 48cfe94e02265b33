//! Reads all lines of a file on several threads, in order.
//!
//! The file is cut into blocks of equal length. A line belongs to the block in which it begins, so each thread can find
//! the lines of its block without the other threads. Blocks are read in rounds: a free thread takes the next block of
//! the round. When all blocks of a round are read, their results are passed on in the order of the file. So the memory
//! in use does not depend on the size of the file. If a thread panics, reading stops, and no other thread waits
//! forever.
//!
//! Rejected:
//! - One thread that reads and splits, and other threads that parse: every byte would be copied one more time.
//! - Channels instead of rounds: channels would not be faster than rounds, because a round has 30 blocks per thread.
//! - Mapping the file into memory: if the file shrank during the reading, the process would be killed.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::lines::Line;
use crate::journal::disk::DiskFile;

/// Length of a block. A block fits into the cache of a core. A block is also so long that the time for starting to read
/// it does not matter.
const BLOCK_BYTES: u64 = 1 << 20;
/// The number of blocks in a round, per thread.
const BLOCKS_OF_ROUND: u64 = 30;
/// The largest number of threads that read. More threads would not be faster, because the disk is the limit.
const MOST_THREADS: usize = 8;
/// If the last line of a block goes beyond the block's end, the rest of the line is read in steps of at least this many
/// bytes.
const BEHIND_BYTES: usize = 64 << 10;
/// The maximum number of bytes that a buffer keeps allocated after a huge line.
const KEPT_BYTES: usize = 4 << 20;

/// How a file is read: the length of its blocks, and the number of threads that read these blocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    /// Length of a block.
    pub(super) block_bytes: u64,
    /// The number of threads that read.
    pub(super) threads: usize,
}

impl Cut {
    /// Returns the block length and the number of threads for this machine.
    pub(super) fn here() -> Self {
        Self { block_bytes: BLOCK_BYTES, threads: threads() }
    }
}

/// Returns how many threads this machine can use.
pub(super) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().min(MOST_THREADS))
}

/// A block of the file, and the buffer for its lines.
pub(super) struct Block<'a> {
    file: &'a dyn DiskFile,
    start: u64,
    end: u64,
    buffer: &'a mut Buffer,
}

impl Block<'_> {
    /// Calls `each` with every line that begins in the block.
    ///
    /// # Errors
    /// The error that the system reports.
    pub(super) fn each_line(self, mut each: impl FnMut(&Line<'_>)) -> io::Result<()> {
        let Self { file, start, end, buffer } = self;
        // The byte before the block shows whether a line begins at the first byte of the block.
        let from = start.saturating_sub(1);
        buffer.fill(file, from, end)?;
        let mut at = match start {
            0 => 0,
            // If the block has no line break, the whole block is part of a line that began before the block.
            _ => first_line(buffer.filled()).unwrap_or(buffer.length),
        };
        while from + (at as u64) < end {
            let Some(length) = first_line(&buffer.filled()[at..]) else {
                let is_complete = buffer.read_rest_of_line(file, from)?;
                let bytes = &buffer.filled()[at..buffer.length - usize::from(is_complete)];
                if is_complete || !bytes.is_empty() {
                    each(&Line { offset: from + at as u64, bytes, is_complete });
                }
                break;
            };
            let bytes = &buffer.filled()[at..at + length - 1];
            each(&Line { offset: from + at as u64, bytes, is_complete: true });
            at += length;
        }
        Ok(())
    }
}

/// A buffer for the bytes of a file. All blocks of a thread use the same buffer.
#[derive(Default)]
struct Buffer {
    bytes: Vec<u8>,
    length: usize,
}

impl Buffer {
    fn filled(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Reads the bytes from `from` to `end`, or to the end of the file.
    fn fill(&mut self, file: &dyn DiskFile, from: u64, end: u64) -> io::Result<()> {
        let wanted = usize::try_from(end - from).map_err(io::Error::other)?;
        self.bytes.truncate(KEPT_BYTES.max(wanted));
        self.make_room(wanted);
        self.length = 0;
        while self.length < wanted && self.read_more(file, from, wanted)? > 0 {}
        Ok(())
    }

    /// Continues to read, up to the end of the last line. Returns whether the line has a line break.
    fn read_rest_of_line(&mut self, file: &dyn DiskFile, from: u64) -> io::Result<bool> {
        loop {
            let before = self.length;
            let until = before + BEHIND_BYTES.max(before / 4);
            self.make_room(until);
            if self.read_more(file, from, until)? == 0 {
                return Ok(false);
            }
            if let Some(length) = first_line(&self.filled()[before..]) {
                self.length = before + length;
                return Ok(true);
            }
        }
    }

    fn make_room(&mut self, bytes: usize) {
        if self.bytes.len() < bytes {
            self.bytes.resize(bytes, 0);
        }
    }

    fn read_more(&mut self, file: &dyn DiskFile, from: u64, until: usize) -> io::Result<usize> {
        loop {
            match file.read_at(&mut self.bytes[self.length..until], from + self.length as u64) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(count) => {
                    self.length += count;
                    return Ok(count);
                }
            }
        }
    }
}

/// Returns the length of the first line, including its line break; `None` if there is no line break.
fn first_line(bytes: &[u8]) -> Option<usize> {
    const WIDE: usize = 64;
    // The `fold` has no early exit, so the compiler can compare many bytes at a time.
    let is_free = |chunk: &&[u8; WIDE]| !chunk.iter().fold(false, |any, &byte| any | (byte == b'\n'));
    let free = bytes.as_chunks::<WIDE>().0.iter().take_while(is_free).count() * WIDE;
    bytes[free..].iter().position(|&byte| byte == b'\n').map(|at| free + at + 1)
}

/// Reads a file of `size` bytes. `read` makes a value from each block, on one of the threads. `take` receives these
/// values in the order of the file. Lines that were appended beyond `size` are left out.
///
/// # Errors
/// The first error that `take` returns. After an error, no more blocks are read.
pub(super) fn each_block<T: Send, E>(
    file: &dyn DiskFile,
    size: u64,
    cut: Cut,
    read: impl Fn(Block<'_>) -> T + Sync,
    mut take: impl FnMut(T) -> Result<(), E>,
) -> Result<(), E> {
    let blocks = size.div_ceil(cut.block_bytes);
    let threads = (cut.threads as u64).min(blocks);
    let mut buffers: Vec<Buffer> = (0..threads).map(|_| Buffer::default()).collect();
    let read_one = |number: u64, buffer: &mut Buffer| {
        let start = number * cut.block_bytes;
        read(Block { file, start, end: (start + cut.block_bytes).min(size), buffer })
    };
    let mut first = 0;
    while first < blocks {
        let count = (blocks - first).min(threads * BLOCKS_OF_ROUND);
        for made in round(first, count, &mut buffers, &read_one) {
            take(made)?;
        }
        first += count;
    }
    Ok(())
}

/// Reads `count` blocks from `first` on, with one thread per buffer.
fn round<T: Send>(
    first: u64,
    count: u64,
    buffers: &mut [Buffer],
    read: &(impl Fn(u64, &mut Buffer) -> T + Sync),
) -> Vec<T> {
    let next = AtomicU64::new(0);
    let made: Vec<Mutex<Option<T>>> = (0..count).map(|_| Mutex::new(None)).collect();
    let work = |buffer: &mut Buffer| {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(place) = usize::try_from(number).ok().and_then(|at| made.get(at)) else { break };
            let one = read(first + number, buffer);
            *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(one);
        }
    };
    if let Some((own, others)) = buffers.split_first_mut() {
        std::thread::scope(|scope| {
            for buffer in others {
                // If a thread can't be started, the remaining threads do its work.
                let _ = std::thread::Builder::new().name("recovery".to_owned()).spawn_scoped(scope, || work(buffer));
            }
            work(own);
        });
    }
    made.into_iter().filter_map(|place| place.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::path::Path;

    use super::*;
    use crate::journal::disk::{Disk, MemDisk, OpenMode};

    /// Reads all lines of a file. For each line, returns the offset, the bytes, and whether the line is complete.
    fn lines(content: &[u8], cut: Cut) -> Vec<(u64, Vec<u8>, bool)> {
        let disk = MemDisk::new();
        disk.put("f", content);
        let file = disk.open(Path::new("f"), OpenMode::Read).expect("it is there");
        let mut all = Vec::new();
        let read = |block: Block<'_>| {
            let mut lines = Vec::new();
            let done = block.each_line(|line| lines.push((line.offset, line.bytes.to_vec(), line.is_complete)));
            done.map(|()| lines).expect("a read from memory never fails")
        };
        let done = each_block(&*file, content.len() as u64, cut, read, |lines| {
            all.extend(lines);
            Ok::<(), Infallible>(())
        });
        done.expect("nothing fails");
        all
    }

    /// Splits the content into lines with the simplest possible code.
    fn split(content: &[u8]) -> Vec<(u64, Vec<u8>, bool)> {
        let mut offset = 0;
        let line = |piece: &[u8]| {
            let is_complete = piece.ends_with(b"\n");
            let line = (offset, piece[..piece.len() - usize::from(is_complete)].to_vec(), is_complete);
            offset += piece.len() as u64;
            line
        };
        content.split_inclusive(|&byte| byte == b'\n').map(line).collect()
    }

    #[test]
    fn every_line_is_read_once_and_in_order_for_any_block_length() {
        let mut random = fastrand::Rng::with_seed(5);
        for _ in 0..400 {
            let length = random.usize(0..400);
            let most = random.u8(1..40);
            let content: Vec<u8> = (0..length).map(|_| if random.u8(0..most) == 0 { b'\n' } else { b'x' }).collect();
            for (block_bytes, threads) in [(1, 1), (2, 3), (7, 1), (16, 2), (64, 3), (1000, 2)] {
                let seen = lines(&content, Cut { block_bytes, threads });

                assert_eq!(seen, split(&content), "{block_bytes} {threads} {:?}", String::from_utf8_lossy(&content));
            }
        }
    }

    #[test]
    fn a_line_that_is_longer_than_one_read_is_complete() {
        let long = vec![b'x'; 5 * BEHIND_BYTES + 3];
        let content = [b"a\n", &*long, b"\nb\n", &*long].concat();

        let seen = lines(&content, Cut { block_bytes: 1000, threads: 2 });

        assert_eq!(seen, split(&content));
    }

    #[test]
    fn nothing_is_read_after_a_refusal() {
        let disk = MemDisk::new();
        disk.put("f", &b"line\n".repeat(1000));
        let file = disk.open(Path::new("f"), OpenMode::Read).expect("it is there");
        let reads = AtomicU64::new(0);
        let read = |_: Block<'_>| reads.fetch_add(1, Ordering::Relaxed);

        let refused = each_block(&*file, 5000, Cut { block_bytes: 5, threads: 1 }, read, |_| Err("refused"));

        assert_eq!((refused, reads.into_inner()), (Err("refused"), BLOCKS_OF_ROUND));
    }
}
