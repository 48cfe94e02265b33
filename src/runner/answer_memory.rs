//! Memory for answers: this file limits how many bytes of answers are in memory at once.
//!
//! An answer can be tens of megabytes long, and a broken or hostile server can send many such answers. For this reason,
//! the bytes of all answers in memory are added up. The limit for the sum is [`SHARED_BYTES`]. With many requests in
//! flight the limit is higher: [`EACH_BYTES`] per request.
//!
//! Below the limit, every answer is read when it comes, so slow streams of long answers don't wait for each other.
//! Above the limit, the program continues to read only one answer, however large this answer is. This answer is called
//! exempt, because the limit does not apply to it. All other answers wait until memory is free. The buffers of the
//! network then fill up, so the servers have to stop sending these answers. In this way, even answers of the largest
//! size succeed, one after the other.
//!
//! - Ordinary answers are not counted, because the first [`FREE_BYTES`] of each answer are free.
//! - An answer keeps its share of the memory until its line has been passed to the operating system. So lines that wait
//!   for a slow reader are counted as well.
//! - No answer waits forever, because the exempt answer and the waiting answers all have a time limit.
//!
//! Rejected:
//! - If each request in flight had a fixed share and all answers had the largest size, memory would grow with `-c`.
//! - If the answers together used too much memory, the program could abort the largest answer. But then a paid answer
//!   would be lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// How many bytes of answers can be in memory before answers wait for each other. With this value, a run with 16
/// requests in flight needs at most 64 MB, even if the server is hostile. If this constant were 8, 16 or 32 MiB, such a
/// run would need more memory. The 64 MB contain one answer of 32 MiB, the 4 MiB of this constant, and the bytes that
/// the client reads ahead.
const SHARED_BYTES: usize = 4 << 20;
/// The first 16 requests in flight add nothing to the limit. Each further request adds this many bytes. Each byte of a
/// stream is counted twice, and on average only half of the bytes of a stream have arrived. So with this value, streams
/// of up to 80,000 tokens don't wait.
const EACH_BYTES: usize = 256 << 10;
/// The first `FREE_BYTES` bytes of each answer are not counted. Nearly all answers are shorter than this.
const FREE_BYTES: usize = 64 << 10;
/// The bytes of an answer are counted in units of this size.
const PIECE_BYTES: usize = 64 << 10;

/// The memory for all answers of a run, with the number of bytes in use.
#[derive(Default)]
pub(super) struct AnswerMemory {
    taken: AtomicUsize,
    /// The number of requests in flight.
    in_flight: AtomicUsize,
    /// Whether an answer is exempt: an exempt answer is read even when the limit is reached.
    is_exemption_given: AtomicBool,
    waiting: AtomicUsize,
    freed: Notify,
}

/// The part of the memory that one answer uses. Dropping this value gives the memory back.
pub(super) struct AnswerShare {
    memory: Arc<AnswerMemory>,
    /// The number of bytes that are counted for this answer.
    taken: usize,
    /// Whether this answer is exempt: an exempt answer is read even when the limit is reached.
    is_exempt: bool,
    is_in_flight: bool,
}

impl std::fmt::Debug for AnswerShare {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AnswerShare").field("taken", &self.taken).finish_non_exhaustive()
    }
}

impl AnswerShare {
    /// Returns the share of the memory for an answer that has not begun to arrive.
    pub(super) fn new(memory: Arc<AnswerMemory>) -> Self {
        memory.in_flight.fetch_add(1, Ordering::Relaxed);
        Self { memory, taken: 0, is_exempt: false, is_in_flight: true }
    }

    /// Hands the share over to the code that keeps the answer from now on. An empty share stays in `self`. After this
    /// call, the request no longer counts as in flight.
    pub(super) fn hand_over(&mut self) -> Self {
        self.end_flight();
        let nothing = Self { memory: Arc::clone(&self.memory), taken: 0, is_exempt: false, is_in_flight: false };
        std::mem::replace(self, nothing)
    }

    /// Changes the size of the answer to `bytes` and takes the memory for it. Returns `true` if more of the answer can
    /// be read immediately. If the result is `false`, call [`AnswerShare::wait`] before reading more.
    #[inline]
    pub(super) fn grow_to(&mut self, bytes: usize) -> bool {
        bytes <= FREE_BYTES + self.taken || self.take(bytes)
    }

    /// Waits until the caller is allowed to read more of the answer.
    pub(super) async fn wait(&mut self) {
        let memory = Arc::clone(&self.memory);
        let _waiting = Waiting::new(&memory);
        loop {
            let freed = memory.freed.notified();
            // The future `freed` is created before this check. So if memory becomes free after the check, the future
            // still wakes.
            if self.may_read() {
                return;
            }
            freed.await;
        }
    }

    #[cold]
    fn take(&mut self, bytes: usize) -> bool {
        let wanted = (bytes - FREE_BYTES).next_multiple_of(PIECE_BYTES);
        self.memory.taken.fetch_add(wanted - self.taken, Ordering::AcqRel);
        self.taken = wanted;
        self.may_read()
    }

    fn may_read(&mut self) -> bool {
        if self.is_exempt || self.memory.taken.load(Ordering::Acquire) <= self.memory.shared_bytes() {
            return true;
        }
        self.is_exempt = !self.memory.is_exemption_given.swap(true, Ordering::AcqRel);
        self.is_exempt
    }

    fn end_flight(&mut self) {
        if std::mem::take(&mut self.is_in_flight) {
            self.memory.in_flight.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl AnswerMemory {
    fn shared_bytes(&self) -> usize {
        SHARED_BYTES.max(self.in_flight.load(Ordering::Relaxed).saturating_mul(EACH_BYTES))
    }
}

impl Drop for AnswerShare {
    fn drop(&mut self) {
        self.end_flight();
        if self.taken == 0 {
            return;
        }
        if self.is_exempt {
            self.memory.is_exemption_given.store(false, Ordering::Release);
        }
        self.memory.taken.fetch_sub(self.taken, Ordering::AcqRel);
        if self.memory.waiting.load(Ordering::Acquire) > 0 {
            self.memory.freed.notify_waiters();
        }
    }
}

/// An answer that waits for memory. The answer counts as waiting until this value is dropped. The value is also dropped
/// when the task of the answer is aborted.
struct Waiting<'m>(&'m AnswerMemory);

impl<'m> Waiting<'m> {
    fn new(memory: &'m AnswerMemory) -> Self {
        memory.waiting.fetch_add(1, Ordering::AcqRel);
        Self(memory)
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
        let memory = Arc::new(AnswerMemory::default());
        let mut all: Vec<AnswerShare> = (0..1_000).map(|_| AnswerShare::new(Arc::clone(&memory))).collect();

        assert!(all.iter_mut().all(|share| share.grow_to(FREE_BYTES / 2) && share.grow_to(FREE_BYTES)));

        assert_eq!(memory.taken.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn above_the_limit_only_one_answer_is_read() {
        let memory = Arc::new(AnswerMemory::default());
        let [mut one, mut two, mut three] = [(); 3].map(|()| AnswerShare::new(Arc::clone(&memory)));

        assert!(one.grow_to(SHARED_BYTES / 2) && two.grow_to(SHARED_BYTES / 2));
        assert!(two.grow_to(SHARED_BYTES), "none was exempt");
        assert!(two.grow_to(32 << 20), "it is exempt");
        assert!(!one.grow_to(SHARED_BYTES) && !three.grow_to(1 << 20));
        assert!(memory.taken.load(Ordering::Relaxed) > 32 << 20);
    }

    #[test]
    fn long_streams_in_flight_together_do_not_wait() {
        let memory = Arc::new(AnswerMemory::default());
        let mut all: Vec<AnswerShare> = (0..100).map(|_| AnswerShare::new(Arc::clone(&memory))).collect();

        assert!(
            all.iter_mut().all(|share| share.grow_to(FREE_BYTES + EACH_BYTES)),
            "100 streams of 40,000 tokens so far"
        );
        assert!(!memory.is_exemption_given.load(Ordering::Relaxed));

        let ended: Vec<AnswerShare> = all.iter_mut().take(60).map(AnswerShare::hand_over).collect();
        assert!(
            all[99].grow_to(1 << 20) && !all[98].grow_to(1 << 20),
            "40 are in flight, and the lines of 60 are unwritten"
        );
        drop(ended);
        drop(all);
        assert_eq!(memory.in_flight.load(Ordering::Relaxed) + memory.taken.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn an_answer_that_waits_continues_when_memory_is_freed_or_it_becomes_exempt() {
        let memory = Arc::new(AnswerMemory::default());
        let [mut one, mut two, mut three] = [(); 3].map(|()| AnswerShare::new(Arc::clone(&memory)));
        assert!(one.grow_to(20 << 20));
        assert!(!two.grow_to(20 << 20) && !three.grow_to(1 << 20));

        let is_woken_only_then = {
            let (mut second, mut third) = (pin!(two.wait()), pin!(three.wait()));
            let before = [is_ready(second.as_mut()), is_ready(third.as_mut())];
            drop(one);
            // From here on, one of the two answers is exempt from the limit, and the other answer still waits.
            (before, [is_ready(second.as_mut()), is_ready(third.as_mut())])
        };

        assert_eq!(is_woken_only_then, ([false, false], [true, false]));
        drop(two);
        assert!(is_ready(pin!(three.wait())));
        drop(three);
        assert_eq!(memory.taken.load(Ordering::Relaxed) + memory.waiting.load(Ordering::Relaxed), 0);
        assert!(!memory.is_exemption_given.load(Ordering::Relaxed));
    }

    #[test]
    fn random_answers_all_end_and_take_at_most_one_answer_more_than_the_limit() {
        const LARGEST: usize = 32 << 20;
        let seed = 41;
        let mut random = fastrand::Rng::with_seed(seed);
        for case in 0..60 {
            let memory = Arc::new(AnswerMemory::default());
            let answer =
                |random: &mut fastrand::Rng| (AnswerShare::new(Arc::clone(&memory)), 0, random.usize(1..=LARGEST));
            let mut all: Vec<(AnswerShare, usize, usize)> =
                (0..random.usize(1..20)).map(|_| answer(&mut random)).collect();
            let (mut turns, overshoot) = (0, all.len() * (500 << 10));
            while !all.is_empty() {
                turns += 1;
                assert!(turns < 1_000_000, "seed {seed}, case {case}: somebody waits for ever");
                let at = random.usize(0..all.len());
                let (share, bytes, whole) = &mut all[at];
                if !is_ready(pin!(share.wait())) {
                    continue;
                }
                *bytes += random.usize(1..400 << 10);
                share.grow_to(*bytes);
                assert!(memory.taken.load(Ordering::Relaxed) <= SHARED_BYTES + LARGEST + overshoot);
                if bytes >= whole {
                    drop(all.swap_remove(at));
                }
            }
            assert_eq!(memory.taken.load(Ordering::Relaxed), 0, "seed {seed}, case {case}");
        }
    }

    fn is_ready(future: std::pin::Pin<&mut impl Future>) -> bool {
        matches!(future.poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(_))
    }
}
