//! The effect of the prompt cache on a run: the tokens written and read, and the money saved.

use super::cached_rows::CachedRows;
use super::stats::Stats;
use super::text::{count, percent};
use crate::domain::Money;

/// How all rows of a run together used the prompt cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CacheUse {
    /// Tokens read from the cache.
    pub read: u64,
    /// Tokens written to the five-minute cache.
    pub written_5m: u64,
    /// Tokens written to the one-hour cache.
    pub written_1h: u64,
    /// The cost of all rows, and their cost without a cache. `None` if no price is known for the rows that used the
    /// cache.
    pub money: Option<(Money, Money)>,
}

impl CacheUse {
    /// Returns the total number of tokens that were written to the five-minute cache and to the one-hour cache.
    pub(crate) fn written(&self) -> u64 {
        self.written_5m.saturating_add(self.written_1h)
    }

    /// Returns the hit rate of the cache: the tokens read, divided by the sum of the tokens read and written.
    pub(crate) fn hit_rate(&self) -> f64 {
        self.read as f64 / self.read.saturating_add(self.written()).max(1) as f64
    }

    /// Returns the dollars that the cache saved. The result is negative if writing to the cache cost more than reading
    /// from the cache saved.
    pub(crate) fn saved_dollars(&self) -> Option<f64> {
        self.money.map(|(spent, without)| without.dollars() - spent.dollars())
    }

    /// Returns a text that says how the cache was used, such as `12,300,000 tokens read, 40,000 written (hit rate 99%);
    /// saved $36.10 of $41.20`.
    pub(super) fn words(&self) -> String {
        let written = match (self.written_5m, self.written_1h) {
            (0, 0) => "none written".to_owned(),
            (minutes, 0) => format!("{} written", count(minutes)),
            (0, hour) => format!("{} written for 1 h", count(hour)),
            (minutes, hour) => format!("{} written for 5 min and {} for 1 h", count(minutes), count(hour)),
        };
        let saved = match self.money {
            None => "the saving is not known".to_owned(),
            Some((spent, without)) if spent > without => {
                format!("caching cost {} more than it saved", spent.less(without))
            }
            Some((spent, without)) => format!("saved {} of {without}", without.less(spent)),
        };
        format!("{} tokens read, {written} (hit rate {}); {saved}", count(self.read), percent(self.hit_rate()))
    }
}

impl Stats {
    /// Returns how this run used the prompt cache; `None` if no token was written or read.
    pub(crate) fn caching(&self) -> Option<CacheUse> {
        let usage = &self.usage;
        let CachedRows { spent, without, rows } = self.cached_rows;
        let used = CacheUse {
            read: usage.cache_read_tokens,
            written_5m: usage.cache_write_5m_tokens,
            written_1h: usage.cache_write_1h_tokens,
            money: (rows > 0).then(|| (self.cost, self.cost.less(spent) + without)),
        };
        (used.read > 0 || used.written() > 0).then_some(used)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::super::stats::tests::at;
    use super::*;
    use crate::domain::{ErrorClass, EventBody, FailedRow, Purpose, Quality, Usage};

    #[test]
    fn the_words_say_what_was_saved_or_lost() {
        let shown = |read, [written_5m, written_1h]: [u64; 2], cents: Option<(f64, f64)>| {
            let money = cents.map(|(spent, without)| (Money::from_dollars(spent), Money::from_dollars(without)));
            CacheUse { read, written_5m, written_1h, money }.words()
        };

        insta::assert_snapshot!(
            [
                shown(12_300_000, [40_000, 0], Some((5.1, 41.2))),
                shown(300, [100, 50], Some((0.5, 0.5))),
                shown(0, [0, 40_000], Some((1.32, 1.2))),
                shown(7, [0, 0], None),
            ]
            .join("\n"),
            @"
        12,300,000 tokens read, 40,000 written (hit rate 99%); saved $36.10 of $41.20
        300 tokens read, 100 written for 5 min and 50 for 1 h (hit rate 67%); saved $0.00 of $0.5000
        0 tokens read, 40,000 written for 1 h (hit rate 0%); caching cost $0.1200 more than it saved
        7 tokens read, none written (hit rate 100%); the saving is not known
        "
        );
    }

    #[test]
    fn rows_that_did_not_use_the_cache_are_part_of_what_the_run_would_have_cost() {
        let mut stats = Stats::default();
        assert_eq!(stats.caching(), None);

        for (read, cost, without) in [(0, Some(1.0), None), (900, Some(0.1), Some(0.9)), (90, None, None)] {
            stats.fold(&at(1, cached(read, cost, without)));
        }

        let used = stats.caching().expect("tokens were read");
        assert_eq!(used.money, Some((Money::from_dollars(1.1), Money::from_dollars(1.9))));
        assert_eq!(used.saved_dollars().map(|saved| (saved * 100.0).round()), Some(80.0));
    }

    #[test]
    fn failed_rows_and_answers_that_were_not_accepted_save_as_much_as_answered_rows() {
        let saved = |bodies: &[fn() -> EventBody]| {
            let mut stats = Stats::default();
            bodies.iter().for_each(|body| stats.fold(&at(1, body())));
            stats.caching().expect("tokens were read").money
        };
        let money = |spent, without| Some((Money::from_dollars(spent), Money::from_dollars(without)));
        let answered = || cached(900, Some(0.1), Some(0.9));
        let failed = || EventBody::Failed {
            class: ErrorClass::InvalidOutput,
            row: Box::new(FailedRow::new("r2", Some(200), "no", false)),
            usage: Usage { cache_read_tokens: 900, ..Usage::default() },
            cost: Some(Money::from_dollars(0.1)),
            without_cache: Some(Money::from_dollars(0.9)),
        };
        let mending = || EventBody::Mending {
            row: "r3".into(),
            pool: None,
            purpose: Purpose::First,
            usage: Usage { cache_read_tokens: 900, ..Usage::default() },
            cost: Some(Money::from_dollars(0.1)),
            without_cache: Some(Money::from_dollars(0.9)),
        };

        assert_eq!(saved(&[answered, answered]), money(0.2, 1.8));
        assert_eq!(saved(&[answered, failed]), money(0.2, 1.8));
        assert_eq!(saved(&[failed, failed]), money(0.2, 1.8));
        assert_eq!(saved(&[answered, mending]), money(0.2, 1.8));
    }

    /// Returns the event of an answer that read tokens from the cache.
    pub(in crate::report) fn cached(read: u64, cost: Option<f64>, without: Option<f64>) -> EventBody {
        EventBody::Succeeded {
            row: "r1".into(),
            pool: None,
            model: "m".into(),
            quality: Quality::Ok,
            usage: Usage { cache_read_tokens: read, output_tokens: 5, ..Usage::default() },
            cost: cost.map(Money::from_dollars),
            without_cache: without.map(Money::from_dollars),
            latency: Some(Duration::ZERO),
            first_byte: None,
            mended: None,
        }
    }
}
