//! The content of one file: the bytes that a reader sees, and the bytes that remain after a power failure.

/// The size in bytes of the pieces that a write consists of. After a power failure, some pieces of a write are on the
/// disk, and other pieces are lost.
const SECTOR: usize = 512;

/// The content of a file and the state of its lock. The names of the file are in the module `state`.
#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    /// The content that a reader of the file sees.
    pub(super) live: Vec<u8>,
    /// The content that the file had at its last sync.
    durable: Vec<u8>,
    /// The writes that came after the last sync, oldest first.
    unsynced: Vec<Change>,
    /// The handle that holds the lock.
    pub(super) locked_by: Option<u64>,
}

#[derive(Clone, Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate(usize),
}

impl Inode {
    /// Returns a file with this content. The whole content is durable.
    pub(super) fn durable(content: &[u8]) -> Self {
        Self { live: content.to_vec(), durable: content.to_vec(), ..Self::default() }
    }

    /// Writes bytes that the next sync makes durable.
    pub(super) fn write(&mut self, bytes: &[u8], offset: usize) {
        write(&mut self.live, offset, bytes);
        self.unsynced.push(Change::Write { offset, bytes: bytes.to_vec() });
    }

    /// Shortens or extends the file; the next sync makes the new size durable.
    pub(super) fn resize(&mut self, size: usize) {
        self.live.resize(size, 0);
        self.unsynced.push(Change::Truncate(size));
    }

    /// Makes all changes of the file durable.
    pub(super) fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            match change {
                Change::Write { offset, bytes } => write(&mut self.durable, offset, &bytes),
                Change::Truncate(size) => self.durable.resize(size, 0),
            }
        }
    }

    /// Changes the content as a power failure could change it. `random` chooses the new content.
    pub(super) fn lose_power(&mut self, random: &mut fastrand::Rng) {
        let mut changes = std::mem::take(&mut self.unsynced);
        random.shuffle(&mut changes);
        for change in changes {
            match (change, random.u8(0..4)) {
                (_, 0) => {}
                (Change::Write { offset, mut bytes }, 1) => {
                    bytes.truncate((random.usize(0..=bytes.len()) / SECTOR) * SECTOR);
                    write(&mut self.durable, offset, &bytes);
                }
                (Change::Write { offset, mut bytes }, 2) => {
                    bytes.chunks_mut(SECTOR).filter(|_| random.bool()).for_each(|sector| sector.fill(0));
                    write(&mut self.durable, offset, &bytes);
                }
                (Change::Write { offset, bytes }, _) => write(&mut self.durable, offset, &bytes),
                (Change::Truncate(size), _) => self.durable.resize(size, 0),
            }
        }
        self.live = self.durable.clone();
        self.locked_by = None;
    }
}

fn write(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(bytes);
}
