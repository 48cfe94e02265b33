//! The memory for an answer that is still arriving.
//!
//! A buffer that doubles its size whenever it is full can use twice the memory that its content needs. While its
//! content is moved, the buffer uses three times the memory that its content needs. Such buffers also free blocks of
//! many different sizes, and allocators return these blocks to the system late. So bytes are collected in pieces of
//! equal size, and the pieces are joined at the end. After that, the next answer uses these pieces.
//!
//! When an answer becomes large, memory for the largest allowed body is reserved in one step. Reserving so much memory
//! is cheap, because the system gives memory only for the bytes that are written. In most runs, at most one large
//! answer arrives at a time, and the next large answer uses the same memory ([`SPARE`]). If each large answer had its
//! own memory, the allocator would often take new memory from the system before it returns the old memory.

use std::mem::take;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use crate::domain::json::put_on_one_line;

/// The length of a full piece of a buffer, in bytes. The first piece of a buffer begins with a smaller length and grows
/// to this length.
const PIECE_BYTES: usize = 256 << 10;
/// An answer with more bytes than this is large. The value equals `SHARED_BYTES` in `runner/answer_memory.rs`. So if at
/// most 16 requests are in flight, only one large answer is read at a time.
const LARGE_BYTES: usize = 4 << 20;
/// How many bytes of memory are reserved for a large answer: a little more than the largest body that is read by
/// default.
const WHOLE_BYTES: usize = (32 << 20) + (64 << 10);

/// How many bytes of memory are reserved for a large message in a stream. This number is a little larger than the size
/// of the longest message that is folded.
const MESSAGE_BYTES: usize = (16 << 20) + (64 << 10);

/// When a large answer is dropped, its memory is kept here for the next large answer.
static SPARE: Mutex<Option<Vec<u8>>> = Mutex::new(None);
/// When a large stream message is dropped, its memory is kept here for the next large message. A message needs memory
/// other than [`SPARE`], because the message and its parts are in memory at the same time.
static SPARE_MESSAGE: Mutex<Option<Vec<u8>>> = Mutex::new(None);

/// A growable buffer of several pieces.
#[derive(Default)]
pub(super) struct Growing {
    /// The full pieces of the buffer, in order.
    full: Vec<Vec<u8>>,
    last: Vec<u8>,
    /// The number of bytes in all pieces.
    length: usize,
}

impl Growing {
    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Appends bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let before = self.length;
        self.length += bytes.len();
        if self.length <= PIECE_BYTES || before > LARGE_BYTES {
            return self.last.extend_from_slice(bytes);
        }
        if self.length > LARGE_BYTES {
            let mut whole = large(self.length);
            self.move_into(&mut whole);
            whole.extend_from_slice(bytes);
            self.last = whole;
            return;
        }
        self.push_in_pieces(bytes);
    }

    /// Returns all bytes in one piece.
    pub(super) fn into_bytes(mut self) -> Bytes {
        if self.full.is_empty() {
            return bytes_of(take(&mut self.last));
        }
        let mut whole = Vec::with_capacity(self.length);
        self.move_into(&mut whole);
        whole.into()
    }

    /// Returns the bytes of a large answer, which the caller can change in place. Returns `None` for an answer that is
    /// not large, because such an answer can be in several pieces.
    pub(super) fn large_mut(&mut self) -> Option<&mut [u8]> {
        (self.length > LARGE_BYTES).then_some(&mut self.last)
    }

    /// Moves all bytes to the end of `out`, which must have enough free capacity. Each piece is freed as soon as it is
    /// copied.
    pub(super) fn move_into(&mut self, out: &mut Vec<u8>) {
        for piece in take(&mut self.full) {
            out.extend_from_slice(&piece);
        }
        out.extend_from_slice(&self.last);
        give_back(take(&mut self.last));
    }

    fn push_in_pieces(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.last.len() >= PIECE_BYTES {
                let fresh = Vec::with_capacity(PIECE_BYTES);
                self.full.push(std::mem::replace(&mut self.last, fresh));
            }
            let (now, later) = bytes.split_at(bytes.len().min(PIECE_BYTES - self.last.len()));
            self.last.extend_from_slice(now);
            bytes = later;
        }
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        give_back(take(&mut self.last));
    }
}

/// The memory of a large answer, after the answer was passed to the caller.
struct Large(Vec<u8>);

impl AsRef<[u8]> for Large {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Large {
    fn drop(&mut self) {
        give_back(take(&mut self.0));
    }
}

/// Returns memory for a large answer. `bytes` is the number of the answer's bytes that have arrived so far.
fn large(bytes: usize) -> Vec<u8> {
    let spare = if bytes <= WHOLE_BYTES { take_from(&SPARE) } else { None };
    spare.unwrap_or_else(|| Vec::with_capacity(WHOLE_BYTES.max(bytes)))
}

/// Returns an empty buffer for the message of a stream; the message will have about `bytes` bytes. The caller passes
/// the buffer to [`message_bytes`] when the message is complete.
pub(super) fn message(bytes: usize) -> Vec<u8> {
    let spare = if (LARGE_BYTES..=MESSAGE_BYTES).contains(&bytes) { take_from(&SPARE_MESSAGE) } else { None };
    spare.unwrap_or_else(|| Vec::with_capacity(if bytes < LARGE_BYTES { bytes } else { MESSAGE_BYTES.max(bytes) }))
}

/// Returns the complete message. The parameter `message` is the buffer that the function [`message`] returned. This
/// function puts a large message on one line, because a later step could do so only in a copy of the message.
pub(super) fn message_bytes(mut message: Vec<u8>) -> Bytes {
    if message.capacity() >= MESSAGE_BYTES {
        put_on_one_line(&mut message);
    }
    bytes_of(message)
}

/// Turns a `Vec<u8>` into `Bytes` without copying the bytes. When the bytes of a large answer are dropped, their memory
/// is kept for the next large answer.
fn bytes_of(memory: Vec<u8>) -> Bytes {
    if memory.capacity() < MESSAGE_BYTES { memory.into() } else { Bytes::from_owner(Large(memory)) }
}

fn take_from(spare: &Mutex<Option<Vec<u8>>>) -> Option<Vec<u8>> {
    spare.lock().unwrap_or_else(PoisonError::into_inner).take()
}

fn give_back(mut memory: Vec<u8>) {
    let spare = match memory.capacity() {
        WHOLE_BYTES.. => &SPARE,
        MESSAGE_BYTES.. => &SPARE_MESSAGE,
        _ => return,
    };
    memory.clear();
    let earlier = spare.lock().unwrap_or_else(PoisonError::into_inner).replace(memory);
    drop(earlier);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_that_come_out_are_the_bytes_that_were_pushed() {
        let seed = 3;
        let mut random = fastrand::Rng::with_seed(seed);
        for most in [10, 100_000, 300_000, 3_000_000, 12_000_000, 40_000_000] {
            let (mut growing, mut plain) = (Growing::default(), Vec::new());
            while plain.len() < most {
                let piece = vec![random.u8(..); random.usize(0..most / 5 + 2)];
                growing.push(&piece);
                plain.extend_from_slice(&piece);
                assert_eq!((growing.len(), growing.is_empty()), (plain.len(), plain.is_empty()), "seed {seed}");
            }
            let mut moved = b"before".to_vec();

            let is_one = random.bool();
            let whole = if is_one {
                growing.into_bytes().to_vec()
            } else {
                {
                    growing.move_into(&mut moved);
                    moved.split_off(6)
                }
            };

            assert!(whole == plain, "seed {seed}, {most} bytes");
        }
    }

    #[test]
    fn messages_of_every_size_are_complete() {
        for bytes in [10, LARGE_BYTES - 1, LARGE_BYTES, MESSAGE_BYTES, MESSAGE_BYTES + 1, WHOLE_BYTES + 1] {
            for byte in *b"xy" {
                let mut out = message(bytes);
                assert!(out.is_empty() && out.capacity() >= bytes, "{bytes}");
                out.resize(bytes, byte);
                let kept = message_bytes(out);
                assert!(kept.len() == bytes && kept.iter().all(|&own| own == byte), "{bytes}");
            }
        }
    }

    #[test]
    fn an_answer_is_not_moved_in_memory_after_it_has_become_large() {
        let mut growing = Growing::default();
        growing.push(&vec![b'x'; LARGE_BYTES + 1]);
        let before = growing.last.as_ptr();

        while growing.len() < 32 << 20 {
            growing.push(&[b'y'; 10_000]);
        }

        assert!(growing.last.as_ptr() == before && growing.full.is_empty());
    }
}
