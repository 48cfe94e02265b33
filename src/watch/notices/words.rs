//! The text of a notice.
//!
//! Names and messages from outside are shortened and escaped. Only messages about the whole run are shown. The message
//! about a single row is not: it may quote the prompt or the answer of the row.

use super::decide::Happened;
use super::document::RunFacts;
use crate::domain::{HaltReason, Money, shortened};
use crate::report::Stats;
use crate::report::text::{count, duration, escape, percent, plural, rough_duration};
use crate::report::words::{fault_words, halt_words};

/// Returns a notice in one sentence, without line breaks.
pub(super) fn text(happened: &Happened, stats: &Stats, facts: &RunFacts) -> String {
    let name = escape(&facts.name);
    let so_far = so_far(stats, facts);
    match happened {
        Happened::Finished => format!("claude-batch: {name} finished: {so_far}"),
        Happened::Halted(_) => {
            let reason = reason_of(happened, stats).unwrap_or_default();
            format!("claude-batch: {name} stopped: {reason}; {so_far}")
        }
        Happened::Failures { share, .. } => {
            format!("claude-batch: {name}: {} of the finished rows failed; {so_far}", percent(*share))
        }
        Happened::Limit(crossing) => {
            let pool = crossing.pool.to_string();
            let (share, limit) = (percent(crossing.share), crossing.dimension.name());
            format!("claude-batch: {name}: {share} of the limit on {limit} of {} is in use; {so_far}", escape(&pool))
        }
        Happened::Held { pool, lasted, .. } => {
            let pool = pool.to_string();
            let lasted = duration(*lasted);
            format!("claude-batch: {name}: {} has been held for {lasted} after 429 responses; {so_far}", escape(&pool))
        }
        Happened::Outage { lasted, .. } => {
            let reason = reason_of(happened, stats).unwrap_or_default();
            format!("claude-batch: {name}: {reason} for {}; {so_far}", duration(*lasted))
        }
        Happened::Budget { share, .. } => {
            format!("claude-batch: {name}: {} of --max-cost is spent; {so_far}", percent(*share))
        }
    }
}

/// Returns how a run ended, in one sentence.
pub(crate) fn end_words(stats: &Stats, facts: &RunFacts) -> String {
    let halt = stats.ending.as_ref().and_then(|ending| ending.halt.clone());
    let happened = halt.map_or(Happened::Finished, |reason| Happened::Halted(Box::new(reason)));
    text(&happened, stats, facts)
}

/// Returns why the run stopped, or what is wrong with the endpoint; `None` if nothing is.
pub(super) fn reason_of(happened: &Happened, stats: &Stats) -> Option<String> {
    match happened {
        Happened::Halted(reason) => Some(with_message(reason)),
        Happened::Outage { .. } => stats.outage.as_ref().map(|outage| fault_words(&outage.fault).into_owned()),
        Happened::Finished
        | Happened::Failures { .. }
        | Happened::Limit(_)
        | Happened::Held { .. }
        | Happened::Budget { .. } => None,
    }
}

fn with_message(reason: &HaltReason) -> String {
    let message = match reason {
        HaltReason::Key(failure)
        | HaltReason::Forbidden(failure)
        | HaltReason::Account(failure)
        | HaltReason::Models(failure)
        | HaltReason::Tls(failure)
        | HaltReason::Proxy(failure)
        | HaltReason::Endpoint(failure)
        | HaltReason::Batches(failure) => failure.message.as_str(),
        HaltReason::Budget(message) => message,
        HaltReason::AllFail { class, .. } => class.name(),
        HaltReason::Redirect { .. }
        | HaltReason::RetryAfter { .. }
        | HaltReason::OtherWorkspace
        | HaltReason::Disk(_)
        | HaltReason::Signal(_)
        | HaltReason::Ctl { .. } => "",
    };
    match message {
        "" => halt_words(reason).into_owned(),
        message => format!("{} ({})", halt_words(reason), escape(&shortened(message))),
    }
}

/// Returns the counts, the cost and the time of the run.
fn so_far(stats: &Stats, facts: &RunFacts) -> String {
    let done = stats.finished();
    let mut parts = vec![match stats.total {
        Some(total) => format!("{} of {} done", count(done), plural(total, "row", "rows")),
        None => format!("{} done", plural(done, "row", "rows")),
    }];
    if stats.failed_total() > 0 {
        parts.push(format!("{} failed", count(stats.failed_total())));
    }
    parts.extend(stats.known_cost().map(|cost| money(cost, facts)));
    parts.push(format!("after {}", duration(stats.elapsed())));
    if stats.ending.is_none() {
        parts.extend(stats.eta().map(|left| format!("about {} left", rough_duration(left))));
    }
    parts.join(", ")
}

fn money(cost: Money, facts: &RunFacts) -> String {
    let before = if facts.before > Money::ZERO { format!(" and {} before", facts.before) } else { String::new() };
    let most = facts.max_cost.map(|most| format!(" of {most}")).unwrap_or_default();
    format!("{cost}{before}{most} spent")
}

/// Returns a text for chats. Three characters have a meaning in Slack, and `@` calls people in others; an invisible
/// character after it prevents that.
pub(super) fn for_chats(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('@', "@\u{200b}")
}
