//! Makes the workloads of `benches/CACHING.md`. `Size` says how many rows each workload has.

use std::time::Duration;

use claude_batch::domain::RateLimits;
use claude_batch::sim::config::Burst;

use super::case::{Case, Draft, TIER_2, content, shuffled, template, template_row};

/// The size of the workloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// The workloads are as large as those in `benches/CACHING.md`.
    Full,
    /// The workloads are small enough for a test.
    Small,
}

const SYSTEM: u64 = 1;
const QUESTION: u64 = 2;
const DOCUMENT: u64 = 3;
const TURN: u64 = 4;

/// Returns all workloads.
pub fn all(size: Size) -> Vec<Case> {
    vec![
        few_prefixes(size),
        many_prefixes(size, Order::Groups),
        many_prefixes(size, Order::Shuffled),
        small_groups(size),
        nested(size, Order::Groups),
        nested(size, Order::Shuffled),
        from_template(size),
        around_the_minimum("f below the minimum", 900, size),
        around_the_minimum("f just below", 990, size),
        around_the_minimum("f just above", 1_040, size),
        around_the_minimum("f above the minimum", 1_120, size),
        conversations(size),
        unique(size),
        one_prefix(size),
        slow_groups(size),
        slow_nested(size),
        pipe(size),
    ]
}

/// The order of the rows in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The rows of a group come one after the other.
    Groups,
    /// The rows come in random order.
    Shuffled,
}

impl Order {
    fn places(self, rows: usize) -> Vec<usize> {
        match self {
            Self::Groups => (0..rows).collect(),
            Self::Shuffled => shuffled(rows, 7),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Groups => "in groups",
            Self::Shuffled => "shuffled",
        }
    }
}

fn rows(size: Size, full: usize, small: usize) -> usize {
    match size {
        Size::Full => full,
        Size::Small => small,
    }
}

/// Ten thousand rows with five prefixes.
fn few_prefixes(size: Size) -> Case {
    let (count, tokens) = (rows(size, 10_000, 150), rows(size, 6_000, 2_000) as u64);
    let row = move |number: usize| {
        Draft::new(number).system(content(SYSTEM, number % 5), tokens).user(content(QUESTION, number), 60).row()
    };
    let case = Case::new("a few prefixes", format!("5 prefixes of {tokens} tokens, in turn"), count, row);
    Case { burst: short(size, case.burst), ..case }
}

/// Ten thousand rows with a thousand prefixes. The limit on requests decides how long the run takes.
fn many_prefixes(size: Size, order: Order) -> Case {
    let (count, groups) = (rows(size, 10_000, 120), rows(size, 1_000, 12));
    let tokens = rows(size, 2_500, 1_500) as u64;
    let places = order.places(count);
    let row = move |number: usize| {
        let place = places[number];
        let group = place / (count / groups);
        Draft::new(number).system(content(SYSTEM, group), tokens).user(content(QUESTION, place), 60).row()
    };
    let about = format!("{groups} prefixes of {tokens} tokens for 10 rows each, {}", order.word());
    let case = Case::new(&format!("b many prefixes, {}", order.word()), about, count, row);
    Case { burst: short(size, case.burst), ..case }
}

/// Three rows for each prefix. The limits allow all rows to be sent at the same time.
fn small_groups(size: Size) -> Case {
    let (count, at_once) = (rows(size, 300, 90), rows(size, 200, 60));
    let row = |number: usize| {
        Draft::new(number).system(content(SYSTEM, number / 3), 2_000).user(content(QUESTION, number), 60).row()
    };
    let about = format!("{} prefixes of 2,000 tokens for 3 rows each, {at_once} at once", count / 3);
    let case = Case::new("c small groups", about, count, row);
    Case { at_once: Some(at_once), limits: RateLimits::new(50_000, 50_000_000, 10_000_000), output: 400, ..case }
}

/// A system prompt for all rows, and one document for every twenty rows.
fn nested(size: Size, order: Order) -> Case {
    let case = about_documents(size, rows(size, 4_000, 120), order, 0);
    Case { name: format!("d nested, {}", order.word()), ..case }
}

/// The rows that are sent before the rows of [`second_run`].
pub fn first_run(size: Size) -> Case {
    about_documents(size, rows(size, 1_500, 120), Order::Groups, 0)
}

/// Rows with other questions about the documents of [`first_run`]. These documents are already in the cache.
pub fn second_run(size: Size) -> Case {
    let case = about_documents(size, rows(size, 1_500, 120), Order::Groups, 1_000_000);
    let about = format!("other questions about cached documents: {}", case.about);
    Case { name: "h second run".to_owned(), about, ..case }
}

/// Rows with a system prompt, a document and a question. `from` is the number of the first question.
fn about_documents(size: Size, count: usize, order: Order, from: usize) -> Case {
    let (system, document) = (rows(size, 3_000, 1_200) as u64, rows(size, 2_000, 900) as u64);
    let places = order.places(count);
    let row = move |number: usize| {
        let place = places[number];
        let blocks = [(content(DOCUMENT, place / 20), document), (content(QUESTION, place + from), 40)];
        Draft::new(number).system(content(SYSTEM, 0), system).message("user", &blocks).row()
    };
    let about =
        format!("a system prompt of {system} tokens, a document of {document} for 20 rows each, {}", order.word());
    let case = Case::new("documents", about, count, row);
    Case { burst: short(size, case.burst), ..case }
}

/// A template with a long fixed start.
fn from_template(size: Size) -> Case {
    let start = (content(SYSTEM, 0), rows(size, 5_000, 2_000) as u64);
    let about = format!("a template with a fixed start of {} tokens", start.1);
    let row = move |number: usize| template_row(number, start, (content(QUESTION, number), 50));
    let case = Case::new("e template", about, rows(size, 3_000, 120), row);
    Case { template: Some(template(start)), burst: short(size, case.burst), ..case }
}

/// Prefixes that are about as long as the shortest prefix that the model caches (1,024 tokens).
fn around_the_minimum(name: &str, tokens: u64, size: Size) -> Case {
    let count = rows(size, 1_000, 100);
    let row = move |number: usize| {
        Draft::new(number).system(content(SYSTEM, number / 50), tokens).user(content(QUESTION, number), 60).row()
    };
    let case = Case::new(name, format!("prefixes of {tokens} tokens for 50 rows each; minimum 1,024"), count, row);
    Case { burst: short(size, case.burst), ..case }
}

/// Rows of several conversations: one row of each conversation, then the next row of each, and so on. Each row is the
/// next turn of its conversation.
fn conversations(size: Size) -> Case {
    let (talks, turns) = (rows(size, 100, 8), rows(size, 12, 8));
    let system = rows(size, 2_500, 1_200) as u64;
    let row = move |number: usize| {
        let (turn, talk) = (number / talks, number % talks);
        let mut draft = Draft::new(number).system(content(SYSTEM, 0), system);
        for past in 0..turn {
            let at = talk * 1_000 + past * 2;
            draft = draft.user(content(TURN, at), 80).message("assistant", &[(content(TURN, at + 1), 300)]);
        }
        draft.user(content(TURN, talk * 1_000 + turn * 2), 80).row()
    };
    let about = format!("{talks} conversations of {turns} turns, each row one turn longer, in turn");
    let case = Case::new("g conversations", about, talks * turns, row);
    Case { burst: short(size, case.burst), ..case }
}

/// Long rows that share nothing.
fn unique(size: Size) -> Case {
    let tokens = rows(size, 3_000, 1_500) as u64;
    let row = move |number: usize| Draft::new(number).user(content(QUESTION, number), tokens).row();
    let about = format!("rows of {tokens} tokens that share nothing");
    Case::new("i unique", about, rows(size, 1_000, 60), row)
}

/// Rows that share one long prefix. If the prefix is cached, the limit on requests decides how long the run takes.
fn one_prefix(size: Size) -> Case {
    let tokens = rows(size, 8_000, 1_100) as u64;
    let row = move |number: usize| {
        Draft::new(number).system(content(SYSTEM, 0), tokens).user(content(QUESTION, number), 60).row()
    };
    let about = format!("a prefix of {tokens} tokens for all rows, tier 2");
    let case = Case::new("j one prefix", about, rows(size, 2_000, 900), row);
    Case { limits: TIER_2, burst: Burst::Time(Duration::from_secs(10)), ..case }
}

/// Rows that are sent slowly. If these rows were sent in the order of the input, each cache entry would expire before
/// the next row with its prefix.
fn slow_groups(size: Size) -> Case {
    let (groups, of_group) = (20, rows(size, 15, 5));
    let row = move |number: usize| {
        Draft::new(number).system(content(SYSTEM, number % groups), 1_500).user(content(QUESTION, number), 60).row()
    };
    let about = format!("{groups} prefixes of 1,500 tokens for {of_group} rows each, in turn, 3 requests a minute");
    let case = Case::new("l slow, in turn", about, groups * of_group, row);
    Case { limits: RateLimits { rpm: Some(3), ..TIER_2 }, burst: Burst::Time(Duration::from_secs(20)), ..case }
}

/// All rows share a system prompt, and many rows share each document. Sending the rows of one document takes longer
/// than the lifetime of a cache entry.
fn slow_nested(size: Size) -> Case {
    let (documents, of_document) = (rows(size, 12, 4), 30);
    let row = move |number: usize| {
        let blocks = [(content(DOCUMENT, number / of_document), 900), (content(QUESTION, number), 40)];
        Draft::new(number).system(content(SYSTEM, 0), 1_500).message("user", &blocks).row()
    };
    let about = format!(
        "a system prompt of 1,500 tokens, {documents} documents of 900 for {of_document} rows each, 4 requests a minute"
    );
    let case = Case::new("m slow, nested", about, documents * of_document, row);
    Case { limits: RateLimits { rpm: Some(4), ..TIER_2 }, burst: Burst::Time(Duration::from_secs(15)), ..case }
}

/// Rows from a pipe. The prefixes of these rows are not known in advance.
fn pipe(size: Size) -> Case {
    let (count, groups) = (rows(size, 2_000, 120), rows(size, 100, 12));
    let row = move |number: usize| {
        let group = number / (count / groups);
        Draft::new(number).system(content(SYSTEM, group), 1_500).user(content(QUESTION, number), 60).row()
    };
    let about = format!("a pipe: {groups} prefixes of 1,500 tokens for {} rows each, in groups", count / groups);
    let case = Case::new("n pipe", about, count, row);
    Case { is_pipe: true, burst: short(size, case.burst), ..case }
}

/// Returns a short burst for small workloads, so that small workloads also reach the limits.
fn short(size: Size, burst: Burst) -> Burst {
    match size {
        Size::Full => burst,
        Size::Small => Burst::Time(Duration::from_secs(5)),
    }
}
