//! The forecast of a run: the tokens, the cost and the time of its rows.

use std::collections::BTreeMap;

use super::history::History;
use super::sizes::{Basis, Counts, Sizes, sizes};
use super::time::{RunTime, Setting, Timing};
use super::totals::{Totals, totals};
use crate::catalog::Catalog;
use crate::domain::{Lane, RunForecast};
use crate::plan::Load;

/// The data from which a forecast is made.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// The rows to be sent.
    pub load: &'a Load,
    /// Earlier results.
    pub history: &'a History,
    /// The input tokens of some rows, as the API counted them.
    pub counts: &'a Counts,
    /// Models and prices.
    pub catalog: &'a Catalog,
    /// The settings for simulating the run.
    pub setting: &'a Setting<'a>,
}

/// The forecast of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// The lane of the rows. Rows that batches do not accept are always sent online.
    pub lane: Lane,
    /// The tokens and the cost of all rows.
    pub totals: Totals,
    /// The tokens and the cost by model, in the order of the models' names.
    pub by_model: Vec<(String, Totals)>,
    /// The time of the run.
    pub time: RunTime,
    /// For each basis (source) of the estimated input tokens, the number of rows with this basis.
    pub input_basis: BTreeMap<Basis, u64>,
    /// See `input_basis`.
    pub output_basis: BTreeMap<Basis, u64>,
    /// The share, from 0 to 1, of truncated answers among the earlier answers to these templates; `None` without
    /// earlier answers.
    pub truncated_share: Option<f64>,
}

impl<'a> Question<'a> {
    /// Answers the question: returns the forecast of the run.
    pub fn forecast(&self) -> Forecast {
        let sizes = self.sizes();
        let (totals, by_model) = self.totals(&sizes);
        let groups = self.load.groups();
        let (mut input_basis, mut output_basis) = (BTreeMap::new(), BTreeMap::new());
        for (group, sizes) in groups.iter().zip(&sizes) {
            *input_basis.entry(sizes.input.basis).or_default() += group.rows;
            *output_basis.entry(sizes.output.basis).or_default() += group.rows;
        }
        Forecast {
            lane: Lane::Online,
            totals,
            by_model,
            time: self.timing(&sizes).time(),
            input_basis,
            output_basis,
            truncated_share: self.truncated_share(),
        }
    }

    /// Returns the totals of all rows, and the totals of each model in the order of the names.
    pub(super) fn totals(&self, sizes: &[Sizes]) -> (Totals, Vec<(String, Totals)>) {
        let groups = self.load.groups();
        let answers = self.history.count();
        let mut by_model: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        groups.iter().enumerate().for_each(|(at, group)| by_model.entry(&group.model).or_default().push(at));
        let of_model = |(model, places): (&str, Vec<usize>)| {
            let places = places.into_iter().map(|at| (&groups[at], &sizes[at]));
            (model.to_owned(), totals(places, answers, self.catalog))
        };
        (totals(groups.iter().zip(sizes), answers, self.catalog), by_model.into_iter().map(of_model).collect())
    }

    pub(super) fn sizes(&self) -> Vec<Sizes> {
        sizes(self.load, self.history, self.counts, self.catalog)
    }

    pub(super) fn timing<'s>(&'s self, sizes: &'s [Sizes]) -> Timing<'s> {
        let Self { load, history, catalog, setting, .. } = *self;
        Timing { load, sizes, history, catalog, setting }
    }

    fn truncated_share(&self) -> Option<f64> {
        let of_templates = self.load.groups().iter().filter_map(|group| self.history.of_template(group.template?));
        let (mut all, mut truncated) = (0_u64, 0_u64);
        for seen in of_templates.flat_map(|answers| &answers.kept) {
            all += 1;
            truncated += u64::from(seen.is_truncated);
        }
        (all > 0).then(|| truncated as f64 / all as f64)
    }
}

impl Forecast {
    /// Returns the figures that the reports of a run need.
    pub fn of_run(&self) -> RunForecast {
        RunForecast {
            rows: self.totals.rows,
            cost: self.totals.cost,
            at_most: self.totals.at_most,
            // The time of a run in batches is not known, because the API only promises that a batch ends within a day.
            time: (self.totals.rows > 0 && self.lane == Lane::Online).then_some(self.time.time),
            leaves_out_batches: false,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::super::history::tests::past;
    use super::super::options::{Change, TierLimits};
    use super::super::{Counts, History};
    use super::*;
    use crate::catalog::Catalog;
    use crate::domain::{Interval, Money, PoolId, RateLimits, Reason, Tier, Usage};
    use crate::forecast::PastAnswer;
    use crate::plan::load_tests::{load, row};
    use crate::scheduler::{Config, LimitsOf, Window};
    use jiff::civil::date;

    /// Calls `answer` with a `Question` about these rows at tier 2.
    pub(in super::super) fn ask<T>(
        load: &Load,
        history: &History,
        counts: &Counts,
        most_rows: usize,
        answer: impl Fn(Question<'_>) -> T,
    ) -> T {
        let catalog = Catalog::builtin();
        let limits_of = |pool: &PoolId| catalog.limits(Tier::Two, &pool.class).limits;
        let scheduler = |limits_of: LimitsOf| Config {
            limits_of,
            headroom: crate::limiter::Headroom::Auto,
            window: Window::auto(1_000),
            ..crate::scheduler::tests::config(RateLimits::NONE, 1)
        };
        let setting = Setting { limits_of: &limits_of, scheduler: &scheduler, bursts: None, most_rows };
        answer(Question { load, history, counts, catalog: &catalog, setting: &setting })
    }

    fn forecast(load: &Load, history: &History, counts: &Counts) -> Forecast {
        ask(load, history, counts, 30_000, |question| question.forecast())
    }

    pub(in super::super) fn prompts(count: usize, rest: &str) -> impl Iterator<Item = String> {
        (0..count).map(move |number| row(&format!("Say the number {number} in words, please."), rest))
    }

    /// Returns the answers to 50 rows of the only template of a load. Each answer reports 1.5 times the estimated input
    /// tokens.
    fn history(load: &Load, lengths: impl Fn(u64) -> u64) -> History {
        let group = &load.groups()[0];
        let estimated = (group.input_tokens.likely / group.rows) as u32;
        let mut history = History::default();
        let answer = |number| {
            past(group.template.expect("one template"), estimated, u64::from(estimated) * 3 / 2, lengths(number))
        };
        (0..50).for_each(|number| history.add(&answer(number)));
        history
    }

    #[test]
    fn without_answers_the_interval_reaches_from_a_label_to_max_tokens() {
        let load = load(prompts(100, ""), 0);

        let Forecast { totals, output_basis, input_basis, .. } = forecast(&load, &History::default(), &Counts::new());

        assert_eq!(totals.output_tokens, Interval { low: 800, likely: 10_000, high: 10_000 });
        assert_eq!(output_basis, [(Basis::Assumption, 100)].into());
        assert_eq!(input_basis, [(Basis::Assumption, 100)].into());
        assert!(totals.input_tokens.low < totals.input_tokens.likely, "{totals:?}");
        assert!(totals.cost.is_some_and(|cost| cost.high <= totals.at_most.expect("a price")));
    }

    #[test]
    fn answers_to_the_template_make_the_forecast_more_exact_than_answers_of_the_model() {
        let load = load(prompts(1_000, ""), 0);
        let same = history(&load, |number| 30 + number % 21);
        let mut other = History::default();
        (0..50).for_each(|number| other.add(&past(7, 10, 15, 30 + number % 21)));

        let by_template = forecast(&load, &same, &Counts::new()).totals;
        let by_model = forecast(&load, &other, &Counts::new());

        let real = load.input_tokens().likely * 3 / 2;
        assert!(by_template.input_tokens.contains(real), "{real}: {by_template:?}");
        assert!(by_template.output_tokens.contains(40_000), "{by_template:?}");
        let cost = by_template.cost.expect("a price").map(Money::dollars);
        assert!((cost.high - cost.low) / 2.0 <= 0.15 * cost.likely, "{cost:?}");
        assert_eq!(by_model.output_basis, [(Basis::Model, 1_000)].into());
        let wide = by_model.totals.output_tokens;
        assert!(wide.low < 21_000 && wide.high > 78_000, "{wide:?}");
    }

    #[test]
    fn token_counts_win_over_earlier_answers() {
        let load = load(prompts(500, ""), 0);
        let counts: Counts = (0..20).map(|_| (0, 20, 40)).collect();

        let forecast = forecast(&load, &history(&load, |_| 30), &counts);

        assert_eq!(forecast.input_basis, [(Basis::Counts, 500)].into());
        let twice = 2 * load.input_tokens().likely;
        assert!(forecast.totals.input_tokens.contains(twice), "{twice}: {:?}", forecast.totals);
    }

    #[test]
    fn a_cache_that_earlier_answers_used_makes_only_marked_prompts_cheaper() {
        let load = load(prompts(500, r#","cache_control":{"type":"ephemeral"}"#), 0);
        let mut cached = History::default();
        let template = load.groups()[0].template.expect("one template");
        (0..50).for_each(|_| cached.add(&PastAnswer { price_share: Some(0.2), ..past(template, 20, 30, 10) }));

        let plain = forecast(&load, &history(&load, |_| 10), &Counts::new()).totals.cost.expect("a price");
        let cheap = forecast(&load, &cached, &Counts::new()).totals.cost.expect("a price");

        assert!(cheap.high < plain.low, "{cheap:?} {plain:?}");
        let unmarked = tests::load(prompts(500, ""), 0);
        let template = unmarked.groups()[0].template.expect("one template");
        let [cheap, plain] = [0.2, 1.0].map(|price| {
            let mut history = History::default();
            let answer = PastAnswer { price_share: Some(price), ..past(template, 20, 30, 10) };
            (0..50).for_each(|_| history.add(&answer));
            forecast(&unmarked, &history, &Counts::new()).totals.cost
        });
        assert_eq!(cheap, plain, "without marks, nothing is read from the cache");
    }

    #[test]
    fn no_error_makes_a_run_cheaper_than_its_prompts() {
        let load = load(prompts(1_000, ""), 0);
        // Six answers whose lengths differ by a factor of 500 say very little.
        let mut history = History::default();
        let template = load.groups()[0].template.expect("one template");
        [1, 1, 1, 1, 1, 100].into_iter().for_each(|length| history.add(&past(template, 20, 20, length)));

        let totals = forecast(&load, &history, &Counts::new()).totals;

        assert_eq!(totals.output_tokens.low, 1_000, "each answer has a token: {totals:?}");
        let cost = totals.cost.expect("a price");
        let least = Money::per_token(1.0).times(totals.input_tokens.low) + Money::per_token(5.0).times(1_000);
        assert!(cost.low.dollars() >= 0.99 * least.dollars(), "{cost:?} {least}");
    }

    #[test]
    fn few_answers_do_not_make_the_input_less_certain_than_the_text() {
        let load = load(prompts(1_000, ""), 0);
        let of_text = forecast(&load, &History::default(), &Counts::new()).totals.input_tokens;
        let mut history = History::default();
        let template = load.groups()[0].template.expect("one template");
        [10, 40, 10, 12, 11].into_iter().for_each(|real| history.add(&past(template, 20, real, 10)));

        let tokens = forecast(&load, &history, &Counts::new()).totals.input_tokens;

        assert!(of_text.low <= tokens.low && tokens.high <= of_text.high, "{tokens:?} {of_text:?}");
    }

    #[test]
    fn rows_without_a_price_are_left_out_and_counted() {
        let rows = prompts(10, "").chain(prompts(5, r#","model":"mine""#));

        let Forecast { totals, by_model, .. } = forecast(&load(rows, 0), &History::default(), &Counts::new());

        assert_eq!((totals.rows, totals.unpriced), (15, 5));
        assert_eq!(by_model[0].1.cost, totals.cost);
        assert_eq!((by_model[1].0.as_str(), by_model[1].1.cost), ("mine", None));
    }

    #[test]
    fn a_part_of_the_rows_says_how_long_all_of_them_take() {
        let load = load(prompts(12_000, ""), 0);
        let history = history(&load, |number| 20 + number);
        let time = |most_rows| ask(&load, &history, &Counts::new(), most_rows, |question| question.forecast()).time;

        let (all, part) = (time(30_000), time(4_000));

        assert_eq!((all.played_rows > 4_500, part.played_rows), (true, 4_000));
        let ratio = part.time.likely.as_secs_f64() / all.time.likely.as_secs_f64();
        assert!((0.97..1.03).contains(&ratio), "{ratio}: {part:?} {all:?}");
        // There are 12,000 rows and a limit of 1,000 requests per minute. The first 1,000 rows can be sent immediately.
        assert!(all.time.contains(Duration::from_secs(690)), "{all:?}");
        assert_eq!(all.bound_by[0].0, Reason::Limit(crate::domain::Dimension::Requests));
    }

    #[test]
    fn changes_are_computed_like_the_forecast() {
        let long = |row: String| row.replace(r#""max_tokens":100"#, r#""max_tokens":1000"#);
        let load = load(prompts(6_000, r#","model":"claude-opus-4-8""#).map(long), 0);
        let history = {
            let mut history = History::default();
            let template = load.groups()[0].template.expect("one template");
            let answer = PastAnswer { model: "claude-opus-4-8".into(), ..past(template, 20, 20, 40) };
            (0..50).for_each(|_| history.add(&answer));
            history
        };
        let catalog = Catalog::builtin();
        let four = |pool: &PoolId| catalog.limits(Tier::Four, &pool.class).limits;
        let tiers: [TierLimits<'_>; 1] = [(Tier::Four, &four)];

        let (base, others) = ask(&load, &history, &Counts::new(), 10_000, |question| {
            let base = question.forecast();
            let others = question.alternatives(&base, &tiers, date(2026, 11, 26));
            (base, others)
        });

        let of = |change: &dyn Fn(&Change) -> bool| {
            others.iter().find(|other| change(&other.change)).unwrap_or_else(|| panic!("it is offered: {others:#?}"))
        };
        let tier = of(&|change| *change == Change::Tier(Tier::Four));
        assert_eq!(tier.cost, base.totals.cost);
        assert!(tier.time.likely < base.time.time.likely / 3, "{tier:?}");
        let model = of(&|change| matches!(change, Change::Model { to, .. } if to == "claude-opus-5-5"));
        let (cost, before) = (model.cost.expect("a price"), base.totals.cost.expect("a price"));
        // The other model has the same tokenizer as the first model. The other model's prices for input and output are
        // four fifths of the first model's prices.
        let ratio = cost.likely.dollars() / before.likely.dollars();
        assert!((0.79..0.81).contains(&ratio), "{ratio}");
        let shorter = of(&|change| matches!(change, Change::MaxTokens { .. }));
        assert_eq!(shorter.change, Change::MaxTokens { from: 1_000, to: 64 });
        let least_saved = Money::per_token(25.0).times(6_000 * (1_000 - 64));
        let saved = base.totals.at_most.expect("a price").less(shorter.at_most.expect("a price"));
        assert!(saved.0.abs_diff(least_saved.0) < Money::from_dollars(0.001).0, "{saved} {least_saved}");
        assert!(others.iter().all(|other| other.time.low <= other.time.likely && other.time.likely <= other.time.high));
        assert!(!others.iter().any(|other| matches!(&other.change, Change::Model { to, .. } if to.contains("4-5"))));
    }

    #[test]
    fn answers_that_were_cut_lead_to_a_larger_max_tokens() {
        let load = load(prompts(200, ""), 0);
        let mut history = History::default();
        let template = load.groups()[0].template.expect("one template");
        (0..50).for_each(|number| {
            history.add(&PastAnswer { is_truncated: number % 5 == 0, ..past(template, 20, 20, 90) });
        });

        let (base, others) = ask(&load, &history, &Counts::new(), 10_000, |question| {
            let base = question.forecast();
            let others = question.alternatives(&base, &[], date(2026, 11, 26));
            (base, others)
        });

        assert_eq!(base.truncated_share, Some(0.2));
        let longer = others.iter().find(|other| other.change == Change::MaxTokens { from: 100, to: 200 });
        let cost = longer.and_then(|other| other.cost).expect("it is offered");
        assert!(cost.likely > base.totals.cost.expect("a price").likely);
    }

    #[test]
    fn answers_that_were_cut_early_say_only_that_the_length_is_at_least_that() {
        let load = load(prompts(200, ""), 0);
        let template = load.groups()[0].template.expect("one template");
        let with_cut = |every: u64| {
            let mut history = History::default();
            let answer = |number: u64| match number % every {
                0 => PastAnswer { is_truncated: true, ..past(template, 20, 20, 10) },
                _ => past(template, 20, 20, 9),
            };
            (0..50).for_each(|number| history.add(&answer(number)));
            forecast(&load, &history, &Counts::new())
        };

        let (all, some) = (with_cut(1), with_cut(5));

        assert_eq!(all.output_basis, [(Basis::Assumption, 200)].into());
        let without = forecast(&load, &History::default(), &Counts::new()).totals.output_tokens;
        assert_eq!(all.totals.output_tokens, Interval { low: 2_000, ..without }, "no answer is shorter than was seen");
        let tokens = some.totals.output_tokens;
        assert_eq!(some.output_basis, [(Basis::Template, 200)].into());
        assert!(tokens.likely > 2_200 && tokens.high > 3_000, "{tokens:?}");
    }

    #[test]
    fn follow_ups_of_earlier_answers_are_part_of_the_cost_which_then_has_no_upper_bound() {
        let load = load(prompts(200, ""), 0);
        let template = load.groups()[0].template.expect("one template");
        let mut history = History::default();
        let more = Usage { input_tokens: 30, output_tokens: 400, ..Usage::default() };
        (0..50).for_each(|number| {
            let follow_ups =
                if number % 2 == 0 { (more, Money::from_dollars(0.002)) } else { (Usage::default(), Money::ZERO) };
            history.add(&PastAnswer { follow_ups, ..past(template, 20, 20, 40) });
        });
        let without = forecast(&load, &self::history(&load, |_| 40), &Counts::new()).totals;

        let (online, batches) = ask(&load, &history, &Counts::new(), 1_000, |question| {
            (question.forecast().totals, question.in_batches(None).expect("they can be in batches").totals)
        });

        let dollars = |totals: &Totals| totals.cost.expect("a price").map(Money::dollars);
        assert_eq!((without.follow_ups, without.at_most.is_some()), (Money::ZERO, true));
        assert_eq!((online.follow_ups.to_string().as_str(), online.at_most), ("$0.2000", None));
        assert!(online.output_tokens.contains(200 * (40 + 200)), "{online:?}");
        let cost = dollars(&online);
        let [answers, all] = [200.0 * (20.0 + 5.0 * 40.0) / 1e6, 0.2];
        assert!(cost.contains(answers + all) && cost.high > answers + 1.1 * all && cost.low > answers, "{cost:?}");
        assert_eq!(batches.follow_ups.to_string(), "$0.1000");
    }

    #[test]
    fn no_rows_cost_nothing_and_take_no_time() {
        let forecast = forecast(&Load::default(), &History::default(), &Counts::new());

        assert_eq!((forecast.totals.cost, forecast.totals.at_most), (Some(Interval::default()), Some(Money::ZERO)));
        assert_eq!(forecast.of_run().time, None);
    }
}
