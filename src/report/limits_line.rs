//! Shows on the live lines how much of each limit was used in the last five minutes.
//!
//! The live lines use the same words as the summary. In the first seconds of a run, the program does not know yet how
//! much of each limit is used. So at first, the live lines show the limits themselves.

use super::notes::limits_words;
use super::parts::{Part, Tone, line_width};
use super::stats::Stats;
use super::text::{countdown, escape, percent, short_count, shorten};
use super::use_of_limits::is_burst;
use crate::domain::{Dimension, PoolStatus, RateLimits, Reason};

/// The largest width of the name of a pool, in columns.
const LONGEST_NAME: usize = 24;

/// A limit, and the share of it that was used. The share is 1 if the whole limit was used.
type Used = (Dimension, f64);

/// Returns the pools of the run. The pool that has used the largest share of one of its limits comes first. Pools
/// without a limit are left out.
pub(super) fn by_use<'a>(stats: &Stats, pools: impl Iterator<Item = &'a PoolStatus>) -> Vec<&'a PoolStatus> {
    let mut pools: Vec<_> =
        pools.filter(|pool| Dimension::ALL.iter().any(|own| pool.limits.of(*own).is_some())).collect();
    // If two pools have the same whole percentage, they are sorted by name. So a small change of a percentage does not
    // swap the two pools.
    pools.sort_by_key(|pool| (std::cmp::Reverse(most(&used(stats, pool))), pool.pool.to_string()));
    pools
}

/// Returns the parts of the line of a pool: `used 83% of requests, 12% of input tokens, 96% of output tokens`. If the
/// line is wider than `columns`, the least used limits are left out. If `named` is true, the line begins with the name
/// of the pool.
pub(super) fn pool_parts(stats: &Stats, pool: &PoolStatus, named: bool, columns: usize) -> Vec<Part> {
    let mut lead = Vec::new();
    if named {
        let name = pool.pool.to_string();
        let name = escape(&name);
        lead.push(Part::new(10, format!("{}:", shorten(&name, LONGEST_NAME)), format!("{}:", shorten(&name, 12))));
    }
    let reason = stats.standing.as_ref().map(|standing| standing.reason);
    let held = pool
        .held_for
        .filter(|_| named)
        .map(|wait| Part::fixed(9, format!("held, {} left", countdown(wait))).in_tone(Tone::Notable));
    let room = columns.saturating_sub(line_width(&lead) + 1);
    let room = held.as_ref().map_or(room, |held| room.saturating_sub(line_width(std::slice::from_ref(held)) + 3));
    let uses = use_parts(stats, pool, reason, room);
    if line_width(&uses) > room && held.is_some() {
        return lead.into_iter().chain(held.map(|held| held.after(" "))).collect();
    }
    let mut parts = lead;
    for (at, part) in uses.into_iter().enumerate() {
        parts.push(if at == 0 { part.after(" ") } else { part });
    }
    parts.extend(held);
    parts
}

/// Returns the parts of the line that say how much of a pool's limits is used. If the used amount is not known yet, the
/// parts show the limits instead.
pub(super) fn use_parts(stats: &Stats, pool: &PoolStatus, reason: Option<Reason>, columns: usize) -> Vec<Part> {
    let mut used = used(stats, pool);
    if used.is_empty() {
        return match Dimension::ALL.iter().any(|own| pool.limits.of(*own).is_some()) {
            true => vec![Part::new(8, limits_words(&pool.limits), short_limits(&pool.limits))],
            false => Vec::new(),
        };
    }
    let binds = |dimension: Dimension| reason == Some(Reason::Limit(dimension));
    loop {
        let parts = words(&used, binds);
        if line_width(&parts) <= columns || used.len() == 1 {
            return parts;
        }
        let least = used.iter().enumerate().min_by(|(_, a), (_, b)| {
            (binds(a.0), a.1).partial_cmp(&(binds(b.0), b.1)).unwrap_or(std::cmp::Ordering::Equal)
        });
        let Some((at, _)) = least else { return parts };
        used.remove(at);
    }
}

/// Returns rate limits in a short form: `1.0k requests, 450k in, 90.0k out /min`.
fn short_limits(limits: &RateLimits) -> String {
    let shown = [(limits.rpm, "requests"), (limits.itpm, "in"), (limits.otpm, "out")]
        .into_iter()
        .filter_map(|(limit, name)| limit.map(|limit| format!("{} {name}", short_count(limit.into()))))
        .collect::<Vec<_>>();
    format!("{} /min", shown.join(", "))
}

fn words(used: &[Used], binds: impl Fn(Dimension) -> bool) -> Vec<Part> {
    let part = |(at, (dimension, share)): (usize, &Used)| {
        let (lead, joint) = if at == 0 { ("used ", " · ") } else { ("", ", ") };
        let burst = if is_burst(*share) { " (a burst)" } else { "" };
        let text = format!("{lead}{} of {}{burst}", percent(*share), dimension.name());
        let tone = if binds(*dimension) { Tone::Main } else { Tone::Usual };
        Part::fixed(8, text).after(joint).in_tone(tone)
    };
    used.iter().enumerate().map(part).collect()
}

/// Returns the used share of each limit of a pool.
fn used(stats: &Stats, pool: &PoolStatus) -> Vec<Used> {
    let of = |dimension| Some((dimension, stats.tracker.recent(&pool.pool, dimension)?.average));
    Dimension::ALL.into_iter().filter_map(of).collect()
}

/// Returns the largest used share of a limit, in whole percent.
fn most(used: &[Used]) -> u64 {
    used.iter().map(|(_, share)| (share * 100.0).round() as u64).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::line::tests::used as pool_with_use;
    use super::super::stats::tests::{at, started, status};
    use super::*;

    #[test]
    fn limits_that_are_used_less_are_left_out_first_and_the_limit_that_binds_stays() {
        let stats = run(120, Reason::Limit(Dimension::InputTokens));

        let shown = [80, 62, 40, 5].map(|columns| words_of(&stats, columns));

        assert_eq!(
            shown,
            [
                "used 102% of requests (a burst), 12% of input tokens, 96% of output tokens",
                "used 102% of requests (a burst), 12% of input tokens",
                "used 12% of input tokens",
                "used 12% of input tokens",
            ]
        );
    }

    #[test]
    fn in_the_first_seconds_the_limits_themselves_are_shown() {
        let stats = run(9, Reason::Ramp);

        assert_eq!(words_of(&stats, 80), "1,000 requests, 450,000 input tokens, 90,000 output tokens per minute");
    }

    fn words_of(stats: &Stats, columns: usize) -> String {
        let standing = stats.standing.as_ref().expect("there was a status");
        let parts = pool_parts(stats, &standing.pools[0], false, columns);
        parts
            .iter()
            .enumerate()
            .map(|(at, part)| format!("{}{}", if at == 0 { "" } else { part.joint }, part.text))
            .collect()
    }

    fn run(seconds: u64, reason: Reason) -> Stats {
        let mut stats = Stats::default();
        stats.fold(&at(0, started(Some(100), 0)));
        let pool = pool_with_use("haiku-4.5", [1.02, 0.12, 0.96], seconds);
        stats.fold(&at(seconds as i64, status(reason, vec![pool])));
        stats
    }
}
