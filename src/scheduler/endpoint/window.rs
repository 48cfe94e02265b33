//! The concurrency window: how many requests are allowed in flight at once.
//!
//! The window grows with each answer that comes while the window is full. At first the window grows by three per
//! answer, so it is four times as large after a round trip. After the window was too large for the first time, it grows
//! by one per answer, so its size doubles in a round trip. In this way, the window reaches the size that a rate limit
//! needs (rate times latency), although the program never computes this size. If no rate limit slows the run down, the
//! window grows only as long as throughput grows with it. If more than a fifth of the answers report an overload, the
//! window is cut, at most once in a round trip. Within a minute after a cut, the window returns to nine tenths of its
//! last good size. An overload can come before the program knows how large the window should be. In this case, after
//! eight consecutive answered requests, the window grows again as it did before the cut. The server can reject a
//! request because too many requests are in flight. After such a refusal, the window is at most the number of requests
//! that are still in flight ([`Cap`]).
//!
//! A running sum shows whether more than a fifth of the answers report an overload. An overload adds four to the sum,
//! and an answer without an overload subtracts one. The sum never falls below zero. If fewer than a fifth of the
//! answers report an overload, the sum stays near zero. If more than a fifth of the answers report an overload, the sum
//! grows. The window is cut when the sum reaches a threshold: 32 or half of the window's size, whichever is larger.
//! Eight consecutive overloads cause a cut. The window is also cut after 32 answers if 40 % of them report an overload.
//! If 10 % of the answers report an overload at random, the window is cut only once in tens of thousands of answers.
//!
//! Rejected:
//! - A window whose size is the measured rate times the measured latency. Such a window reacts too late when the rate
//!   or the latency changes. Such a window also shrinks at times when the server would accept a burst of requests.
//! - The share of overloads in the last 20 answers is too inexact to be a reason for a cut. If 10 % of all answers
//!   report an overload at random, the share of overloads is above a fifth in one of 25 samples. In runs whose
//!   overloads were random and harmless, the window was too small most of the time. Such runs took 1.19 to 1.44 times
//!   the shortest possible time.

use std::time::Duration;

use crate::clock::Instant;

use super::cap::Cap;

/// The first size of an automatic window.
const FIRST: usize = 16;
/// The number of consecutive overloads that cause a cut. For a large window, this number is the size of the window
/// divided by `EXCESS_PART`.
const EXCESS: usize = 8;
const EXCESS_PART: usize = 8;
/// How much an overload adds to the running sum. An answer without an overload subtracts one from the sum.
const OVERLOAD: usize = 4;
/// How much an answer adds to the size of the window: `FIRST_GROWTH` until a size is known to be too large, and
/// `GROWTH` from then on. If `FIRST_GROWTH` were 1, a file of 200 rows would need 20 % more round trips.
const FIRST_GROWTH: usize = 3;
const GROWTH: usize = 1;
/// The part of the window's size that remains after a cut.
const CUT: f64 = 0.7;
/// If no good size is known when the window is cut, the window grows again after `CALM` consecutive answers without an
/// overload. If the window is larger than `CALM`, the required number of answers is the size of the window.
const CALM: usize = 8;
/// The time from a cut until the window is back at nine tenths of its last good size.
const RECOVERY: Duration = Duration::from_secs(60);
/// If growth did not raise throughput, the window waits this long before it grows again.
const REPROBE: Duration = Duration::from_secs(5);

/// The concurrency window: the number of requests that are allowed in flight.
#[derive(Debug)]
pub struct Window {
    size: usize,
    most: usize,
    is_fixed: bool,
    growth: usize,
    /// The running sum: an overload adds [`OVERLOAD`], an answer without an overload subtracts one, and the sum never
    /// falls below zero.
    excess: usize,
    /// When the last overload was reported.
    overloaded_at: Instant,
    /// The number of requests that were sent and answered after the last overload.
    calm: usize,
    /// Whether the program has already found a window size that is large enough or too large. While this field is
    /// false, a cut does not slow down the later growth of the window.
    is_known: bool,
    /// Whether overloads have cut the window.
    was_cut: bool,
    recovery: Option<Recovery>,
    no_cut_until: Instant,
    cap: Cap,
    epoch: Epoch,
}

/// How the window returns to its former size after a cut.
#[derive(Clone, Copy, Debug)]
struct Recovery {
    from: usize,
    to: usize,
    since: Instant,
}

/// A measurement of throughput at one window size, to see whether growth helps.
#[derive(Debug, Default)]
struct Epoch {
    since: Instant,
    answers: usize,
    /// The window's size when the epoch (the measurement) began. The epoch ends after `goal` answers, but never before
    /// 32 answers.
    goal: usize,
    was_full: bool,
    last: Option<(usize, f64)>,
    settled_until: Option<Instant>,
}

impl Window {
    /// Returns a window with the fixed size `size`, or 1 if `size` is 0.
    pub fn fixed(size: usize) -> Self {
        Self { is_fixed: true, ..Self::sized(size.max(1), size.max(1)) }
    }

    /// Returns a window that begins at 16 requests and grows as needed, up to `most`.
    pub fn auto(most: usize) -> Self {
        Self::sized(FIRST.min(most.max(1)), most.max(1))
    }

    fn sized(size: usize, most: usize) -> Self {
        Self {
            size,
            most,
            is_fixed: false,
            growth: FIRST_GROWTH,
            excess: 0,
            overloaded_at: Instant::ZERO,
            calm: 0,
            is_known: false,
            was_cut: false,
            recovery: None,
            no_cut_until: Instant::ZERO,
            cap: Cap::default(),
            epoch: Epoch::default(),
        }
    }

    /// Returns a new window with the same bounds as this window.
    pub(crate) fn anew(&self) -> Self {
        if self.is_fixed { Self::fixed(self.size) } else { Self::auto(self.most) }
    }

    /// Takes over the bounds of `other`, a window that was made from the changed settings. A fixed size replaces the
    /// learned size. If the size of `other` is not fixed, the learned size stays, but it is at most the new largest
    /// size.
    pub(crate) fn adopt(&mut self, other: &Self) {
        self.most = other.most;
        self.is_fixed = other.is_fixed;
        self.size = if other.is_fixed { other.size } else { self.size.min(other.most) };
        self.recovery = None;
        self.cap = Cap::default();
        self.epoch = Epoch::default();
    }

    /// Returns whether this window has the same bounds as `other`.
    pub(crate) fn has_bounds_of(&self, other: &Self) -> bool {
        (self.most, self.is_fixed) == (other.most, other.is_fixed) && (!self.is_fixed || self.size == other.size)
    }

    /// Returns the current size of the window, in requests.
    pub fn size(&self) -> usize {
        self.size.min(self.cap.most())
    }

    /// Returns the largest size that the window can grow to, in requests.
    pub fn most(&self) -> usize {
        self.most
    }

    /// Records that more requests would be sent if the window were larger.
    pub(crate) fn on_full(&mut self) {
        self.epoch.was_full = true;
        if self.is_capped() {
            self.cap.on_full();
        }
    }

    /// Records an answer that does not report an overload. The answered request was sent at `sent_at`.
    pub(crate) fn on_answer(&mut self, sent_at: Instant, now: Instant) {
        self.excess = self.excess.saturating_sub(1);
        // A server takes less time to report an overload than to answer a request. So answers to requests that were
        // sent before the last overload do not show that the overload has ended.
        if sent_at >= self.overloaded_at {
            self.calm += 1;
        }
        self.recover(now);
        self.cap.on_answer(self.is_capped() && self.epoch.was_full, self.most, now);
        if self.is_fixed || self.recovery.is_some() {
            return;
        }
        self.epoch.answers += 1;
        if self.epoch.was_full && !self.is_settled(now) {
            self.size = (self.size + self.growth).min(self.most.min(self.cap.most()));
        }
        if self.epoch.answers >= self.epoch.goal.max(32) {
            self.end_epoch(now);
        }
    }

    /// Records an answer that reports an overload. `sent_at` is the instant at which the request of this answer was
    /// sent. Returns whether the window was cut.
    pub(crate) fn on_overload(&mut self, sent_at: Instant, now: Instant) -> bool {
        (self.calm, self.overloaded_at) = (0, now);
        if now < self.no_cut_until {
            return false;
        }
        self.excess += OVERLOAD;
        let cuts = self.excess >= EXCESS.max(self.size() / EXCESS_PART) * OVERLOAD;
        if cuts {
            self.cut_to((self.size() as f64 * CUT) as usize, sent_at, now);
        }
        cuts
    }

    /// Records that the server rejected a request because too many requests were in flight. The rejected request was
    /// sent at `sent_at`, and `in_flight` other requests were in flight when the refusal came.
    ///
    /// From time to time after a refusal, the window tests whether the server allows more requests.
    pub(crate) fn on_concurrency_refusal(&mut self, in_flight: usize, sent_at: Instant, now: Instant) {
        self.cap.on_refusal(in_flight, sent_at, now);
        self.growth = GROWTH;
        self.is_known = true;
        self.recovery = None;
        if !self.is_fixed {
            self.size = self.size.min(self.cap.most());
        }
    }

    /// Returns whether the window has reached the server's cap on requests in flight.
    fn is_capped(&self) -> bool {
        self.size >= self.cap.most()
    }

    /// Restarts the window with a small size after an outage. With each answer, the window grows towards its former
    /// size.
    pub(crate) fn restart(&mut self, now: Instant) {
        let to = self.recovery.map_or(self.size, |recovery| recovery.to.max(self.size));
        self.recovery = Some(Recovery { from: 2.min(to), to, since: now });
        self.size = 2.min(to);
        self.excess = 0;
        self.calm = 0;
    }

    fn cut_to(&mut self, size: usize, sent_at: Instant, now: Instant) {
        let to = self.recovery.map_or(self.size, |recovery| recovery.to);
        // If the window has recovered from an earlier cut and is cut again, its own size may cause the overload.
        self.is_known |= self.recovery.is_none() && self.was_cut;
        self.was_cut = true;
        if self.is_known {
            self.growth = GROWTH;
        }
        self.size = size.max(1);
        self.recovery = Some(Recovery { from: self.size, to, since: now });
        // Answers to requests that were sent before the cut do not show whether the new size is good.
        self.no_cut_until = now + now.since(sent_at).max(Duration::from_secs(1));
        self.excess = 0;
    }

    fn recover(&mut self, now: Instant) {
        let Some(Recovery { from, to, since }) = self.recovery else { return };
        let goal = (to * 9).div_ceil(10).max(from);
        let share = now.since(since).as_secs_f64() / RECOVERY.as_secs_f64();
        self.size = (from + ((goal - from) as f64 * share) as usize).clamp(self.size.min(goal), goal);
        let is_calm = !self.is_known && self.calm >= CALM.max(self.size);
        if share >= 1.0 || is_calm {
            if self.is_fixed {
                self.size = to;
            }
            self.recovery = None;
            self.epoch = Epoch { since: now, goal: self.size, ..Epoch::default() };
        }
    }

    fn is_settled(&self, now: Instant) -> bool {
        self.epoch.settled_until.is_some_and(|until| now < until)
    }

    /// Compares the current throughput with the earlier throughput, which was measured when the window was clearly
    /// smaller. If the throughput did not grow enough, the window returns to its earlier size.
    fn end_epoch(&mut self, now: Instant) {
        let seconds = now.since(self.epoch.since).as_secs_f64();
        let rate = self.epoch.answers as f64 / seconds.max(1e-9);
        let was_full = std::mem::take(&mut self.epoch.was_full);
        self.epoch.since = now;
        self.epoch.answers = 0;
        self.epoch.goal = self.size;
        if !was_full {
            self.epoch.last = None;
            self.is_known = true;
            return;
        }
        match self.epoch.last {
            Some((size, last)) if self.size * 2 >= size * 3 => {
                if rate < last * 1.1 {
                    self.growth = GROWTH;
                    self.is_known = true;
                    self.size = size;
                    self.epoch.last = None;
                    self.epoch.settled_until = Some(now + REPROBE);
                } else {
                    self.epoch.last = Some((self.size, rate));
                }
            }
            Some(_) => {}
            None => self.epoch.last = Some((self.size, rate)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(window: &mut Window, count: usize, now: Instant) {
        for _ in 0..count {
            window.on_full();
            window.on_answer(now, now);
        }
    }

    #[test]
    fn a_window_that_holds_the_run_back_is_four_times_as_large_after_a_round_trip() {
        let mut window = Window::auto(1000);

        answers(&mut window, 16, Instant::from_secs(1));

        assert_eq!(window.size(), 64);
    }

    #[test]
    fn a_window_that_does_not_hold_the_run_back_keeps_its_size() {
        let mut window = Window::auto(1000);

        (0..100).for_each(|_| window.on_answer(Instant::from_secs(1), Instant::from_secs(1)));

        assert_eq!(window.size(), 16);
    }

    /// Reports overloads of requests that were sent at `at`, until the window is cut.
    fn cut(window: &mut Window, at: Instant) {
        assert!((0..100).any(|_| window.on_overload(at, at)), "100 overloads cut nothing");
    }

    #[test]
    fn after_an_early_cut_the_window_grows_again_when_requests_are_answered() {
        let mut window = Window::auto(1000);
        cut(&mut window, Instant::from_secs(1));
        assert_eq!(window.size(), 11);

        answers(&mut window, 11, Instant::from_secs(4));
        answers(&mut window, 20, Instant::from_secs(5));

        assert_eq!(window.size(), 11 + 20 * FIRST_GROWTH);
    }

    #[test]
    fn answers_to_requests_from_before_an_overload_do_not_let_the_window_grow_again() {
        let mut window = Window::auto(1000);
        cut(&mut window, Instant::from_secs(3));

        for _ in 0..100 {
            window.on_full();
            window.on_answer(Instant::from_secs(2), Instant::from_secs(4));
        }

        assert!(window.size() < 16, "{}", window.size());
    }

    #[test]
    fn after_a_second_cut_the_window_needs_a_minute() {
        let mut window = Window::auto(1000);
        cut(&mut window, Instant::from_secs(1));
        answers(&mut window, 31, Instant::from_secs(5));
        let size = window.size();
        cut(&mut window, Instant::from_secs(10));

        answers(&mut window, 500, Instant::from_secs(40));
        assert!(window.size() < size * 9 / 10, "{} of {size}", window.size());
        answers(&mut window, 1, Instant::from_secs(70));

        assert_eq!(window.size(), (size * 9).div_ceil(10));
    }

    #[test]
    fn growth_of_the_window_is_undone_if_throughput_does_not_grow() {
        let mut window = Window::auto(1000);
        // The server answers a thousand requests per second, whatever the size of the window is.
        let mut now = 0;
        for _ in 0..3_000 {
            now += 1;
            answers(&mut window, 1, Instant::from_millis(now));
        }

        assert!(window.size() < 200, "settled at {}", window.size());
    }

    #[test]
    fn overloads_in_a_fifth_of_the_answers_cut_nothing_and_more_overloads_cut_once_in_a_round_trip() {
        let mut window = Window::fixed(100);
        let now = Instant::from_secs(10);
        for _ in 0..100 {
            assert!(!window.on_overload(Instant::from_secs(8), now));
            (0..4).for_each(|_| window.on_answer(now, now));
        }
        assert_eq!(window.size(), 100);

        let cuts = (0..40).filter(|_| window.on_overload(Instant::from_secs(8), now)).count();

        assert_eq!((cuts, window.size()), (1, 70));
    }

    #[test]
    fn random_overloads_in_10_percent_of_the_answers_cut_nothing_and_in_40_percent_cut_soon() {
        for seed in 0..50 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut answers_to_a_cut = |share: f64| {
                let mut window = Window::fixed(16);
                (1..=2_000).find(|at| {
                    let now = Instant::from_millis(at * 50);
                    if rng.f64() < share {
                        return window.on_overload(now, now);
                    }
                    window.on_answer(now, now);
                    false
                })
            };

            assert_eq!(answers_to_a_cut(0.1), None, "seed {seed}");
            assert!(answers_to_a_cut(0.4).is_some_and(|answers| answers <= 100), "seed {seed}");
        }
    }

    #[test]
    fn a_cut_window_is_back_at_nine_tenths_within_a_minute() {
        let mut window = Window::fixed(100);
        (0..20).for_each(|_| {
            window.on_overload(Instant::ZERO, Instant::from_secs(1));
        });
        assert_eq!(window.size(), 70);

        window.on_answer(Instant::from_secs(31), Instant::from_secs(31));
        let half_way = window.size();
        window.on_answer(Instant::from_secs(60), Instant::from_secs(60));

        assert_eq!(half_way, 80);
        assert!((89..=90).contains(&window.size()), "{}", window.size());
    }

    #[test]
    fn a_concurrency_refusal_bounds_the_window_by_the_open_requests() {
        let mut window = Window::auto(1000);
        answers(&mut window, 84, Instant::from_secs(1));

        window.on_concurrency_refusal(50, Instant::ZERO, Instant::from_secs(2));
        answers(&mut window, 500, Instant::from_secs(9));

        assert_eq!(window.size(), 50);
    }

    #[test]
    fn a_fixed_window_has_its_full_size_again_after_a_cap_is_lifted() {
        let mut window = Window::fixed(100);
        window.on_concurrency_refusal(20, Instant::ZERO, Instant::from_secs(1));
        assert_eq!(window.size(), 20);

        answers(&mut window, 500, Instant::from_secs(100));

        assert_eq!(window.size(), 100);
    }
}
