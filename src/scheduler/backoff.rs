//! The delays before the next try of a row.

use std::time::Duration;

use crate::limiter::LONGEST_UNSAID_HOLD;

/// Exponential backoff with jitter (a random part of each delay). The first delay has full jitter: it is between zero
/// and its ceiling. The ceiling doubles with each try, and each later delay is longer than the previous ceiling. So the
/// delays of a row grow, and a server that fails gets fewer and fewer requests.
///
/// Source: AWS Architecture Blog, "Exponential Backoff And Jitter" (2015). The tests in that article found that full
/// jitter needs the fewest calls. With full jitter alone, more than a quarter of the second delays would not be longer
/// than the first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    base: Duration,
    most: Duration,
}

/// The shortest possible delay, except for the first delay, as a share of its ceiling. The previous ceiling is half of
/// this ceiling, so the delay is at least a tenth longer than the previous ceiling.
const LEAST_SHARE: f64 = 0.55;

impl Backoff {
    /// The delays after server faults and broken connections.
    pub(super) const TRANSIENT: Self = Self { base: Duration::from_millis(500), most: Duration::from_secs(30) };
    /// The delays after an overload of an endpoint that still answers other requests.
    pub(super) const BUSY: Self = Self { base: Duration::from_millis(500), most: Duration::from_secs(2) };
    /// The delays after all other overload, and after refusals because too many requests are in flight.
    pub(super) const OVERLOADED: Self = Self { base: Duration::from_secs(1), most: Duration::from_secs(60) };

    /// The delays of a row that the API has rejected before, if the server does not say how long to wait. Each of these
    /// delays begins when the hold of the pool (its wait after a refusal) ends.
    pub(super) const REFUSED_AGAIN: Self = Self { base: Duration::from_secs(1), most: Duration::from_secs(30) };

    /// Returns `delay`, or the longest delay of this backoff if `delay` is longer.
    pub(super) fn at_most(&self, delay: Duration) -> Duration {
        delay.min(self.most)
    }

    /// Returns the delay before the next try, after `tries` tries have failed. The delay is never shorter than the wait
    /// that the server asks for.
    pub(super) fn delay(&self, tries: u32, asked: Option<Duration>, rng: &mut fastrand::Rng) -> Duration {
        let ceiling = self.base.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(self.most);
        let floor = if tries > 1 { LEAST_SHARE } else { 0.0 };
        let jittered = ceiling.mul_f64(floor + (1.0 - floor) * rng.f64());
        match asked {
            Some(asked) => asked + jittered.mul_f64(0.1),
            None => jittered,
        }
    }
}

/// Adds jitter (a random time) to a hold. During a hold, which follows a refusal, a pool sends nothing. Jitter makes
/// the hold longer by at most a tenth, and by at most 5 s. Jitter never makes the hold shorter.
pub(super) fn jittered_hold(wait: Duration, rng: &mut fastrand::Rng) -> Duration {
    wait + wait.mul_f64(0.1 * rng.f64()).min(Duration::from_secs(5))
}

/// Adds jitter (a random time) to a hold after a refusal that does not say how long to wait. The result is never longer
/// than [`LONGEST_UNSAID_HOLD`].
pub(super) fn jittered_unsaid_hold(wait: Duration, rng: &mut fastrand::Rng) -> Duration {
    jittered_hold(wait, rng).min(LONGEST_UNSAID_HOLD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delays_of_a_row_grow_until_the_longest() {
        for seed in 0..1000 {
            let mut rng = fastrand::Rng::with_seed(seed);
            for (backoff, most) in [(Backoff::TRANSIENT, 6), (Backoff::BUSY, 3), (Backoff::OVERLOADED, 6)] {
                let delays: Vec<_> = (1..=most).map(|tries| backoff.delay(tries, None, &mut rng)).collect();

                assert!(delays.is_sorted_by(|before, after| before.mul_f64(1.1) <= *after), "seed {seed}: {delays:?}");
            }
        }
    }

    #[test]
    fn a_delay_is_never_shorter_than_the_server_asks() {
        let mut rng = fastrand::Rng::with_seed(1);
        let asked = Duration::from_secs(7);

        for tries in 1..40 {
            assert!(Backoff::TRANSIENT.delay(tries, Some(asked), &mut rng) >= asked);
            assert!(Backoff::TRANSIENT.delay(tries, None, &mut rng) <= Duration::from_secs(30));
            assert!(jittered_hold(asked, &mut rng) >= asked);
        }
    }
}
