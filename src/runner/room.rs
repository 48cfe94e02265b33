//! Room for answers: all that are in flight together hold no more memory than one of the largest size and some.
//!
//! An answer may be tens of megabytes long, and a server that is broken or hostile can make every one so. The bytes that
//! all answers hold are summed. While the sum is within [`SHARED_BYTES`], or [`EACH_BYTES`] for each request in flight where
//! that is more, everything is read as it comes: streams of long answers, slow as they are, don't wait for one another.
//! Above it only one answer is read on, whatever its size, and the others wait without reading: their servers feel that, since the
//! network's own buffers fill up. So an answer of the largest size always succeeds, one after another.
//!
//! - Ordinary answers are never counted: the first [`FREE_BYTES`] of each are free.
//! - An answer holds its room until the system has its line, so that lines for a slow reader are within it, too.
//! - Nobody waits for ever: the one that is read ends, fails, or runs out of its time; the time of those that wait runs, too.
//!
//! Rejected: a share for each request in flight (an answer of the largest size would need `-c` times as much), and to
//! cut off the largest answer when the sum is too high (it was paid for).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Bytes of answers that are read side by side. Of 4, 8, 16 and 32 MiB the largest with which hostile servers cost a run
/// with 16 requests in flight no more than 64 MB: one answer of 32 MiB, these, and what the client itself reads ahead.
const SHARED_BYTES: usize = 4 << 20;
/// Bytes that each request in flight adds to them, from the 17th on. A stream counts twice, and is half done on average: so
/// streams of 80,000 tokens each don't wait.
const EACH_BYTES: usize = 256 << 10;
/// Bytes of each answer that are not counted: more than nearly all answers have.
const FREE_BYTES: usize = 64 << 10;
/// Bytes are counted in pieces of this size.
const PIECE_BYTES: usize = 64 << 10;

/// The room of a run.
#[derive(Default)]
pub(super) struct Room {
    taken: AtomicUsize,
    /// Requests in flight.
    open: AtomicUsize,
    /// Whether an answer is read beyond the shared bytes.
    has_one_beyond: AtomicBool,
    waiting: AtomicUsize,
    freed: Notify,
}

/// What one answer holds. Given back when it is dropped.
pub(super) struct Held {
    room: Arc<Room>,
    /// Taken from the room.
    taken: usize,
    is_beyond: bool,
    /// Whether its request is in flight.
    is_open: bool,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held").field("taken", &self.taken).finish_non_exhaustive()
    }
}

impl Held {
    /// Begins an answer, of which nothing has come.
    pub(super) fn new(room: Arc<Room>) -> Self {
        room.open.fetch_add(1, Ordering::Relaxed);
        Self { room, taken: 0, is_beyond: false, is_open: true }
    }

    /// Moves what is held to where the end of the answer is told: its request is no longer in flight.
    pub(super) fn take_over(&mut self) -> Self {
        self.end();
        let nothing = Self { room: Arc::clone(&self.room), taken: 0, is_beyond: false, is_open: false };
        std::mem::replace(self, nothing)
    }

    /// Tells how many bytes the answer holds by now; returns whether more may be read at once, else after [`Held::wait`].
    #[inline]
    pub(super) fn hold(&mut self, bytes: usize) -> bool {
        bytes <= FREE_BYTES + self.taken || self.take(bytes)
    }

    /// Returns whether anything was taken from the room.
    pub(super) fn is_counted(&self) -> bool {
        self.taken > 0
    }

    /// Waits until more may be read.
    pub(super) async fn wait(&mut self) {
        let room = Arc::clone(&self.room);
        let _waiting = Waiting::new(&room);
        loop {
            let freed = room.freed.notified();
            // What is freed after this look wakes it, so nothing can be missed.
            if self.may_go_on() {
                return;
            }
            freed.await;
        }
    }

    #[cold]
    fn take(&mut self, bytes: usize) -> bool {
        let wanted = (bytes - FREE_BYTES).next_multiple_of(PIECE_BYTES);
        self.room.taken.fetch_add(wanted - self.taken, Ordering::AcqRel);
        self.taken = wanted;
        self.may_go_on()
    }

    fn may_go_on(&mut self) -> bool {
        if self.is_beyond || self.room.taken.load(Ordering::Acquire) <= self.room.shared_bytes() {
            return true;
        }
        self.is_beyond = !self.room.has_one_beyond.swap(true, Ordering::AcqRel);
        self.is_beyond
    }

    fn end(&mut self) {
        if std::mem::take(&mut self.is_open) {
            self.room.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Room {
    fn shared_bytes(&self) -> usize {
        SHARED_BYTES.max(self.open.load(Ordering::Relaxed).saturating_mul(EACH_BYTES))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.end();
        if self.taken == 0 {
            return;
        }
        if self.is_beyond {
            self.room.has_one_beyond.store(false, Ordering::Release);
        }
        self.room.taken.fetch_sub(self.taken, Ordering::AcqRel);
        if self.room.waiting.load(Ordering::Acquire) > 0 {
            self.room.freed.notify_waiters();
        }
    }
}

/// One that waits, counted also when it is cut off.
struct Waiting<'r>(&'r Room);

impl<'r> Waiting<'r> {
    fn new(room: &'r Room) -> Self {
        room.waiting.fetch_add(1, Ordering::AcqRel);
        Self(room)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[test]
    fn ordinary_answers_are_not_counted() {
        let room = Arc::new(Room::default());
        let mut all: Vec<Held> = (0..1_000).map(|_| Held::new(Arc::clone(&room))).collect();

        assert!(all.iter_mut().all(|held| held.hold(FREE_BYTES / 2) && held.hold(FREE_BYTES)));

        assert_eq!(room.taken.load(Ordering::Relaxed), 0);
        assert!(all.iter().all(|held| !held.is_counted()));
    }

    #[test]
    fn above_the_shared_bytes_one_answer_is_read_on() {
        let room = Arc::new(Room::default());
        let [mut one, mut two, mut three] = [(); 3].map(|()| Held::new(Arc::clone(&room)));

        assert!(one.hold(SHARED_BYTES / 2) && two.hold(SHARED_BYTES / 2));
        assert!(two.hold(SHARED_BYTES), "nobody is beyond");
        assert!(two.hold(32 << 20), "it is the one");
        assert!(!one.hold(SHARED_BYTES) && !three.hold(1 << 20));
        assert!(room.taken.load(Ordering::Relaxed) > 32 << 20);
    }

    #[test]
    fn long_streams_in_flight_together_do_not_wait() {
        let room = Arc::new(Room::default());
        let mut all: Vec<Held> = (0..100).map(|_| Held::new(Arc::clone(&room))).collect();

        assert!(all.iter_mut().all(|held| held.hold(FREE_BYTES + EACH_BYTES)), "100 streams of 40,000 tokens so far");
        assert!(!room.has_one_beyond.load(Ordering::Relaxed));

        let ended: Vec<Held> = all.iter_mut().take(60).map(Held::take_over).collect();
        assert!(all[99].hold(1 << 20) && !all[98].hold(1 << 20), "40 are in flight, and the lines of 60 are unwritten");
        drop(ended);
        drop(all);
        assert_eq!(room.open.load(Ordering::Relaxed) + room.taken.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn one_that_waits_goes_on_when_room_comes_or_it_is_the_next_beyond() {
        let room = Arc::new(Room::default());
        let [mut one, mut two, mut three] = [(); 3].map(|()| Held::new(Arc::clone(&room)));
        assert!(one.hold(20 << 20));
        assert!(!two.hold(20 << 20) && !three.hold(1 << 20));

        let is_woken_only_then = {
            let (mut second, mut third) = (pin!(two.wait()), pin!(three.wait()));
            let before = [is_ready(second.as_mut()), is_ready(third.as_mut())];
            drop(one);
            // One of them is beyond now; the other waits on.
            (before, [is_ready(second.as_mut()), is_ready(third.as_mut())])
        };

        assert_eq!(is_woken_only_then, ([false, false], [true, false]));
        drop(two);
        assert!(is_ready(pin!(three.wait())));
        drop(three);
        assert_eq!(room.taken.load(Ordering::Relaxed) + room.waiting.load(Ordering::Relaxed), 0);
        assert!(!room.has_one_beyond.load(Ordering::Relaxed));
    }

    #[test]
    fn random_answers_all_end_and_never_take_more_than_one_beyond_the_shared_bytes() {
        const LARGEST: usize = 32 << 20;
        let seed = 41;
        let mut random = fastrand::Rng::with_seed(seed);
        for case in 0..60 {
            let room = Arc::new(Room::default());
            let answer = |random: &mut fastrand::Rng| (Held::new(Arc::clone(&room)), 0, random.usize(1..=LARGEST));
            let mut all: Vec<(Held, usize, usize)> = (0..random.usize(1..20)).map(|_| answer(&mut random)).collect();
            let (mut turns, overshoot) = (0, all.len() * (500 << 10));
            while !all.is_empty() {
                turns += 1;
                assert!(turns < 1_000_000, "seed {seed}, case {case}: somebody waits for ever");
                let at = random.usize(0..all.len());
                let (held, bytes, whole) = &mut all[at];
                if !is_ready(pin!(held.wait())) {
                    continue;
                }
                *bytes += random.usize(1..400 << 10);
                held.hold(*bytes);
                assert!(room.taken.load(Ordering::Relaxed) <= SHARED_BYTES + LARGEST + overshoot);
                if bytes >= whole {
                    drop(all.swap_remove(at));
                }
            }
            assert_eq!(room.taken.load(Ordering::Relaxed), 0, "seed {seed}, case {case}");
        }
    }

    fn is_ready(future: std::pin::Pin<&mut impl Future>) -> bool {
        matches!(future.poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(_))
    }
}
