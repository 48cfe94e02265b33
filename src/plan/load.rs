//! The load of a run: the rows to be sent, summed up by template, and a sample of these rows.
//!
//! The size of a load does not depend on the number of rows. A load has at most [`MOST_TEMPLATES`] groups with one
//! template each. All rows of further templates that have the same model and the same terms share one group. The sample
//! has at most [`SAMPLED`] rows. A row is in the sample if a hash of its position is below a threshold. When the sample
//! is full, the threshold is halved. So every row is in the sample with the same probability, and the rows of the
//! sample keep their order. The same input always gives the same sample.
//!
//! The load also contains the requests of some random rows, so that the API can count their tokens. The load contains a
//! few requests of each model, even if only few rows name the model.

use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::Arc;

use super::lengths::Lengths;
use super::prefix::{CachePlan, CacheRates, GroupCaching};
use crate::domain::{Caching, Interval, Money, Planned, PoolId, Request, Terms};

/// The largest number of templates that have a group of their own.
const MOST_TEMPLATES: usize = 1024;
/// The largest number of rows in the sample.
const SAMPLED: usize = 1 << 15;
/// If there is room, at least this many requests per model are kept, so that their tokens can be counted.
const OF_EACH_MODEL: usize = 5;
/// Some requests are kept so that their tokens can be counted. Together, these requests have at most this many bytes.
const REQUEST_BYTES: usize = 64 << 20;

/// The rows that a run has to send.
#[derive(Clone, Debug, Default)]
pub struct Load {
    groups: Vec<Group>,
    by_template: HashMap<(u64, Terms), usize>,
    by_model: HashMap<(Arc<str>, Terms), usize>,
    /// The position of the group to which the most recent row was added.
    last: usize,
    rows: u64,
    sample: Sample,
    requests: Requests,
}

/// The rows of one template.
#[derive(Clone, Debug)]
pub struct Group {
    /// The number that identifies the template (see [`crate::domain::Ask::template`]); `None` if the group has the rows
    /// of several templates.
    pub template: Option<u64>,
    /// The model.
    pub model: Arc<str>,
    /// The terms of the requests, such as the speed of service.
    pub terms: Terms,
    /// The limits that apply to the requests.
    pub pool: Arc<PoolId>,
    /// The number of rows.
    pub rows: u64,
    /// The number of rows whose model has no price.
    pub unpriced: u64,
    /// The estimated input tokens of all rows.
    pub input_tokens: Interval<u64>,
    /// The rows by their likely estimated input tokens.
    pub(crate) lengths: Lengths,
    /// The cost of the prompts of all rows that have a price.
    pub input_cost: Interval<Money>,
    /// The price of one output token, added up over all rows.
    pub output_token: Money,
    /// The sum of `max_tokens` of all rows.
    pub max_tokens: u64,
    /// The highest possible cost of the rows if the API bills one answer for each row.
    pub most: Money,
    /// The highest cost of the rows if all rows are sent in batches and the program adds no cache marks.
    pub most_in_batch: Money,
    /// The rows that are sent online even in a run with batches, because each is the first of its kind.
    pub(crate) online_tests: OnlineTests,
    /// The number of rows that have cache marks of their own.
    pub own_marks: u64,
    /// The number of rows to which the program can add cache marks.
    pub markable: u64,
    /// The amount by which `most` rises if the program adds cache marks to all markable rows. The first value is for
    /// five-minute marks, and the second value is for one-hour marks.
    pub extra_most: [Money; 2],
    /// The expected effect of the prompt cache; `None` if no caching is planned.
    pub caching: Option<CachedShares>,
}

/// The rows of a group that a run with batches sends online, because each is the first of its kind.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OnlineTests {
    /// The number of rows.
    pub(crate) rows: u64,
    input_cost: Interval<Money>,
    output_token: Money,
    /// The amount by which the highest cost of the rows rises because they are sent online.
    extra_most: Money,
}

/// The expected effect of the prompt cache on the rows of a group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CachedShares {
    /// The share (from 0 to 1) of input tokens that are not read from the cache. Only these tokens count against the
    /// input limit.
    pub limited: f64,
    /// The cost of the prompts with the cache, divided by the cost of the prompts without a cache.
    pub price: f64,
    /// The amount by which the cache marks raise the highest cost. [`Group::most`] includes this amount.
    pub extra_most: Money,
}

/// One row of the sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampled {
    /// The position of the row's group in [`Load::groups`].
    pub group: u32,
    /// The estimated input tokens of the row.
    pub input_tokens: u32,
    /// The highest number of output tokens that the row's request allows.
    pub max_tokens: u32,
    /// A random-looking number for the row. The number is the same in all runs on the same input.
    pub hash: u64,
}

/// A sample of the rows.
#[derive(Clone, Debug)]
struct Sample {
    rows: Vec<Sampled>,
    /// The highest hash of a row in the sample. Rows whose hash is above this threshold are left out.
    threshold: u64,
}

impl Default for Sample {
    fn default() -> Self {
        Self { rows: Vec::new(), threshold: u64::MAX }
    }
}

/// The requests that are kept so that their tokens can be counted: the requests of the rows with the lowest hashes, and
/// a few requests of each model.
#[derive(Clone, Debug, Default)]
struct Requests {
    wanted: usize,
    bytes: usize,
    /// The number of kept requests of all models.
    count: usize,
    by_model: BTreeMap<Arc<str>, BinaryHeap<Kept>>,
}

/// A request that is kept for counting its tokens.
#[derive(Clone, Debug)]
struct Kept {
    hash: u64,
    group: usize,
    estimated: u32,
    request: Request,
}

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
    }
}

impl Eq for Kept {}

impl PartialOrd for Kept {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Kept {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.hash.cmp(&other.hash)
    }
}

impl Load {
    /// Returns an empty load that keeps the requests of up to `requests` random rows.
    pub fn keeping(requests: usize) -> Self {
        Self { requests: Requests { wanted: requests, ..Requests::default() }, ..Self::default() }
    }

    /// Adds a row that will be sent. Returns the position of the row's group.
    pub fn add(&mut self, planned: &Planned) -> usize {
        let ask = &planned.ask;
        let group = self.group_of(planned);
        let sums = &mut self.groups[group];
        if let Some(prefixes) = &ask.prefixes {
            let [minutes, hour] = prefixes.extra_most;
            sums.extra_most[0] += minutes;
            sums.extra_most[1] += hour;
            sums.markable += u64::from(!ask.has_own_marks);
        }
        sums.own_marks += u64::from(ask.has_own_marks);
        sums.rows += 1;
        sums.input_tokens += ask.input_tokens.map(u64::from);
        sums.lengths.add(ask.input_tokens.likely);
        sums.max_tokens += u64::from(ask.max_tokens);
        match ask.expense {
            Some(expense) => {
                sums.input_cost += expense.input;
                sums.output_token += expense.output_token;
                sums.most += expense.most;
                sums.most_in_batch += expense.most_in_batch;
            }
            None => sums.unpriced += 1,
        }
        self.rows += 1;
        let hash = mixed(self.rows);
        if hash <= self.sample.threshold {
            let (input_tokens, max_tokens) = (ask.input_tokens.likely, ask.max_tokens);
            self.sample.add(Sampled { group: group as u32, input_tokens, max_tokens, hash });
        }
        if self.requests.wants(&ask.model, hash) {
            let estimated = ask.input_tokens.likely;
            self.requests.add(&ask.model, Kept { hash, group, estimated, request: ask.request.clone() });
        }
        group
    }

    /// Notes that a run with batches sends this row online. `group` is the position of the row's group.
    pub(crate) fn add_online_test(&mut self, group: usize, planned: &Planned) {
        let tests = &mut self.groups[group].online_tests;
        tests.rows += 1;
        if let Some(expense) = planned.ask.expense {
            tests.input_cost += expense.input;
            tests.output_token += expense.output_token;
            tests.extra_most += expense.most.less(expense.most_in_batch);
        }
    }

    /// Returns how many rows a run with batches sends online, because each is the first of its kind.
    pub(crate) fn online_tests(&self) -> u64 {
        self.groups.iter().map(|group| group.online_tests.rows).sum()
    }

    /// Sets the expected effect of the prompt cache on each group. `rates` takes the position of a group and returns
    /// the group's cache prices.
    ///
    /// Rows of several templates can share a prefix. The plan then counts the tokens of the prefix in the group of the
    /// first row. So all groups with the same model and terms get the same shares. If the program can't add cache marks
    /// to any row of a group, the group gets no shares.
    pub(crate) fn set_caching(&mut self, plan: &CachePlan, rates: &dyn Fn(usize) -> CacheRates) {
        let mut sums: HashMap<(Arc<str>, Terms), Expected> = HashMap::new();
        for (at, (group, cached)) in self.groups.iter().zip(&plan.groups).enumerate() {
            if cached.lifetime != Caching::None {
                sums.entry((group.model.clone(), group.terms)).or_default().add(cached, rates(at));
            }
        }
        let is_markable = |group: &&mut Group| group.markable > 0;
        for group in self.groups.iter_mut().filter(is_markable) {
            if let Some(expected) = sums.get_mut(&(group.model.clone(), group.terms)) {
                expected.input_tokens += group.input_tokens.likely as f64;
            }
        }
        for group in self.groups.iter_mut().filter(is_markable) {
            let Some(expected) = sums.get(&(group.model.clone(), group.terms)) else { continue };
            let shares = expected.shares(group.extra_most);
            group.most += shares.extra_most;
            group.caching = Some(shares);
        }
    }

    /// Returns a copy of the load whose figures are for a run without a prompt cache.
    pub(crate) fn without_caching(&self) -> Self {
        // If the shares were not set here, a forecast would take them from earlier answers, which may have used a
        // cache.
        let plain = CachedShares { limited: 1.0, price: 1.0, extra_most: Money::ZERO };
        let of = |group: &Group| Group {
            most: group.most.less(group.caching.map_or(Money::ZERO, |planned| planned.extra_most)),
            caching: group.caching.map(|_| plain),
            ..group.clone()
        };
        self.changed(of, |row| *row)
    }

    /// Returns the load of a run in batches: prices are halved, and the program adds no cache marks. Rows stay online
    /// if batches do not accept them. The first row of each kind has the full price, because it is sent online.
    pub(crate) fn in_batches(&self) -> Self {
        let plain = CachedShares { limited: 1.0, price: 1.0, extra_most: Money::ZERO };
        let in_batch = |group: &Group| Group {
            terms: group.terms.in_batch(),
            input_cost: group.input_cost.map(Money::half) + group.online_tests.input_cost.map(Money::half),
            output_token: group.output_token.half() + group.online_tests.output_token.half(),
            most: group.most_in_batch + group.online_tests.extra_most,
            // Prompts in batches are counted as plain input, even if the prompts of earlier answers were read from a
            // cache. It is not known whether a batch can read cache entries of earlier requests.
            caching: Some(plain),
            ..group.clone()
        };
        let of = |group: &Group| if group.terms.is_online_only { group.clone() } else { in_batch(group) };
        self.changed(of, |row| *row)
    }

    fn group_of(&mut self, planned: &Planned) -> usize {
        let ask = &planned.ask;
        if let Some(last) = self.groups.get(self.last)
            && last.template == Some(ask.template)
            && last.terms == ask.terms
        {
            return self.last;
        }
        let of_template = self.by_template.get(&(ask.template, ask.terms)).copied();
        self.last = of_template.unwrap_or_else(|| {
            let is_new = self.by_template.len() < MOST_TEMPLATES;
            let fresh = self.groups.len();
            let at = match is_new {
                true => *self.by_template.entry((ask.template, ask.terms)).or_insert(fresh),
                false => *self.by_model.entry((ask.model.clone(), ask.terms)).or_insert(fresh),
            };
            if at == fresh {
                self.groups.push(Group::new(planned, is_new.then_some(ask.template)));
            }
            at
        });
        self.last
    }

    /// Returns a load with changed groups and a changed sample. The groups keep their order. The new load does not
    /// contain the requests that were kept so that their tokens can be counted.
    pub(crate) fn changed(&self, group: impl Fn(&Group) -> Group, row: impl Fn(&Sampled) -> Sampled) -> Self {
        Self {
            groups: self.groups.iter().map(group).collect(),
            rows: self.rows,
            sample: Sample { rows: self.sample.rows.iter().map(row).collect(), threshold: self.sample.threshold },
            ..Self::default()
        }
    }

    /// Returns the number of rows.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Returns the number of rows of each model.
    pub fn rows_of_models(&self) -> BTreeMap<Arc<str>, u64> {
        let mut rows = BTreeMap::new();
        self.groups.iter().for_each(|group| *rows.entry(group.model.clone()).or_default() += group.rows);
        rows
    }

    /// Returns the groups, in the order of their first rows.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Returns the sample, in the order of the input.
    pub fn sample(&self) -> &[Sampled] {
        &self.sample.rows
    }

    /// Returns up to `most` random rows of the sample, in the order of the input.
    pub(crate) fn part_of_sample(&self, most: usize) -> Vec<Sampled> {
        let rows = &self.sample.rows;
        if rows.len() <= most {
            return rows.clone();
        }
        let mut hashes: Vec<u64> = rows.iter().map(|row| row.hash).collect();
        let (_, &mut threshold, _) = hashes.select_nth_unstable(most);
        rows.iter().filter(|row| row.hash < threshold).copied().collect()
    }

    /// Returns the kept requests in random order, each with its estimated input tokens and the position of its group.
    pub fn requests(&self) -> impl Iterator<Item = (&Request, usize, u32)> {
        let mut kept: Vec<&Kept> = self.requests.by_model.values().flatten().collect();
        kept.sort_unstable();
        kept.into_iter().map(|kept| (&kept.request, kept.group, kept.estimated))
    }

    /// Returns the estimated input tokens of all rows.
    pub fn input_tokens(&self) -> Interval<u64> {
        self.groups.iter().fold(Interval::default(), |sum, group| sum + group.input_tokens)
    }
}

/// The expected effect of the prompt cache on all groups with the same model and terms.
#[derive(Default)]
struct Expected {
    /// The estimated input tokens of all rows.
    input_tokens: f64,
    /// The tokens that are read from the cache.
    read: f64,
    /// The saved cost, in tokens of plain input. Cache reads raise this value by the amount that they save. Cache
    /// writes lower this value by their extra cost.
    saved: f64,
    lifetime: Caching,
}

impl Expected {
    fn add(&mut self, cached: &GroupCaching, rates: CacheRates) {
        let GroupCaching { write_5m, write_1h, read, lifetime } = *cached;
        self.read += read;
        self.saved += write_5m * (1.0 - rates.write_5m) + write_1h * (1.0 - rates.write_1h) + read * (1.0 - rates.read);
        self.lifetime = self.lifetime.max(lifetime);
    }

    fn shares(&self, extra_most: [Money; 2]) -> CachedShares {
        let extra_most = match self.lifetime {
            Caching::None => Money::ZERO,
            Caching::FiveMinutes => extra_most[0],
            Caching::Hour => extra_most[1],
        };
        let without = |tokens: f64| (1.0 - tokens / self.input_tokens.max(1.0)).clamp(0.0, 2.0);
        CachedShares { limited: without(self.read), price: without(self.saved), extra_most }
    }
}

impl Group {
    fn new(planned: &Planned, template: Option<u64>) -> Self {
        Self {
            template,
            model: planned.ask.model.clone(),
            terms: planned.ask.terms,
            pool: planned.ask.pool.clone(),
            rows: 0,
            unpriced: 0,
            input_tokens: Interval::default(),
            lengths: Lengths::default(),
            input_cost: Interval::default(),
            output_token: Money::ZERO,
            max_tokens: 0,
            most: Money::ZERO,
            most_in_batch: Money::ZERO,
            online_tests: OnlineTests::default(),
            own_marks: 0,
            markable: 0,
            extra_most: [Money::ZERO; 2],
            caching: None,
        }
    }
}

impl Sample {
    fn add(&mut self, row: Sampled) {
        self.rows.push(row);
        while self.rows.len() > SAMPLED {
            self.threshold /= 2;
            let threshold = self.threshold;
            self.rows.retain(|row| row.hash <= threshold);
        }
    }
}

impl Requests {
    fn wants(&self, model: &str, hash: u64) -> bool {
        let last = || self.by_model.values().filter_map(|of_model| of_model.peek()).map(|kept| kept.hash).max();
        match self.by_model.get(model) {
            _ if self.count < self.wanted => true,
            // If there is not enough room for all models, the models that came first are kept.
            None => self.by_model.len() < self.wanted,
            Some(of_model) => of_model.len() < self.share() || last().is_some_and(|last| hash < last),
        }
    }

    /// Returns how many requests are kept for each model, even if requests of other models have lower hashes.
    fn share(&self) -> usize {
        (self.wanted / self.by_model.len().max(1)).clamp(1, OF_EACH_MODEL)
    }

    fn add(&mut self, model: &Arc<str>, kept: Kept) {
        self.bytes += kept.request.json().len();
        self.count += 1;
        self.by_model.entry(model.clone()).or_default().push(kept);
        while self.count > self.wanted || (self.bytes > REQUEST_BYTES && self.count > 1) {
            self.drop_one();
        }
    }

    /// Drops the request with the highest hash. If some models have more requests than their `share`, the dropped
    /// request is from one of these models.
    fn drop_one(&mut self) {
        let share = self.share();
        let order = |of_model: &BinaryHeap<Kept>| (of_model.len() > share, of_model.peek().map(|kept| kept.hash));
        let Some(of_model) = self.by_model.values_mut().max_by_key(|of_model| order(of_model)) else { return };
        if let Some(last) = of_model.pop() {
            self.bytes -= last.request.json().len();
            self.count -= 1;
        }
        self.by_model.retain(|_, of_model| !of_model.is_empty());
    }
}

/// Returns a hash of a row's position, made with the function SplitMix64.
fn mixed(number: u64) -> u64 {
    let mut bits = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use super::super::tests::params;
    use super::super::{Dialect, Planner, RequestDefaults};
    use super::*;
    use crate::catalog::Catalog;
    use crate::domain::{JobId, Origin, Params};
    use crate::source::Row;

    /// Returns the load of these rows, which are JSON objects of parameters.
    pub(crate) fn load(rows: impl Iterator<Item = String>, requests: usize) -> Load {
        load_with_tests(rows, requests, 0)
    }

    /// Returns the load of these rows. A run with batches sends the first `tests` rows online.
    pub(crate) fn load_with_tests(rows: impl Iterator<Item = String>, requests: usize, tests: usize) -> Load {
        let dialect = Dialect { api_version: "2023-06-01".to_owned(), betas: Vec::new() };
        let catalog = Arc::new(Catalog::builtin());
        let mut planner = Planner::new(RequestDefaults::default(), dialect, catalog, "anthropic".into(), "".into());
        let mut load = Load::keeping(requests);
        for (number, json) in rows.enumerate() {
            let origin = Origin { source: "rows".into(), line: number as u64 + 1 };
            let (params, extra) = (params(&json), Params::default());
            let row = Row { origin, custom_id: None, params, extra, error: None, input: None };
            let planned = planner.plan(row, JobId(number as u64)).expect("the row is valid");
            let group = load.add(&planned);
            if number < tests {
                load.add_online_test(group, &planned);
            }
        }
        load
    }

    /// Returns a row with the prompt `text` and the additional members `rest`.
    pub(crate) fn row(text: &str, rest: &str) -> String {
        format!(r#"{{"messages":[{{"role":"user","content":"{text}"}}],"max_tokens":100{rest}}}"#)
    }

    #[test]
    fn a_plan_for_the_cache_changes_only_the_groups_with_marks_and_can_be_left_out() {
        let mut load = load([row("Hi", ""), row("Ho", r#","system":"x""#)].into_iter(), 0);
        load.groups[1].extra_most = [Money(5), Money(7)];
        load.groups[1].markable = 1;
        let before = load.groups[1].most;
        let lifetime = Caching::Hour;
        let planned = GroupCaching {
            write_1h: 1.0,
            read: load.groups[1].input_tokens.likely as f64 - 1.0,
            lifetime,
            ..GroupCaching::default()
        };
        let mut plan = CachePlan::default();
        plan.groups = vec![GroupCaching::default(), planned];

        load.set_caching(&plan, &|_| CacheRates::default());

        let shares = load.groups[1].caching.expect("it has marks");
        assert!(load.groups[0].caching.is_none() && shares.limited < 0.2 && shares.price < 0.4, "{shares:?}");
        assert_eq!(load.groups[1].most, before + Money(7));
        let without = load.without_caching();
        let plain = without.groups[1].caching.expect("earlier answers do not count");
        assert_eq!((plain.limited, plain.price, without.groups[1].most), (1.0, 1.0, before));
    }

    #[test]
    fn a_prefix_that_rows_of_several_templates_share_makes_all_of_them_cheaper() {
        let mut load =
            load([row("Hi", ""), row("Ho", r#","system":"x""#), row("Hi", r#","model":"mine""#)].into_iter(), 0);
        load.groups[..2].iter_mut().for_each(|group| group.markable = 1);
        let all: u64 = load.groups[..2].iter().map(|group| group.input_tokens.likely).sum();
        let planned =
            GroupCaching { read: all as f64 / 2.0, lifetime: Caching::FiveMinutes, ..GroupCaching::default() };
        let mut plan = CachePlan::default();
        plan.groups = vec![planned];

        load.set_caching(&plan, &|_| CacheRates { read: 0.1, ..CacheRates::default() });

        let shares: Vec<_> = load.groups.iter().map(|group| group.caching.map(|of| (of.limited, of.price))).collect();
        assert_eq!(shares, [Some((0.5, 0.55)), Some((0.5, 0.55)), None]);
    }

    #[test]
    fn the_sums_of_all_groups_are_the_sums_of_all_rows() {
        let rows = [row("Hi", ""), row("Ho", r#","system":"x""#), row("Hey", ""), row("Hi", r#","model":"mine""#)];

        let load = load(rows.into_iter(), 0);

        let groups: Vec<_> = load.groups().iter().map(|group| (group.rows, group.unpriced, group.max_tokens)).collect();
        assert_eq!(groups, [(2, 0, 200), (1, 0, 100), (1, 1, 100)]);
        assert_eq!(load.input_tokens().likely, 4 * 9);
        assert_eq!(load.groups()[0].output_token, Money::per_token(5.0).times(2));
    }

    #[test]
    fn many_templates_of_a_model_share_one_group_and_nothing_is_lost() {
        let templates = MOST_TEMPLATES + 50;

        let load = load((0..templates).map(|number| row("Hi", &format!(r#","system":"{number}""#))), 0);

        assert_eq!(load.groups().len(), MOST_TEMPLATES + 1);
        assert_eq!(load.groups().iter().map(|group| group.rows).sum::<u64>(), templates as u64);
        assert_eq!((load.groups()[MOST_TEMPLATES].template, load.groups()[MOST_TEMPLATES].rows), (None, 50));
    }

    #[test]
    fn the_sample_is_bounded_in_order_and_represents_all_rows() {
        let mut sample = Sample::default();
        let rows = 20 * SAMPLED as u64;
        for number in 1..=rows {
            let hash = mixed(number);
            if hash <= sample.threshold {
                sample.add(Sampled { group: (number % 2) as u32, input_tokens: number as u32, max_tokens: 1, hash });
            }
        }

        assert!((SAMPLED / 3..=SAMPLED).contains(&sample.rows.len()), "{}", sample.rows.len());
        assert!(sample.rows.is_sorted_by_key(|row| row.input_tokens));
        let odd = sample.rows.iter().filter(|row| row.group == 1).count() as f64 / sample.rows.len() as f64;
        let mean = sample.rows.iter().map(|row| f64::from(row.input_tokens)).sum::<f64>() / sample.rows.len() as f64;
        assert!((0.48..0.52).contains(&odd), "{odd}");
        assert!((0.48..0.52).contains(&(mean / rows as f64)), "{mean}");
    }

    #[test]
    fn the_kept_requests_come_from_the_whole_input() {
        let load = load((0..2_000).map(|number| row(&number.to_string(), "")), 20);

        let kept: Vec<String> =
            load.requests().map(|(request, ..)| String::from_utf8_lossy(request.json()).into_owned()).collect();

        assert_eq!(kept.len(), 20);
        let late = kept.iter().filter(|json| json.contains(r#""content":"1"#) && json.len() > 90).count();
        assert!((4..=17).contains(&late), "{kept:?}");
    }

    #[test]
    fn a_few_requests_of_each_model_are_kept() {
        let model = |number: usize| match number % 50 {
            7 => r#","model":"claude-opus-5""#,
            9 => r#","model":"claude-sonnet-5""#,
            _ => "",
        };

        let load = load((0..300).map(|number| row(&number.to_string(), model(number))), 50);

        let mut of_model = BTreeMap::<&str, usize>::new();
        for (_, group, _) in load.requests() {
            *of_model.entry(&load.groups()[group].model).or_default() += 1;
        }
        assert_eq!(of_model.values().sum::<usize>(), 50);
        assert!(of_model.len() == 3 && of_model.values().all(|kept| *kept >= 5), "{of_model:?}");
    }

    #[test]
    fn no_more_requests_are_kept_than_wanted_although_each_row_has_its_own_model() {
        let load = load((0..300).map(|number| row("Hi", &format!(r#","model":"{number}""#))), 20);

        assert_eq!(load.requests().count(), 20);
    }
}
