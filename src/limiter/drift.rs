//! How much of a limit other clients take.
//!
//! Our own count says how many tokens should remain, and a head says how many really remain. In the long run, the
//! difference is what other clients took. The differences are summed, and older ones fade with a time constant. After
//! noise or a single correction, a difference with the opposite sign follows, so the two cancel out. A steady share is
//! found within two time constants.

/// The share of the other clients is the sum of the differences, divided by what the limit gives in this many seconds.
const TIME_CONSTANT_SECS: f64 = 10.0;
/// The largest share that is left to other clients. The run always gets the rest.
const MOST: f64 = 0.9;
/// A share below this is noise and counts as zero.
const NOISE: f64 = 0.01;

/// The share of one limit that other clients use.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Drift {
    share: f64,
}

impl Drift {
    /// Returns the share that is left to other clients, 0 to 0.9.
    pub(super) fn share(&self) -> f64 {
        if self.share < NOISE { 0.0 } else { self.share }
    }

    /// Notes that the server had `gone` tokens less than our own count. `gone` is negative when the server had more.
    /// `limit` is per minute.
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
            // A head comes every tenth of a second. Other clients use 30 % of a limit of 100 a second.
            let gone = (0.3 - drift.share()) * 100.0 / 10.0;
            drift.note(gone.round() as i64, limit);
        }

        assert!((0.2..=0.32).contains(&drift.share()), "{}", drift.share());
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
