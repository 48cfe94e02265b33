//! The cheapest correct plan for the cache, computed from the real tokens of the rows and the prices of the simulated
//! API.
//!
//! The prompts of all rows form a trie of chunks (parts of prompts). A prefix is cached if at least two rows have it
//! and if it is long enough for the model. The first row with the prefix writes an entry that lives for five minutes,
//! and all other rows read this entry. No other order of the rows costs less, because each additional write raises the
//! cost. Chunks that belong to no cached prefix are plain input in every row. A prefix that would expire too soon is
//! written again, or is written once with a lifetime of an hour. The plan chooses the cheaper of these two ways.
//!
//! This file shares no code with the planner.

use std::collections::BTreeMap;

use claude_batch::domain::Money;
use claude_batch::sim::presets;

use super::case::{Case, Row};

/// The cost of all rows with the cheapest plan, and their cost without a cache.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cheapest {
    /// The cost of the cheapest plan.
    pub cost: Money,
    /// The cost without a cache.
    pub plain: Money,
    /// The number of prefixes that the cheapest plan writes to the cache.
    pub writes: u64,
    /// The number of tokens that the cheapest plan writes to the cache.
    pub written: u64,
    /// The number of all input tokens.
    pub input: u64,
    /// The number of input tokens that count against the input limit in the cheapest plan. Tokens that are read from
    /// the cache do not count against this limit.
    pub limited: u64,
}

/// A prefix of prompts: a node of the trie.
#[derive(Debug, Default)]
struct Node {
    tokens: u64,
    rows: u64,
    longer: BTreeMap<(u64, u64), Node>,
}

impl Node {
    fn add(&mut self, row: &Row) {
        let mut node = self;
        for chunk in &row.chunks {
            node = node.longer.entry((chunk.content, chunk.tokens)).or_default();
            node.tokens = chunk.tokens;
            node.rows += 1;
        }
    }
}

/// Whether the prefixes are in the cache when the run begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begins {
    /// No prefix.
    Cold,
    /// All prefixes that several rows share.
    Warm,
}

/// Returns the cheapest plan for all rows of a workload.
pub fn cheapest(case: &Case, begins: Begins) -> Cheapest {
    let rows = (0..case.rows).map(|number| (case.row)(number));
    let mut tries: BTreeMap<&'static str, Node> = BTreeMap::new();
    for row in rows {
        let trie = tries.entry(row.model).or_default();
        trie.rows += 1;
        trie.add(&row);
    }
    let models = presets::models();
    let mut sum = Cheapest::default();
    for (name, trie) in tries {
        let is_named = |id: &str| id == name;
        let found =
            models.iter().find(|model| is_named(&model.id) || model.aliases.iter().any(|alias| is_named(alias)));
        let model = found.expect("the simulated API has the model");
        let price = model.price.expect("the model has a price");
        let prices = Prices {
            plain: price.input.0,
            first: if begins == Begins::Cold { price.cache_write_5m.0 } else { price.cache_read.0 },
            hour: price.cache_write_1h.0,
            seconds: case.limits.rpm.map_or(0.0, |rpm| 60.0 / f64::from(rpm)),
            read: price.cache_read.0,
            least: model.cache_min_tokens,
        };
        trie.longer.values().for_each(|node| node.price(&prices, 0, 0, &mut sum));
        let output = price.output.times(u64::from(case.output) * trie.rows);
        sum.cost += output;
        sum.plain += output;
    }
    if begins == Begins::Warm {
        (sum.writes, sum.written) = (0, 0);
    }
    sum
}

/// Returns the same workload without the prefixes that the cheapest plan caches. In this workload, a row contains only
/// the part of its prompt that belongs to no cached prefix.
pub fn without_prefixes(case: &Case) -> Case {
    let mut tries: BTreeMap<&'static str, Node> = BTreeMap::new();
    let rows: Vec<Row> = (0..case.rows).map(|number| (case.row)(number)).collect();
    rows.iter().for_each(|row| tries.entry(row.model).or_default().add(row));
    let models = presets::models();
    let least = |name: &str| {
        let is_named = |id: &str| id == name;
        let found =
            models.iter().find(|model| is_named(&model.id) || model.aliases.iter().any(|alias| is_named(alias)));
        found.map_or(0, |model| model.cache_min_tokens)
    };
    let cached = |row: &Row| {
        let (mut node, mut length, mut cached) = (&tries[row.model], 0, 0);
        for (at, chunk) in row.chunks.iter().enumerate() {
            node = &node.longer[&(chunk.content, chunk.tokens)];
            length += chunk.tokens;
            cached = if node.rows > 1 && length >= least(row.model) { at + 1 } else { cached };
        }
        cached
    };
    let rows: Vec<Row> = rows.iter().map(|row| row.without(cached(row))).collect();
    let left = Case::new(&case.name, &*case.about, case.rows, move |number| rows[number].clone());
    Case {
        template: case.template.as_ref().map(|_| "x {{q}}".to_owned()),
        limits: case.limits,
        burst: case.burst,
        at_once: case.at_once,
        output: case.output,
        first_token: case.first_token,
        is_pipe: case.is_pipe,
        seed: case.seed,
        ..left
    }
}

/// The shorter lifetime of a cache entry, in seconds.
const FIVE_MINUTES: f64 = 300.0;

struct Prices {
    plain: u128,
    /// The price of a prefix token in the first row that has the prefix.
    first: u128,
    /// The price of writing one token to the one-hour cache.
    hour: u128,
    /// The time between two rows, in seconds.
    seconds: f64,
    read: u128,
    least: u64,
}

impl Node {
    /// Adds the price of this prefix and of all longer prefixes. `before` is the length of the next shorter prefix.
    /// `open` is the number of uncached tokens at the end of the shorter prefix.
    fn price(&self, prices: &Prices, before: u64, open: u64, sum: &mut Cheapest) {
        let (length, own) = (before + self.tokens, open + self.tokens);
        sum.input += self.tokens * self.rows;
        sum.plain += Money(prices.plain * u128::from(self.tokens * self.rows));
        // If all rows share a longer prefix, only the longer prefix is written.
        let is_last = self.longer.values().all(|node| node.rows < self.rows);
        let pays = prices.first + prices.read * u128::from(self.rows - 1) < prices.plain * u128::from(self.rows);
        let is_cached = is_last && self.rows > 1 && length >= prices.least && pays;
        let open = if is_cached { 0 } else { own };
        if is_cached && own > 0 {
            // A row uses only the longest prefix that it reads. So a shorter prefix is not used while the rows of a
            // longer prefix are sent. If sending these rows takes more than five minutes, the shorter prefix has
            // expired and is written again. With a lifetime of an hour, the shorter prefix is written only once.
            let is_slow = |node: &&Node| node.rows > 1 && node.rows as f64 * prices.seconds > FIVE_MINUTES;
            let pauses = self.longer.values().filter(is_slow).count().saturating_sub(1) as u64;
            let again = prices.first * u128::from(1 + pauses) + prices.read * u128::from(self.rows - 1 - pauses);
            let hour = prices.hour + prices.read * u128::from(self.rows - 1);
            let (price, writes) = if again <= hour { (again, 1 + pauses) } else { (hour, 1) };
            sum.cost += Money(price * u128::from(own));
            sum.writes += writes;
            sum.written += writes * own;
            sum.limited += writes * own;
        }
        let ends_here = self.rows - self.longer.values().map(|node| node.rows).sum::<u64>();
        sum.cost += Money(prices.plain * u128::from(open * ends_here));
        sum.limited += open * ends_here;
        self.longer.values().for_each(|node| node.price(prices, length, open, sum));
    }
}
