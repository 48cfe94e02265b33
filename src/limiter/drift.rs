//! Learns which share of a limit is used by other clients.
//!
//! Our own count says how many tokens should remain, and a response header says how many really remain. In the long
//! run, the difference between these two numbers is the amount that other clients took. All differences are added up,
//! and an old difference counts less than a new one. A difference that comes from noise or a single correction is
//! canceled by a later difference with the opposite sign. If other clients use a steady share of the limit, this share
//! is found within two time constants.
//!
//! If there are no new differences, the learned share of a token limit falls by itself. Response headers round token
//! counts, and they show no level below zero. So the differences between our own count and the server's count contain
//! errors. If the program leaves too much to other clients, the server's bucket becomes full, and its refill is lost.
//! If the burst is small, response headers do not show that the bucket had room. If the learned share did not fall, an
//! error at the start of a run would slow down the whole run. The learned share of the request limit does not fall by
//! itself, because response headers report the exact number of requests.

use std::time::Duration;

use crate::clock::Instant;

/// The time constant in seconds. The share of other clients is the sum of the differences, divided by the amount that
/// the limit allows within the time constant.
const TIME_CONSTANT_SECS: f64 = 10.0;
/// The largest share of a limit that is left to other clients. So the run always keeps at least a tenth of the limit.
const MOST: f64 = 0.9;
/// How long the share takes to fall to 1/e of its value if there are no new differences.
const FADE: Duration = Duration::from_secs(60);
/// A share below this value is noise and counts as zero.
const NOISE: f64 = 0.01;

/// The share of one limit that other clients use.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Drift {
    share: f64,
    faded_at: Instant,
}

impl Drift {
    /// Returns the share of the limit that this program leaves to other clients: 0 to 0.9.
    pub(super) fn share(&self) -> f64 {
        if self.share < NOISE { 0.0 } else { self.share }
    }

    /// Lowers the share of other clients according to the time since the last call.
    pub(super) fn fade(&mut self, now: Instant) {
        self.share *= (-now.since(self.faded_at).as_secs_f64() / FADE.as_secs_f64()).exp();
        self.faded_at = now;
    }

    /// Call this function if the server had fewer tokens left than our own count says. `gone` is the difference. `gone`
    /// is negative if the server had more tokens left than our own count says. `limit` is the limit per minute.
    pub(super) fn note(&mut self, gone: i64, limit: u32) {
        if gone != 0 {
            let worth = gone as f64 * 60.0 / f64::from(limit) / TIME_CONSTANT_SECS;
            self.share = (self.share + worth.clamp(-0.1, 0.1)).clamp(0.0, MOST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_share_is_found_within_half_a_minute() {
        let (mut drift, limit) = (Drift::default(), 6_000);
        for _ in 0..300 {
            // A response head comes every tenth of a second. Other clients use 30 % of a limit of 100 per second.
            let gone = (0.3 - drift.share()) * 100.0 / 10.0;
            drift.note(gone.round() as i64, limit);
        }

        assert!((0.2..=0.32).contains(&drift.share()), "{}", drift.share());
    }

    #[test]
    fn a_share_without_new_differences_fades() {
        let mut drift = Drift::default();
        (0..9).for_each(|_| drift.note(1_000, 6_000));
        assert!(drift.share() > 0.8);

        (1..=1_200).for_each(|quarter| drift.fade(Instant::from_millis(quarter * 250)));

        assert_eq!(drift.share(), 0.0, "five minutes are over");
    }

    #[test]
    fn a_correction_with_the_opposite_sign_removes_the_share_again() {
        let mut drift = Drift::default();

        (0..5).for_each(|_| drift.note(100, 6_000));
        assert!(drift.share() > 0.3);
        (0..5).for_each(|_| drift.note(-100, 6_000));

        assert_eq!(drift.share(), 0.0);
    }
}
