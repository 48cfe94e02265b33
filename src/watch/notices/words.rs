//! The text of a notice.
//!
//! Names and messages from outside are shortened and escaped. Only messages about the whole run are shown. A message
//! about a single row is not shown, because it can quote the prompt or the answer of the row.

use super::decide::Happened;
use super::facts::RunFacts;
use crate::domain::{HaltReason, Money, shortened};
use crate::report::Stats;
use crate::report::text::{count, duration, escape, percent, plural, rough_duration};
use crate::report::words::{fault_words, halt_words};

/// Returns the text of a notice: one sentence without line breaks.
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
            let pool = crossing.pool.named(stats.providers.are_several());
            let (share, limit) = (percent(crossing.share), crossing.dimension.name());
            format!(
                "claude-batch: {name}: {share} of the limit on {limit} of {} was used in the last five minutes; {so_far}",
                escape(&pool)
            )
        }
        Happened::Held { pool, lasted, .. } => {
            let pool = pool.named(stats.providers.are_several());
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

/// Returns a sentence that says how a run ended.
pub(crate) fn end_words(stats: &Stats, facts: &RunFacts) -> String {
    let halt = stats.ending.as_ref().and_then(|ending| ending.halt.clone());
    let happened = halt.map_or(Happened::Finished, |reason| Happened::Halted(Box::new(reason)));
    text(&happened, stats, facts)
}

/// Returns the reason why the run stopped, or the fault of the provider. Returns `None` if there is no such reason or
/// fault.
pub(super) fn reason_of(happened: &Happened, stats: &Stats) -> Option<String> {
    match happened {
        Happened::Halted(reason) => Some(with_message(reason)),
        Happened::Outage { .. } => stats.outage.as_ref().map(|outage| {
            let has_several = stats.providers.are_several();
            let of = if has_several { format!("{}: ", escape(&outage.provider)) } else { String::new() };
            format!("{of}{}", fault_words(&outage.fault))
        }),
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

/// Returns the numbers of rows, the cost and the duration of the run so far, as text.
fn so_far(stats: &Stats, facts: &RunFacts) -> String {
    let (total, done) = facts.rows(stats);
    let mut parts = vec![match total {
        Some(total) => format!("{} of {} done", count(done), plural(total, "row", "rows")),
        None => format!("{} done", plural(done, "row", "rows")),
    }];
    if stats.failed_total() > 0 {
        parts.push(format!("{} failed", count(stats.failed_total())));
    }
    parts.extend(stats.known_cost().map(|cost| money(cost, facts, facts.max_cost_at(stats))));
    parts.push(format!("after {}", duration(stats.elapsed())));
    if stats.ending.is_none() {
        parts.extend(stats.eta().map(|left| format!("about {} left", rough_duration(left))));
    }
    parts.join(", ")
}

fn money(cost: Money, facts: &RunFacts, most: Option<Money>) -> String {
    let most = most.map(|most| format!(" of {most}")).unwrap_or_default();
    match facts.before > Money::ZERO {
        false => format!("{cost}{most} spent"),
        true => format!("{cost} spent ({}{most} with earlier runs)", cost + facts.before),
    }
}

/// Returns the text for a chat message. The characters `&`, `<` and `>` are escaped, because they have a special
/// meaning in Slack. An invisible character is added after each `@`, because `@` notifies people in other chats.
pub(super) fn for_chats(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('@', "@\u{200b}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::event::Crossing;
    use crate::domain::{Dimension, ErrorClass, EventBody, Failure, Outage, Quality};
    use crate::report::stats::tests::{at, ended, failed, pool, started, succeeded};

    fn stats(more: &[EventBody]) -> Stats {
        let mut stats = Stats::default();
        let rows = (0..1_200).map(|_| succeeded(Quality::Ok));
        let events = [started(Some(10_000), 34)].into_iter().chain(rows).chain([failed(ErrorClass::Server)]);
        events.for_each(|body| stats.fold(&at(60, body)));
        more.iter().for_each(|body| stats.fold(&at(660, body.clone())));
        stats
    }

    fn facts() -> RunFacts {
        let [before, max_cost] = [3.0, 40.0].map(Money::from_dollars);
        RunFacts { name: "a\u{1b}<b>.jsonl".to_owned(), before, max_cost: Some(max_cost), ..RunFacts::default() }
    }

    fn key(message: &str) -> HaltReason {
        HaltReason::Key(Failure { message: message.to_owned(), ..Failure::default() })
    }

    #[test]
    fn each_kind_has_a_sentence() {
        let pool = pool("haiku-4.5", [None; 3]).pool;
        let lasted = Duration::from_secs(320);
        let dimension = Dimension::OutputTokens;
        let crossing = Crossing { pool: pool.clone(), dimension, threshold: 95, share: 0.957, is_above: true };
        let fault = Failure { status: Some(529), ..Failure::default() };
        let outage = Outage { provider: "p".into(), fault, lasted, next_try: None };
        let stats = stats(&[EventBody::Outage(Some(Box::new(outage)))]);
        let kinds = [
            Happened::Halted(Box::new(key(&format!("x\n{}", "y".repeat(300))))),
            Happened::Failures { share: 0.062, threshold: 0.05 },
            Happened::Limit(crossing),
            Happened::Held { pool, lasted, threshold: Duration::from_secs(300) },
            Happened::Outage { lasted, threshold: Duration::from_secs(300) },
            Happened::Budget { share: 0.81, threshold: 0.8 },
        ];

        let texts = kinds.map(|happened| text(&happened, &stats, &facts())).join("\n");

        insta::assert_snapshot!(texts.replace(&"y".repeat(198), "yyy"), @r"
        claude-batch: a\u{1b}<b>.jsonl stopped: the key was refused (x\nyyy…); 1,235 of 10,000 rows done, 1 failed, $12.00 spent ($15.00 of $40.00 with earlier runs), after 10 min 00 s
        claude-batch: a\u{1b}<b>.jsonl: 6% of the finished rows failed; 1,235 of 10,000 rows done, 1 failed, $12.00 spent ($15.00 of $40.00 with earlier runs), after 10 min 00 s
        claude-batch: a\u{1b}<b>.jsonl: 96% of the limit on output tokens of haiku-4.5 was used in the last five minutes; 1,235 of 10,000 rows done, 1 failed, $12.00 spent ($15.00 of $40.00 with earlier runs), after 10 min 00 s
        claude-batch: a\u{1b}<b>.jsonl: haiku-4.5 has been held for 5 min 20 s after 429 responses; 1,235 of 10,000 rows done, 1 failed, $12.00 spent ($15.00 of $40.00 with earlier runs), after 10 min 00 s
        claude-batch: a\u{1b}<b>.jsonl: the endpoint is overloaded (529) for 5 min 20 s; 1,235 of 10,000 rows done, 1 failed, $12.00 spent ($15.00 of $40.00 with earlier runs), after 10 min 00 s
        claude-batch: a\u{1b}<b>.jsonl: 81% of --max-cost is spent; 1,235 of 10,000 rows done, 1 failed, $12.00 spent ($15.00 of $40.00 with earlier runs), after 10 min 00 s
        ");
    }

    #[test]
    fn the_end_of_a_run_is_described_in_one_sentence() {
        assert_eq!(
            end_words(&stats(&[ended()]), &RunFacts { name: "a.jsonl".to_owned(), ..RunFacts::default() }),
            "claude-batch: a.jsonl finished: 1,235 of 10,000 rows done, 1 failed, $12.00 spent, after 1 min 32 s"
        );
    }

    #[test]
    fn a_message_about_one_row_is_not_repeated() {
        let failure = Failure { message: "the prompt says hello".to_owned(), ..Failure::default() };
        let reason = HaltReason::AllFail { rows: 10, finished: 10, class: ErrorClass::InvalidRequest, failure };

        assert_eq!(with_message(&reason), "every row fails (invalid_request)");
    }

    #[test]
    fn a_text_for_chats_has_no_links_and_notifies_nobody() {
        assert_eq!(for_chats("<!channel> & @here"), "&lt;!channel&gt; &amp; @\u{200b}here");
    }
}
