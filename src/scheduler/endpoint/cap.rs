//! The server's cap: the highest number of requests that the server allows in flight at once.
//!
//! The program learns about a cap only from refusals. After a first refusal, the server will also refuse some of the
//! other requests in flight. The cap is the number of requests in flight that the server accepts. The server can raise
//! or remove its cap during a run without saying so. Because the cap can rise, the program sometimes sends one request
//! more than the known cap allows. Such a trial ends when the server refuses a request. The wait before the next trial
//! is then twice as long as the last wait. If every request of a full window is answered without a refusal, the real
//! cap is higher than the known cap. The next trial then begins immediately, with twice as many additional requests as
//! this trial.
//!
//! If the cap does not change, the server rejects one request after 1 minute, one after 3, one after 7 and one after 15
//! minutes. After these 15 minutes, the server rejects one request every eight minutes. Rejected requests are not
//! billed. If the server has removed the cap, the run reaches its full speed about twelve round trips after the next
//! trial begins.

use std::time::Duration;

use crate::clock::Instant;

/// `FIRST_WAIT` is the time from the last refusal to the first trial of a higher cap. `LONGEST_WAIT` is the longest
/// time between two trials.
const FIRST_WAIT: Duration = Duration::from_secs(60);
const LONGEST_WAIT: Duration = Duration::from_secs(480);

/// What is known about the server's cap.
#[derive(Debug, Default)]
pub(crate) struct Cap {
    /// The number of requests that the server allows in flight; `None` while no cap is known.
    known: Option<usize>,
    /// The time at which the last group of refusals began. If a request was sent before the group began, the refusal of
    /// this request belongs to the group.
    wave_at: Option<Instant>,
    probe: Option<Probe>,
    /// How many more refusals the last trial can cause. These refusals do not lower the known cap.
    excused: usize,
    wait: Duration,
    next_probe: Instant,
}

/// A trial with more requests in flight than the known cap.
#[derive(Debug)]
struct Probe {
    more: usize,
    /// If this number of answers comes without a refusal, the trial succeeds. The value is `None` until all requests of
    /// the trial are in flight.
    answers_left: Option<usize>,
}

impl Cap {
    /// Returns how many requests are allowed in flight, including the additional requests of a trial.
    pub(crate) fn most(&self) -> usize {
        let more = self.probe.as_ref().map_or(0, |probe| probe.more);
        self.known.map_or(usize::MAX, |known| known + more)
    }

    /// Records that the cap slows the run down: as many requests are in flight as the cap allows, and more could be
    /// sent.
    pub(crate) fn on_full(&mut self) {
        let most = self.most();
        if let Some(probe) = &mut self.probe {
            probe.answers_left.get_or_insert(most);
        }
    }

    /// Records an answer. `is_full` says whether the cap slows the run down. `bound` is the largest window that the run
    /// is allowed to use.
    pub(crate) fn on_answer(&mut self, is_full: bool, bound: usize, now: Instant) {
        let Some(known) = self.known else { return };
        match &mut self.probe {
            None if is_full && now >= self.next_probe => self.probe = Some(Probe::of(1)),
            None => {}
            Some(Probe { answers_left: None, .. }) => {}
            Some(Probe { more, answers_left: Some(left) }) => {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    let (known, more) = (known + *more, *more * 2);
                    self.wait = FIRST_WAIT;
                    self.known = (known < bound).then_some(known);
                    self.probe = self.known.map(|_| Probe::of(more));
                }
            }
        }
    }

    /// Records a refusal of a request that was sent at `sent_at`. `in_flight` is the number of other requests that were
    /// in flight when the refusal came.
    pub(crate) fn on_refusal(&mut self, in_flight: usize, sent_at: Instant, now: Instant) {
        let is_same_wave = self.wave_at.is_some_and(|at| sent_at <= at);
        match (self.probe.take(), self.known) {
            (Some(probe), Some(_)) => {
                self.excused = probe.more - 1;
                self.wave_at = Some(now);
                self.wait = (self.wait * 2).min(LONGEST_WAIT);
            }
            (_, Some(_)) if is_same_wave && self.excused > 0 => self.excused -= 1,
            (_, Some(known)) if is_same_wave => self.known = Some((known - 1).max(1)),
            (_, known) => {
                self.known = Some(known.unwrap_or(usize::MAX).min(in_flight.max(1)));
                self.excused = 0;
                self.wave_at = Some(now);
                self.wait = FIRST_WAIT;
            }
        }
        self.next_probe = now + self.wait;
    }
}

impl Probe {
    fn of(more: usize) -> Self {
        Self { more, answers_left: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: usize = 1000;

    fn capped_at_20() -> Cap {
        let mut cap = Cap::default();
        cap.on_refusal(20, Instant::ZERO, Instant::from_secs(1));
        cap
    }

    /// Simulates one round trip: the window is full, and every request in it is answered.
    fn round_trip(cap: &mut Cap, now: Instant) {
        cap.on_full();
        (0..cap.most().min(BOUND)).for_each(|_| cap.on_answer(true, BOUND, now));
    }

    #[test]
    fn the_cap_is_the_number_of_open_requests_that_are_not_refused() {
        let mut cap = Cap::default();

        cap.on_refusal(50, Instant::ZERO, Instant::from_secs(2));
        (0..10).for_each(|_| cap.on_refusal(40, Instant::ZERO, Instant::from_secs(2)));

        assert_eq!(cap.most(), 40, "ten of those 50 were refused as well");
    }

    #[test]
    fn after_a_refused_try_the_known_cap_applies_again_and_the_next_try_comes_after_twice_the_time() {
        let mut cap = capped_at_20();
        let mut tries = Vec::new();
        for second in 2..2_000 {
            let now = Instant::from_secs(second);
            cap.on_full();
            cap.on_answer(true, BOUND, now);
            if cap.most() > 20 {
                assert_eq!(cap.most(), 21);
                tries.push(second);
                cap.on_refusal(20, now, now);
            }
            assert_eq!(cap.most(), 20);
        }

        assert_eq!(tries, [61, 181, 421, 901, 1381, 1861]);
    }

    #[test]
    fn a_cap_that_was_lifted_is_forgotten_within_a_dozen_round_trips() {
        let mut cap = capped_at_20();

        let trips = (0..20).find(|_| {
            round_trip(&mut cap, Instant::from_secs(100));
            cap.most() == usize::MAX
        });

        assert!(trips.is_some_and(|trips| trips < 12), "{trips:?}");
    }

    #[test]
    fn a_raised_cap_is_found_without_sending_less_than_the_known_cap_allows() {
        let mut cap = capped_at_20();
        let mut now = Instant::from_secs(100);
        for _ in 0..200 {
            now = now + Duration::from_secs(4);
            let refused = cap.most().saturating_sub(30);
            match refused {
                0 => round_trip(&mut cap, now),
                _ => (0..refused).for_each(|_| cap.on_refusal(30, now, now)),
            }
            assert!(cap.most() >= 20);
        }

        assert!((29..=31).contains(&cap.most()), "{}", cap.most());
    }

    #[test]
    fn nothing_is_tried_while_the_cap_does_not_hold_the_run_back() {
        let mut cap = capped_at_20();

        (2..2_000).for_each(|second| cap.on_answer(false, BOUND, Instant::from_secs(second)));

        assert_eq!(cap.most(), 20);
    }
}
