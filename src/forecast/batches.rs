//! Estimates what a run costs if its rows are sent in batches, and how long this run takes.
//!
//! Batches are not simulated, because their time depends on how busy the API is. The times of batches come from the API
//! documentation. The forecast assumes that batches read nothing from a prompt cache. The API promises no hit rate for
//! batches, and batches share no cache with online requests.
//!
//! Source: API documentation, "Batch processing" (2026-09-20).

use std::time::Duration;

use super::options::{Alternative, Change};
use super::question::{Forecast, Question};
use super::time::RunTime;
use super::totals::Totals;
use crate::domain::{Interval, Lane, Money, Speed};
use crate::plan::Group;

/// Most batches end within this time.
const MOST_END: Duration = Duration::from_secs(3_600);
/// If a batch is not done after this time, the batch ends and its remaining rows expire.
const ALL_END: Duration = Duration::from_secs(24 * 3_600);

/// The forecast of a run whose rows are sent in batches.
#[derive(Clone, Debug, PartialEq)]
pub struct InBatches {
    /// The tokens and the cost of all rows. Rows that batches do not accept have the full price.
    pub totals: Totals,
    /// The tokens and the cost by model, in the order of the models' names.
    pub by_model: Vec<(String, Totals)>,
    /// The number of rows in batches.
    pub rows: u64,
    /// The number of rows that batches do not accept.
    pub online_rows: u64,
    /// The number of rows that are sent online because each is the first of its kind.
    pub online_tests: u64,
    /// The number of rounds: how many times the queue for batches is filled. The rows of a round are submitted after
    /// all rows of the previous round are done.
    pub rounds: u64,
    /// The time of the run. Each round probably takes an hour. A round takes at most a day.
    pub time: Interval<Duration>,
    /// The hit rates above which a prompt cache saves money in batches: for the five-minute cache, and for the one-hour
    /// cache. These rates are computed for the model with the most input tokens; `None` if the prices of this model are
    /// not known.
    pub break_even: Option<[f64; 2]>,
}

impl Question<'_> {
    /// Returns the forecast of the run in batches; `None` if no row is in a batch. `queue` is the largest
    /// number of rows that can be in batches at once; `None` if it is not known.
    pub(crate) fn in_batches(&self, queue: Option<u32>) -> Option<InBatches> {
        let is_in_batch = |group: &&Group| !group.terms.is_online_only;
        let accepted: u64 = self.load.groups().iter().filter(is_in_batch).map(|group| group.rows).sum();
        let online_tests = self.load.online_tests();
        let rows = accepted.saturating_sub(online_tests);
        if rows == 0 {
            return None;
        }
        let load = self.load.in_batches();
        let changed = Question { load: &load, ..*self };
        let (totals, by_model) = changed.totals(&changed.sizes());
        let rounds = queue.map_or(1, |queue| rows.div_ceil(u64::from(queue.max(1))));
        let all = |span: Duration| span.saturating_mul(u32::try_from(rounds).unwrap_or(u32::MAX));
        let largest = self.load.groups().iter().filter(is_in_batch).max_by_key(|group| group.input_tokens.likely);
        Some(InBatches {
            totals,
            by_model,
            rows,
            online_rows: self.load.rows() - accepted,
            online_tests,
            rounds,
            time: Interval { low: Duration::ZERO, likely: all(MOST_END), high: all(ALL_END) },
            break_even: largest.and_then(|group| self.break_even(group)),
        })
    }

    /// Returns the changes that would alter the cost or the time of a run in batches. Such a change is another model,
    /// another `max_tokens`, or online requests instead of batches. `online` is the forecast without batches.
    pub(crate) fn alternatives_in_batches(
        &self,
        online: &Forecast,
        batches: &InBatches,
        today: jiff::civil::Date,
    ) -> Vec<Alternative> {
        let load = self.load.in_batches();
        let changed = Question { load: &load, ..*self };
        let others = changed.alternatives(&online.in_batches(batches, None), &[], today);
        // A batch takes the same time with every model. Cache marks matter only for the few rows that are sent online.
        // So the alternative without cache marks is left out.
        let others = others.into_iter().filter(|other| other.change != Change::NoCache);
        let others = others.map(|other| Alternative { time: batches.time, ..other });
        let Totals { cost, at_most, .. } = online.totals;
        let without = Alternative { change: Change::Lane(Lane::Online), cost, at_most, time: online.time.time };
        others.chain([without]).collect()
    }

    /// Returns the two values of `InBatches::break_even` for a group. For each row, a cached prefix costs this share of
    /// the price of plain input: `hits × read + (1 − hits) × write`. This share is less than 1 if `hits` is above
    /// `(write − 1) / (write − read)`. In a batch, all prices are halved, so the result is the same as online.
    fn break_even(&self, group: &Group) -> Option<[f64; 2]> {
        let [minutes, hour, read] = self.catalog.prices(Speed::Standard, &group.model)?.cache_rates()?;
        let from = |write: f64| if write > read { ((write - 1.0) / (write - read)).clamp(0.0, 1.0) } else { 1.0 };
        Some([minutes, hour].map(from))
    }
}

impl InBatches {
    /// Returns the suggestion to send the rows of an online run in batches.
    pub(crate) fn alternative(&self) -> Alternative {
        let Totals { cost, at_most, .. } = self.totals;
        Alternative { change: Change::Lane(Lane::Batch), cost, at_most, time: self.time }
    }
}

impl Forecast {
    /// Changes this forecast of an online run into a forecast of a run in batches.
    ///
    /// `left` is the time to the deadline; `None` if late rows are not sent online. If late rows are sent online, the
    /// run can cost as much as an online run. If an online run probably meets the deadline, the run in batches probably
    /// meets it too.
    pub(crate) fn in_batches(&self, batches: &InBatches, left: Option<Duration>) -> Self {
        let (mut totals, mut time) = (batches.totals.clone(), batches.time);
        if let Some(left) = left.filter(|left| *left < time.high) {
            totals.cost = totals.cost.zip(self.totals.cost).map(|(own, online)| Interval {
                // With the prompt cache, online requests can cost less than batches.
                low: own.low.min(online.low),
                likely: own.likely,
                high: own.high.max(online.high),
            });
            totals.at_most =
                totals.at_most.zip(self.totals.at_most).map(|(own, online): (Money, Money)| own.max(online));
            let online = self.time.time;
            if online.likely <= left {
                time = Interval { low: time.low, likely: time.likely.min(left), high: online.high.max(left) };
            }
        }
        // `max_in_flight` is 0 here: the ids of batches are on disk, so no batch is paid for twice even if the program
        // is killed.
        let time = RunTime { time, bound_by: Vec::new(), played_rows: self.time.played_rows, max_in_flight: 0 };
        Self { lane: Lane::Batch, totals, by_model: batches.by_model.clone(), time, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::super::question::tests::{ask, prompts};
    use super::super::{Counts, History};
    use super::*;
    use crate::plan::load_tests::{load, load_with_tests};

    const HOUR: Duration = Duration::from_secs(3_600);

    fn both(rest: &str, queue: Option<u32>) -> (Forecast, Option<InBatches>) {
        let load = load(prompts(500, rest), 0);
        ask(&load, &History::default(), &Counts::new(), 3_000, |question| {
            (question.forecast(), question.in_batches(queue))
        })
    }

    #[test]
    fn batches_cost_half() {
        let (online, batches) = both("", Some(100_000));

        let batches = batches.expect("all rows can be sent in batches");
        let [half, whole] = [&batches.totals, &online.totals].map(|totals| totals.cost.expect("a price"));
        let ratio = |of: fn(&Interval<Money>) -> Money| of(&half).dollars() / of(&whole).dollars();
        for ratio in [ratio(|cost| cost.low), ratio(|cost| cost.likely), ratio(|cost| cost.high)] {
            assert!((ratio - 0.5).abs() < 1e-6, "{half:?} {whole:?}");
        }
        assert_eq!(batches.totals.at_most, online.totals.at_most.map(Money::half));
        assert_eq!(batches.totals.output_tokens, online.totals.output_tokens);
        assert_eq!((batches.rows, batches.online_rows, batches.rounds), (500, 0, 1));
        assert_eq!(batches.time, Interval { low: Duration::ZERO, likely: HOUR, high: 24 * HOUR });
    }

    #[test]
    fn the_first_row_of_each_kind_has_the_full_price() {
        let totals = |rest: &str, tests: usize| {
            let load = load_with_tests(prompts(10, rest), 0, tests);
            ask(&load, &History::default(), &Counts::new(), 100, |question| question.in_batches(None))
        };

        for rest in ["", r#","model":"claude-haiku-5-5""#] {
            let [none, two, all] = [0, 2, 10].map(|tests| totals(rest, tests));

            let (none, two) = (none.expect("10 rows are in batches"), two.expect("8 rows are in batches"));
            assert_eq!((two.rows, two.online_rows, two.online_tests), (8, 0, 2));
            let ratio = |none: Money, two: Money| two.dollars() / none.dollars();
            let cost = ratio(none.totals.cost.expect("a price").likely, two.totals.cost.expect("a price").likely);
            let most = ratio(none.totals.at_most.expect("a price"), two.totals.at_most.expect("a price"));
            assert!((cost - 1.2).abs() < 0.01 && (most - 1.2).abs() < 0.01, "{cost} {most}");
            assert_eq!(all, None, "no row is in a batch");
        }
    }

    #[test]
    fn rows_that_do_not_fit_into_the_queue_wait_for_another_round() {
        let batches = both("", Some(200)).1.expect("all rows can be sent in batches");

        assert_eq!((batches.rounds, batches.time.likely, batches.time.high), (3, 3 * HOUR, 72 * HOUR));
    }

    #[test]
    fn rows_that_batches_refuse_keep_the_full_price() {
        let (online, batches) = both(r#","fallbacks":"default""#, None);
        assert!(online.totals.cost.is_some() && batches.is_none(), "no row can be sent in a batch");

        let rows = prompts(300, "").chain(prompts(200, r#","speed":"fast","model":"claude-opus-5""#));
        let load = load(rows, 0);
        let (online, batches) = ask(&load, &History::default(), &Counts::new(), 3_000, |question| {
            (question.forecast(), question.in_batches(None).expect("300 rows can be sent in batches"))
        });
        let cost = |by_model: &[(String, Totals)], at: usize| by_model[at].1.cost.expect("a price").likely.dollars();

        assert_eq!((batches.rows, batches.online_rows), (300, 200));
        assert!((cost(&batches.by_model, 0) / cost(&online.by_model, 0) - 0.5).abs() < 1e-6);
        assert_eq!(cost(&batches.by_model, 1), cost(&online.by_model, 1));
    }

    #[test]
    fn a_cache_saves_money_from_a_hit_rate_that_depends_on_its_lifetime() {
        let [minutes, hour] = both("", None).1.and_then(|batches| batches.break_even).expect("the prices are known");

        // The expected hit rates are (1.25 − 1) / (1.25 − 0.1) for five minutes, and (2 − 1) / (2 − 0.1) for an hour.
        assert!((minutes - 0.2174).abs() < 1e-4 && (hour - 0.5263).abs() < 1e-4, "{minutes} {hour}");
    }

    #[test]
    fn with_a_deadline_the_run_may_cost_as_much_as_online_and_ends_in_time() {
        let (online, batches) = both("", None);
        let batches = batches.expect("all rows can be sent in batches");

        let free = online.in_batches(&batches, None);
        let soon = online.in_batches(&batches, Some(2 * HOUR));
        let late = online.in_batches(&batches, Some(48 * HOUR));
        let too_soon = online.in_batches(&batches, Some(Duration::from_secs(1)));

        assert_eq!((&free.totals, free.time.time, free.lane), (&batches.totals, batches.time, Lane::Batch));
        assert_eq!(late, free);
        assert_eq!((soon.time.time.likely, soon.time.time.high), (HOUR, 2 * HOUR));
        assert_eq!(soon.totals.at_most, online.totals.at_most);
        assert_eq!(too_soon.time.time, batches.time, "the online lane is too slow");
    }

    #[test]
    fn a_run_in_batches_shows_what_it_costs_online_and_no_other_tier() {
        let load = load(prompts(500, ""), 0);
        let (online, options) = ask(&load, &History::default(), &Counts::new(), 3_000, |question| {
            let online = question.forecast();
            let batches = question.in_batches(None).expect("all rows can be sent in batches");
            let options = question.alternatives_in_batches(&online, &batches, date(2026, 11, 26));
            (online, options)
        });

        let last = options.last().expect("there is one");
        assert_eq!((&last.change, last.cost), (&Change::Lane(Lane::Online), online.totals.cost));
        assert!(options.len() > 1 && options.iter().all(|other| !matches!(other.change, Change::Tier(_))));
    }
}
