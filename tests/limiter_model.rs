//! Checks random histories of a bucket and a pool against plain arithmetic.

mod support;

use claude_batch::clock::Instant;
use claude_batch::domain::{Cost, Dimension, LimitSignal, RateLimits, RateSignals};
use claude_batch::limiter::Headroom;
use claude_batch::limiter::{Admission, Bucket, Pool};
use proptest::prelude::*;

/// A token bucket as in a textbook. The level of the bucket rises with time.
struct Model {
    level: f64,
    burst: f64,
    per_second: f64,
    at: f64,
}

impl Model {
    fn advance(&mut self, at: f64) {
        self.level = (self.level + (at - self.at) * self.per_second).min(self.burst);
        self.at = at;
    }
}

#[derive(Clone, Debug)]
enum Op {
    Wait(u32),
    Take(u32),
    Refund(u32),
    Debit(u32),
    Clamp(i64),
    Raise(i64),
    SetLimit(u32),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..20_000u32).prop_map(Op::Wait),
        6 => (1..300u32).prop_map(Op::Take),
        1 => (1..100u32).prop_map(Op::Refund),
        1 => (1..100u32).prop_map(Op::Debit),
        1 => (-50..200i64).prop_map(Op::Clamp),
        1 => (0..300i64).prop_map(Op::Raise),
        1 => (60..6_000u32).prop_map(Op::SetLimit),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_bucket_decides_as_plain_arithmetic_does(
        limit in 60..6_000u32,
        burst in 1..200u32,
        ops in prop::collection::vec(op(), 1..120),
    ) {
        let mut bucket = Bucket::new(limit, burst);
        let mut model =
            Model { level: f64::from(bucket.burst()), burst: f64::from(bucket.burst()), per_second: f64::from(limit) / 60.0, at: 0.0 };
        let mut millis = 0;

        for op in ops {
            if let Op::Wait(wait) = op {
                millis += u64::from(wait);
            }
            let now = Instant::from_millis(millis);
            model.advance(millis as f64 / 1000.0);
            match op {
                Op::Wait(_) => {}
                Op::Take(n) => {
                    let wanted = f64::from(n).min(model.burst);
                    match bucket.take(n, now) {
                        Ok(()) => {
                            prop_assert!(model.level >= wanted - 0.51, "took {n} of {}", model.level);
                            model.level -= f64::from(n);
                        }
                        Err(until) => {
                            prop_assert!(model.level < wanted + 0.51, "refused {n} of {}", model.level);
                            let waits = until.since(now).as_secs_f64();
                            let needed = (wanted - model.level) / model.per_second;
                            prop_assert!((waits - needed).abs() < 1.0 / model.per_second + 0.01, "{waits} for {needed}");
                        }
                    }
                }
                Op::Refund(n) => {
                    bucket.refund(n);
                    model.level = (model.level + f64::from(n)).min(model.burst);
                }
                Op::Debit(n) => {
                    bucket.debit(n, now);
                    model.level -= f64::from(n);
                }
                Op::Clamp(most) => {
                    bucket.clamp(most, now);
                    // The bucket shows only whole tokens. After a `clamp` to `most`, the real level of the bucket can
                    // still be a fraction of a token higher than `most`.
                    if model.level >= most as f64 + 1.0 {
                        model.level = most as f64;
                    }
                }
                Op::Raise(target) => {
                    let before = bucket.level(now);
                    bucket.raise(target, 50, now);
                    let after = bucket.level(now);
                    prop_assert!(after >= before && after <= before.max(target).min(before + 50));
                    if after > before {
                        model.level = after as f64;
                        model.burst = model.burst.max(after as f64);
                    }
                }
                Op::SetLimit(limit) => {
                    bucket.set_limit(limit, now);
                    let missing = model.burst - model.level;
                    model.burst = model.burst.min(f64::from(limit));
                    model.level = model.burst - missing;
                    model.per_second = f64::from(limit) / 60.0;
                }
            }
            prop_assert!(bucket.level(now) <= i64::from(bucket.burst()));
            prop_assert!((bucket.level(now) as f64 - model.level).abs() <= 1.6, "{} and {}", bucket.level(now), model.level);
            // Only whole tokens are compared. The next line removes small differences, because they would add up over a
            // long history.
            model.level = model.level.clamp(bucket.level(now) as f64, bucket.level(now) as f64 + 1.0).min(model.burst);
        }
    }

    #[test]
    fn in_any_period_a_bucket_lets_through_at_most_its_burst_and_the_refill(
        limit in 60..60_000u32,
        burst in 1..500u32,
        takes in prop::collection::vec((0..2_000u64, 1..50u32), 1..200),
    ) {
        let mut bucket = Bucket::new(limit, burst);
        let mut granted = Vec::new();
        let mut millis = 0;

        for (wait, n) in takes {
            millis += wait;
            let n = n.min(bucket.burst());
            if bucket.take(n, Instant::from_millis(millis)).is_ok() {
                granted.push((millis, f64::from(n)));
            }
        }

        for (first, (from, _)) in granted.iter().enumerate() {
            let mut sum = 0.0;
            for (to, n) in &granted[first..] {
                sum += n;
                let most = f64::from(bucket.burst()) + (to - from) as f64 / 1000.0 * f64::from(limit) / 60.0;
                prop_assert!(sum <= most + 1e-6, "{sum} in {} ms, at most {most}", to - from);
            }
        }
    }

    #[test]
    fn a_pool_takes_from_all_buckets_or_from_no_bucket_and_unused_amounts_are_returned(
        rows in prop::collection::vec((1..5_000u32, 1..500u32, any::<bool>(), any::<bool>(), 0..3_000u64), 1..100),
    ) {
        let limits = RateLimits::new(600, 100_000, 20_000);
        let mut pool = Pool::new(support::pool_id("a"), limits, RateLimits::NONE, Headroom::Fixed(0.0), Instant::ZERO);
        let mut open = Vec::new();
        let mut millis = 0;

        for (input_tokens, output_tokens, has_head, is_refused, wait) in rows {
            millis += wait;
            let now = Instant::from_millis(millis);
            let cost = Cost { requests: 1, input_tokens, output_tokens };
            let before = Dimension::ALL.map(|dimension| pool.level(dimension, now));
            match pool.reserve(cost, now) {
                Admission::Granted(reservation) => open.push((reservation, has_head, is_refused)),
                Admission::Wait { until, .. } => {
                    prop_assert!(until > now);
                    let after = Dimension::ALL.map(|dimension| pool.level(dimension, now));
                    prop_assert_eq!(before, after, "a refusal takes nothing");
                }
            }
            if open.len() > 5 {
                let (reservation, has_head, is_refused) = open.remove(0);
                let cost = reservation.cost();
                if has_head {
                    pool.observe(cost, &RateSignals::default(), !is_refused, now);
                }
                pool.settle(reservation, cost, has_head, now);
            }
        }
        let end = Instant::from_millis(millis);
        for (reservation, _, _) in open {
            pool.settle(reservation, Cost::default(), false, end);
        }

        let much_later = Instant::from_millis(millis + 3_600_000);
        // All reservations are settled, so a response that reports full limits raises every level to its limit.
        let full = |limit: u32| LimitSignal { limit: Some(limit), remaining: Some(limit) };
        let signals = RateSignals {
            requests: full(600), input_tokens: full(100_000), output_tokens: full(20_000), ..RateSignals::default()
        };
        let Admission::Granted(reservation) = pool.reserve(Cost { requests: 1, input_tokens: 1, output_tokens: 1 }, much_later) else {
            return Err(TestCaseError::fail("an hour fills every bucket"));
        };
        pool.observe(Cost { requests: 600, input_tokens: 100_000, output_tokens: 20_000 }, &signals, true, much_later);
        pool.settle(reservation, Cost::default(), true, much_later);
        prop_assert_eq!(pool.level(Dimension::Requests, much_later), Some(600));
    }
}
