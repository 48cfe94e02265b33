//! Makes the page `benches/CACHING.md` from the results.

use std::fmt::Write;

use crate::judge::{Judged, MOST_COST, MOST_OF_PLAIN, MOST_TIME, MOST_TIME_OF_LIMITS};
use crate::kills::Killed;
use crate::random::Random;

/// Returns the text of the page.
pub fn page(judged: &[Judged], random: &[Random], killed: &[Killed]) -> String {
    let mut text = String::from(HEAD);
    text += "| workload | rows | | cost | of the cheapest | of no cache | writes | expected | time | of a warm cache | of no prefixes | without cache | 429s | |\n\
             |---|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|\n";
    for one in judged {
        let misses = one.misses();
        let _ = writeln!(
            text,
            "| {} | {} | {} | ${:.3} | {:.4} | {:.4} | {} | {} | {:.0} s | {:.4} | {:.4} | {:.0} s | {} | {} |",
            one.name,
            one.rows,
            one.about,
            one.auto.cost.dollars(),
            one.of_cheapest(),
            one.of_plain(),
            one.auto.writes,
            one.cheapest.writes,
            one.auto.seconds,
            one.of_warm(),
            one.of_free(),
            one.off.seconds,
            one.auto.refused,
            if misses.is_empty() { "holds".to_owned() } else { format!("**misses**: {}", misses.join("; ")) },
        );
    }
    for one in judged.iter().filter(|one| one.name.starts_with('j')) {
        let _ = writeln!(
            text,
            "\nIn workload j, the run takes {:.4} times as long as its requests and its output need (bar: {MOST_TIME_OF_LIMITS}).",
            one.of_least_time()
        );
    }
    let _ = write!(text, "\n## Random workloads\n\n{RANDOM}\n{}", of_random(random));
    let _ = write!(text, "\n## Killed runs\n\n{KILLS}\n{}", of_kills(killed));
    text.replace("{MOST_COST}", &MOST_COST.to_string())
        .replace("{MOST_TIME}", &MOST_TIME.to_string())
        .replace("{MOST_OF_PLAIN}", &MOST_OF_PLAIN.to_string())
}

/// Returns the summary of the random workloads. If a workload costs more than allowed, the summary has a line for it.
pub fn of_random(random: &[Random]) -> String {
    let Some(worst) = random.iter().max_by(|one, other| one.of_plain.total_cmp(&other.of_plain)) else {
        return String::new();
    };
    let mean = |value: fn(&Random) -> f64| random.iter().map(value).sum::<f64>() / random.len() as f64;
    let misses: Vec<_> = random.iter().filter(|one| !one.holds()).collect();
    let mut text = format!(
        "{} random workloads: the cost is {:.3} of the cost without a cache on average, and {:.4} at worst (seed {}); \
         {} miss the bar, {} of them with a server that loses entries. Rows: {}. Refusals: {}.\n",
        random.len(),
        mean(|one| one.of_plain),
        worst.of_plain,
        worst.seed,
        misses.len(),
        misses.iter().filter(|one| one.loses_entries && one.is_bounded()).count(),
        random.iter().map(|one| one.rows).sum::<u64>(),
        random.iter().map(|one| one.played.refused).sum::<u64>(),
    );
    if misses.is_empty() {
        return text;
    }
    text.push_str(
        "\nThe workloads that miss the bar:\n\n| seed | ÷ cost without a cache | ÷ cheapest plan | rows answered | \
         writes | reads | workload |\n|---|---|---|---|---|---|---|\n",
    );
    for one in misses {
        let _ = writeln!(
            text,
            "| {} | {:.4} | {:.4} | {} of {} | {} | {} | {} |",
            one.seed,
            one.of_plain,
            one.of_cheapest,
            one.played.answered,
            one.rows,
            one.played.writes,
            one.played.reads,
            one.about
        );
    }
    text
}

/// Returns the summary of the killed runs. If a killed run wrote more than two cache entries per prefix, the summary
/// has a line about this run.
pub fn of_kills(killed: &[Killed]) -> String {
    if killed.is_empty() {
        return String::new();
    }
    let sum = |value: fn(&Killed) -> u64| killed.iter().map(value).sum::<u64>();
    let mut text = format!(
        "{} kills, {} of them before the end of the run: no row was lost; {} cache entries written for {} prefixes, {} rows billed again; {} miss the bar.\n",
        killed.len(),
        killed.iter().filter(|one| !one.has_ended).count(),
        sum(|one| one.writes),
        sum(|one| one.prefixes),
        sum(|one| one.billed_again),
        killed.iter().filter(|one| !one.holds()).count(),
    );
    for one in killed.iter().filter(|one| !one.holds()) {
        let (moment, pause) = one.at;
        let _ = writeln!(
            text,
            "- killed after {moment:.2} s, resumed {pause} s later: {} writes for {} prefixes, {} rows billed again",
            one.writes, one.prefixes, one.billed_again
        );
    }
    text
}

const HEAD: &str = "\
# What prompt caching saves, and what it costs

`cargo bench --bench caching` writes this page. Each workload is a whole run on virtual time: the real survey, plan,
feeder, scheduler and loop send the rows to the simulated API. The simulated API counts and bills all tokens, and it
shares no code with the plan.

*The cheapest plan* caches each prefix that several rows share and that is long enough for the model. The prefix is
written once for five minutes, and read by all other rows. If the prefix would expire too soon, it is written again, or
written for an hour: the plan takes the cheaper way. The cost of this plan is computed from the tokens that the
simulated API counts, and from its prices.

| column | meaning | bar |
|---|---|---|
| of the cheapest | the cost, divided by the cost of the cheapest plan | at most {MOST_COST} |
| of no cache | the cost, divided by the cost without caching | at most {MOST_OF_PLAIN} |
| writes, expected | the number of cache entries that the run wrote, and the number that the cheapest plan writes | equal |
| of a warm cache | the time, divided by the time of the same run on a cache that contains all prefixes from the start | at most {MOST_TIME} |
| of no prefixes | the time, divided by the time of the same rows without the cached prefixes: nothing is written, and no row waits | |
| without cache | the time without caching | |
| 429s | requests that the API refused because of a limit | |

";

const RANDOM: &str = "\
The rows have several shapes and models, and their prefixes are about as long as the shortest prefix that the model
caches. A group of 1 to 50 rows shares a prefix. The rows come from files and pipes. Their groups come one after the
other, take turns, or are shuffled. Some limits are so slow that cache entries expire. Some caches refuse marks, ignore
them or lose entries. The bar: at most {MOST_OF_PLAIN} of the cost without a cache.

The run learns only from the answers that a server loses entries. By that time, the first row of each prefix and some
later rows have written entries that no row reads. Such a write costs 1.25 times as much as the same prefix without a
cache. So a small run with such a server misses the bar. The test in `tests/caching` allows 1.25 for these servers.
";

const KILLS: &str = "\
Each run is killed at a random moment while prefixes are being written, and resumed after a pause of up to 400 seconds.
The bar: no row is lost, no row has two answers, and the kill causes at most one more write of each prefix.
";
