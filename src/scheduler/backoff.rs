//! The delays before the next try of a row.

use std::time::Duration;

use crate::limiter::LONGEST_UNSAID_HOLD;

/// Exponential backoff with jitter (a random part of each delay). Each delay is between zero and its ceiling (full
/// jitter), and the ceiling doubles with each try. Two delays differ from this rule: the first delay has half the usual
/// ceiling, and the second delay is always longer than the first. So each row that fails again waits longer than after
/// its first failure, and a server that fails gets fewer and fewer requests.
///
/// Source: AWS Architecture Blog, "Exponential Backoff And Jitter" (2015). The tests in that article found that full
/// jitter needs the fewest calls.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    base: Duration,
    most: Duration,
}

/// The shortest delay after a second failure, as a share of the ceiling of this delay. This shortest delay is a tenth
/// longer than the longest delay after a first failure.
const SECOND: f64 = 0.275;

impl Backoff {
    /// The delays after server faults and broken connections.
    pub(super) const TRANSIENT: Self = Self { base: Duration::from_millis(500), most: Duration::from_secs(30) };
    /// The delays after an overload of an endpoint that still answers other requests.
    pub(super) const BUSY: Self = Self { base: Duration::from_millis(500), most: Duration::from_millis(1_500) };
    /// The delays after an overload of an endpoint that answers no other requests, and after a refusal because too many
    /// requests are in flight.
    pub(super) const OVERLOADED: Self = Self { base: Duration::from_secs(1), most: Duration::from_secs(60) };

    /// The delays after a repeated refusal of the same row. These delays apply if the server does not say how long to
    /// wait. After a refusal, the pool is held (it sends nothing for some time). Each of these delays begins when the
    /// hold ends.
    pub(super) const REFUSED_AGAIN: Self = Self { base: Duration::from_secs(1), most: Duration::from_secs(30) };

    /// Returns `delay`, or the longest delay of this backoff if `delay` is longer.
    pub(super) fn at_most(&self, delay: Duration) -> Duration {
        delay.min(self.most)
    }

    /// Returns the delay before the next try, after `tries` tries have failed. The delay is never shorter than the wait
    /// that the server asks for.
    pub(super) fn delay(&self, tries: u32, asked: Option<Duration>, rng: &mut fastrand::Rng) -> Duration {
        let ceiling = self.base.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(self.most);
        let jittered = match tries {
            0 | 1 => ceiling.mul_f64(0.5 * rng.f64()),
            2 => ceiling.mul_f64(SECOND + (1.0 - SECOND) * rng.f64()),
            3.. => ceiling.mul_f64(rng.f64()),
        };
        match asked {
            Some(asked) => asked + jittered.mul_f64(0.1),
            None => jittered,
        }
    }
}

/// Adds jitter (a random time) to a hold. A hold is the time after a refusal in which a pool sends nothing. Jitter
/// makes the hold longer by at most a tenth, and by at most 5 s. Jitter never makes the hold shorter.
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
    fn the_second_delay_of_a_row_is_longer_than_the_first() {
        for seed in 0..1000 {
            let mut rng = fastrand::Rng::with_seed(seed);
            for backoff in [Backoff::TRANSIENT, Backoff::BUSY, Backoff::OVERLOADED] {
                let [first, second] = [1, 2].map(|tries| backoff.delay(tries, None, &mut rng));

                assert!(first.mul_f64(1.1) <= second, "seed {seed}: {first:?}, {second:?}");
            }
        }
    }

    #[test]
    fn the_ceiling_of_the_delays_doubles_until_the_longest_delay() {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut longest = |tries| (0..10_000).map(|_| Backoff::TRANSIENT.delay(tries, None, &mut rng)).max();

        for (tries, ceiling) in [(1, 0.25), (2, 1.0), (3, 2.0), (4, 4.0), (7, 30.0), (60, 30.0)] {
            let longest = longest(tries).expect("there are delays").as_secs_f64();
            assert!((0.99 * ceiling..=ceiling).contains(&longest), "{longest} after {tries} tries");
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
