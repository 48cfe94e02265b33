//! Shows the state of one run as a block of text.

use std::time::Duration;

use jiff::Timestamp;

use super::found::{FoundRun, State};
use crate::cli::shell;
use crate::domain::{Interval, Money};
use crate::report::plain::rate_words;
use crate::report::ranges::{rough_money_range, time_range};
use crate::report::text::{ListRow, count, duration, escape, list, percent, plural, rough_duration, short_count};
use crate::report::words::doing_words_of;
use crate::watch::status::{Shown, ShownEta, ShownMoney, ShownPool, ShownProgress, ShownProvider, ShownUse};

/// How many kinds of failures are shown at most.
const MOST_ERRORS: usize = 5;
/// The largest number of shown pools (groups of rows that share limits), and of shown providers.
const MOST_POOLS: usize = 10;

/// Returns the state of a run as lines of text.
pub(super) fn block(run: &FoundRun, now: Timestamp, columns: usize) -> String {
    let mut rows = Vec::new();
    rows.extend(run.note.iter().map(|note| ListRow::text("note", escape(note))));
    rows.extend(run.files.iter().map(|files| ListRow::text("files", escape(files))));
    if let Some(shown) = run.shown() {
        rows.push(ListRow::text("rows", rows_words(run.state, shown)));
        rows.extend(progress_rows(run.state, shown));
        rows.extend(shown.progress.providers.iter().take(MOST_POOLS).map(provider_row));
        rows.extend(limit_rows(&shown.pools, shown.progress.providers.len() > 1));
        rows.extend(money_words(&shown.money).map(|words| ListRow::text("cost", words)));
        rows.extend(error_rows(shown));
    }
    rows.extend(command(run));
    format!("{}\n{}", head(run, now), list(&rows, columns).trim_end_matches('\n'))
}

/// Returns the first line about a run: `prompts.results.jsonl: running for 12 min 04 s (process 1234)`.
fn head(run: &FoundRun, now: Timestamp) -> String {
    let name = escape(&run.name()).into_owned();
    let state = run.state.name();
    let Some(shown) = run.shown() else {
        let process = run.holder.map(|holder| format!(" (process {holder})")).unwrap_or_default();
        return format!("{name}: {state}{process}");
    };
    if run.state.is_in_progress() {
        let since = duration(between(shown.started_at, now));
        let is_running = run.state == State::Running;
        let since = if is_running { format!(" for {since}") } else { format!(", started {since} ago") };
        let process = run.holder.or(shown.pid).map(|pid| format!(" (process {pid})")).unwrap_or_default();
        return format!("{name}: {state}{since}{process}");
    }
    let reason = shown.end.as_ref().and_then(|end| end.reason.as_ref());
    let reason = reason.map(|reason| format!(" ({})", escape(reason))).unwrap_or_default();
    let lasted = shown.end.as_ref().map(|end| end.elapsed_s).filter(|seconds| *seconds > 0.0);
    let lasted = lasted.map(|seconds| format!(" after {}", duration(of_seconds(seconds)))).unwrap_or_default();
    format!("{name}: {state}{reason}{lasted}, {}", age(shown.at, now))
}

/// Returns how long ago `at` was, in words.
pub(super) fn age(at: Timestamp, now: Timestamp) -> String {
    let age = between(at, now);
    if age < Duration::from_secs(1) { "just now".to_owned() } else { format!("{} ago", rough_duration(age)) }
}

/// Returns how many rows are done, such as `12.3k of 45.6k`.
pub(super) fn done_words(progress: &ShownProgress) -> String {
    let done = short_count(done(progress));
    progress.total.map_or_else(|| done.clone(), |total| format!("{done} of {}", short_count(total)))
}

fn done(progress: &ShownProgress) -> u64 {
    let ShownProgress { already_done, ok, truncated, refused, unknown, failed, .. } = progress;
    [ok, truncated, refused, unknown, failed].into_iter().fold(*already_done, |sum, rows| sum.saturating_add(*rows))
}

fn rows_words(state: State, shown: &Shown) -> String {
    let progress = &shown.progress;
    // At the end, the rows that failed in earlier runs are known too.
    let failed = shown.end.as_ref().map_or(progress.failed, |end| end.failed);
    let all = done(progress);
    let mut parts = vec![match progress.total {
        Some(total) => format!("{} of {} done", count(all), plural(total, "row", "rows")),
        None => format!("{} done", plural(all, "row", "rows")),
    }];
    let kinds = [(progress.truncated, "truncated"), (progress.refused, "refused"), (failed, "failed")];
    parts.extend(kinds.iter().filter(|(rows, _)| *rows > 0).map(|(rows, name)| format!("{} {name}", count(*rows))));
    let rate = progress.rows_per_minute.filter(|_| state.is_in_progress());
    parts.extend(rate.map(|rate| format!("{} rows/min", rate_words(rate))));
    parts.join(", ")
}

/// Returns the lines about a run in progress: the remaining time, what the run waits for, and its batches.
fn progress_rows(state: State, shown: &Shown) -> Vec<ListRow> {
    if !state.is_in_progress() {
        return Vec::new();
    }
    let progress = &shown.progress;
    let mut rows = Vec::new();
    if let Some(eta) = &shown.eta {
        let range = eta.interval_s.map(|range| time_range(range.interval().map(of_seconds)));
        let range = range.map(|range| format!(" ({range})")).unwrap_or_default();
        let basis = if eta.basis.is_empty() { String::new() } else { format!(", by {}", escape(&eta.basis)) };
        rows.push(ListRow::text("left", format!("about {}{range}{basis}", left_words(eta))));
    } else if progress.waiting_for.is_some() {
        rows.push(ListRow::text("left", "not known at the moment"));
    }
    let in_flight = progress.in_flight.map(|in_flight| match progress.window {
        Some(window) => format!("{} of {} in flight", count(in_flight), count(window)),
        None => format!("{} in flight", count(in_flight)),
    });
    let bound: Vec<String> = progress.reason.iter().map(|reason| now_words(reason)).chain(in_flight).collect();
    if !bound.is_empty() {
        rows.push(ListRow::text("now", bound.join(", ")));
    }
    rows.extend(progress.batches.iter().map(|batches| {
        let open = plural(batches.open, "batch", "batches");
        ListRow::text("batches", format!("{open} with {}", plural(batches.rows, "row", "rows")))
    }));
    rows
}

/// Returns what the run is doing, in words. A later version of the program may have written a reason that this version
/// does not know. Such a reason is shown unchanged.
fn now_words(reason: &str) -> String {
    doing_words_of(reason).map_or_else(|| escape(reason).into_owned(), str::to_owned)
}

/// Returns the time that is left, such as `12 min`.
pub(super) fn left_words(eta: &ShownEta) -> String {
    rough_duration(of_seconds(eta.seconds))
}

/// Returns the line about a provider: `openrouter: 1,204 answered, $3.10, sending`.
fn provider_row(own: &ShownProvider) -> ListRow {
    let mut parts = vec![format!("{} answered", count(own.answered))];
    if own.failed > 0 {
        parts.push(format!("{} failed", count(own.failed)));
    }
    parts.extend(own.cost_usd.map(money));
    let to = own.to.as_ref().map(|to| format!(", rows go to {}", escape(to))).unwrap_or_default();
    let why = own.why.as_ref().map(|why| format!(" ({})", escape(why))).unwrap_or_default();
    parts.push(format!("{}{why}{to}", escape(&own.state)));
    ListRow::text("provider", format!("{}: {}", escape(&own.provider), parts.join(", ")))
}

/// Returns a line about each pool (the rows that share limits). The line shows how much of each limit is used. If there
/// are several providers, the line names the provider.
fn limit_rows(pools: &[ShownPool], has_several: bool) -> Vec<ListRow> {
    let row = |pool: &ShownPool| {
        let uses = [
            (&pool.requests, "requests"),
            (&pool.input_tokens, "input tokens"),
            (&pool.output_tokens, "output tokens"),
        ];
        let parts = uses.into_iter().filter_map(|(used, name)| Some(use_words(used.as_ref()?, name)));
        let held = pool.held_s.map(|held| format!("held for {}", duration(of_seconds(held))));
        let parts: Vec<String> = parts.chain(held).collect();
        let at = if has_several { format!(" at {}", escape(&pool.provider)) } else { String::new() };
        let used = || format!("{}{at}: {}", escape(&pool.pool), parts.join(", "));
        (!parts.is_empty()).then(|| ListRow::text("limits", used()))
    };
    pools.iter().filter_map(row).take(MOST_POOLS).collect()
}

/// Returns the used share of a limit: `97% of input tokens (critical, highest minute 100%)`.
fn use_words(used: &ShownUse, name: &str) -> String {
    let highest = used.highest.map(|highest| format!("highest minute {}", percent(highest)));
    let level = used.level.as_ref().map(|level| escape(level).into_owned());
    let remarks: Vec<String> = level.into_iter().chain(highest).collect();
    let remarks = if remarks.is_empty() { String::new() } else { format!(" ({})", remarks.join(", ")) };
    format!("{} of {name}{remarks}", percent(used.average))
}

fn money_words(spending: &ShownMoney) -> Option<String> {
    let mut parts = vec![format!("{} spent", money(spending.spent_usd?))];
    if spending.spent_before_usd > 0.0 {
        parts.push(format!("{} by earlier runs", money(spending.spent_before_usd)));
    }
    let range = |interval: Interval<f64>| rough_money_range(interval.map(Money::from_dollars));
    parts.extend(spending.projected_usd.map(|cost| format!("{} projected", range(cost.interval()))));
    parts.extend(spending.planned_usd.map(|cost| format!("{} planned", range(cost.interval()))));
    Some(parts.join(", "))
}

fn error_rows(shown: &Shown) -> Vec<ListRow> {
    let errors = shown.errors.iter().take(MOST_ERRORS);
    let mut rows: Vec<ListRow> = errors
        .map(|error| {
            let (class, message, row) = (escape(&error.class), escape(&error.message), escape(&error.row));
            ListRow::text("errors", format!("{} {class}: {message} (row {row})", count(error.rows)))
        })
        .collect();
    let others = shown.errors.len().saturating_sub(MOST_ERRORS) as u64;
    if others > 0 {
        rows.push(ListRow::text("errors", format!("and {} more", plural(others, "kind", "kinds"))));
    }
    rows
}

/// Returns the line with the command that resumes or steers the run; `None` if no command is useful.
fn command(run: &FoundRun) -> Option<ListRow> {
    if run.state.is_in_progress() {
        let ctl = shell::ours(["ctl".into(), shell::file(&run.results)]);
        return Some(ListRow::verbatim("to steer", format!("{ctl} pause|resume|drain|stop")));
    }
    let commands = &run.shown()?.commands;
    let (label, command) = match run.state {
        State::Killed | State::Stopped => ("to resume", &commands.resume),
        State::Failed => ("to retry", &commands.retry_failed),
        State::Running | State::Paused | State::Draining | State::Finished | State::Unknown => return None,
    };
    (!command.is_empty()).then(|| ListRow::verbatim(label, escape(command)))
}

/// Returns an amount in dollars.
pub(super) fn money(dollars: f64) -> String {
    Money::from_dollars(dollars.clamp(0.0, 1e15)).to_string()
}

fn of_seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds.clamp(0.0, 1e9))
}

fn between(begin: Timestamp, end: Timestamp) -> Duration {
    end.duration_since(begin).try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_with_several_providers_has_a_row_for_each_and_names_them_at_its_limits() {
        let own = |name: &str, state: &str, to: Option<&str>, why: Option<&str>| ShownProvider {
            provider: name.to_owned(),
            answered: 1_204,
            failed: u64::from(to.is_some()),
            cost_usd: to.is_none().then_some(3.1),
            state: state.to_owned(),
            to: to.map(str::to_owned),
            why: why.map(str::to_owned),
        };
        let providers = [
            own("anthropic", "stopped", Some("bed\u{1b}rock"), Some("account")),
            own("bed\u{1b}rock", "sending", None, None),
        ];
        let used = Some(ShownUse { average: 0.97, ..ShownUse::default() });
        let (provider, pool) = ("bed\u{1b}rock".to_owned(), "haiku-4.5".to_owned());
        let pools = [ShownPool { provider, pool, requests: used, ..ShownPool::default() }];

        let mut rows: Vec<ListRow> = providers.iter().map(provider_row).collect();
        rows.extend(limit_rows(&pools, true));
        rows.extend(limit_rows(&pools, false));

        insta::assert_snapshot!(list(&rows, 120), @r"
        provider  anthropic: 1,204 answered, 1 failed, stopped (account), rows go to bed\u{1b}rock
        provider  bed\u{1b}rock: 1,204 answered, $3.10, sending
        limits    haiku-4.5 at bed\u{1b}rock: 97% of requests
        limits    haiku-4.5: 97% of requests
        ");
    }
}
