//! Shows settings as text.

use super::known::{Setting, Shown};
use crate::cli::args::ShowConfigArgs;
use crate::cli::config::defaults::Default;
use crate::cli::config::origins::{Entry, Origin};
use crate::cli::config::providers::ListedProvider;
use crate::cli::config::world::World;
use crate::cli::providers::source_words;
use crate::report::text::{count, escape, plural, shorten, width, wrap};

/// The column at which values begin.
const VALUES: usize = 22;
/// The width of the column of values. If a value is longer, its origin is on the next line.
const VALUE_ROOM: usize = 26;
/// The largest shown width of a value, in columns.
const LONGEST_VALUE: usize = 56;

/// Returns the settings in groups, then the profiles and the providers.
pub(super) fn table(shown: &Shown, args: &ShowConfigArgs, columns: usize, world: &World) -> String {
    let home = world.variable("HOME").ok().flatten().unwrap_or_default().trim_end_matches('/');
    let mut text = String::new();
    let mut group = "";
    for setting in &shown.settings {
        if setting.group != group {
            text.push_str(if text.is_empty() { "" } else { "\n" });
            text.push_str(&format!("{}\n", setting.group));
            group = &setting.group;
        }
        rows(setting, columns, home).iter().for_each(|row| text.push_str(&format!("{row}\n")));
    }
    if !args.names.is_empty() {
        return text;
    }
    text.push_str(&profiles(shown, columns, home));
    text.push_str(&providers(&shown.providers, home));
    text.push('\n');
    closing(shown, args.set, columns).iter().for_each(|line| text.push_str(&format!("{line}\n")));
    text
}

/// Returns the lines about one setting: the value that the run uses, and the overridden values.
fn rows(setting: &Setting, columns: usize, home: &str) -> Vec<String> {
    let name = &setting.name;
    let Some((first, others)) = setting.layers.split_first() else {
        let (value, origin) = match &setting.default {
            Default::Value(value) => (escape(value).into_owned(), "default"),
            Default::Words(words) => (words.clone(), "default"),
            Default::Unset => ("-".to_owned(), ""),
        };
        return row("  ", name, &value, origin, columns);
    };
    let mut rows = row("* ", name, &value(first), &origin(&first.origin, home), columns);
    rows.extend(setting.idle.iter().flat_map(|idle| row("  ", "", idle, "", columns)));
    for other in others {
        let words = format!("overrides {} ({})", value(other), origin(&other.origin, home));
        rows.extend(row("  ", "", &words, "", columns));
    }
    rows
}

fn row(mark: &str, name: &str, value: &str, origin: &str, columns: usize) -> Vec<String> {
    let lead = format!("{mark}{name:<room$}", room = VALUES - 2);
    let indent = " ".repeat(VALUES);
    let is_short = width(value) <= VALUE_ROOM && VALUES + VALUE_ROOM + 2 + width(origin) <= columns;
    if is_short {
        let gap = " ".repeat(VALUE_ROOM - width(value) + 2);
        return vec![format!("{lead}{value}{gap}{origin}").trim_end().to_owned()];
    }
    let mut lines: Vec<String> = wrap(value, columns.saturating_sub(VALUES).max(16));
    let is_in_line = |line: &String| !origin.is_empty() && VALUES + width(line) + 2 + width(origin) <= columns;
    match lines.last_mut() {
        Some(last) if is_in_line(last) => last.push_str(&format!("  {origin}")),
        _ if origin.is_empty() => {}
        _ => lines.push(origin.to_owned()),
    }
    let with_lead = |(at, line): (usize, String)| format!("{}{line}", if at == 0 { &lead } else { &indent });
    lines.into_iter().enumerate().map(with_lead).collect()
}

fn value(entry: &Entry) -> String {
    let values: Vec<String> =
        entry.values.iter().map(|value| shorten(&escape(value), LONGEST_VALUE).into_owned()).collect();
    match values.len() {
        0 => "-".to_owned(),
        1..=8 => values.join(", "),
        len => format!("{}, and {} more", values[..8].join(", "), len - 8),
    }
}

/// Returns where a value was set. The user's home folder is shown as `~`.
pub(super) fn origin(origin: &Origin, home: &str) -> String {
    match origin {
        Origin::Flag => "flag".to_owned(),
        Origin::Variable(name) => name.clone(),
        Origin::File { path, line, profile: None } => format!("{}:{line}", at_home(path, home)),
        Origin::File { path, line, profile: Some(profile) } => {
            format!("profile {}, {}:{line}", escape(profile), at_home(path, home))
        }
    }
}

fn at_home(path: &str, home: &str) -> String {
    let rest = path.strip_prefix(home).filter(|rest| !home.is_empty() && rest.starts_with('/'));
    escape(&rest.map_or_else(|| path.to_owned(), |rest| format!("~{rest}"))).into_owned()
}

fn profiles(shown: &Shown, columns: usize, home: &str) -> String {
    if shown.origins.profiles.is_empty() {
        return String::new();
    }
    let mut text = "\nProfiles (choose one with --profile NAME)\n".to_owned();
    for profile in &shown.origins.profiles {
        let is_chosen = shown.profile.as_deref() == Some(&*profile.name);
        let (mark, state) = if is_chosen { ("* ", "in use") } else { ("  ", "") };
        let lines = row(mark, &escape(&profile.name), state, &at_home(&profile.at, home), columns);
        lines.iter().for_each(|line| text.push_str(&format!("{line}\n")));
    }
    text
}

fn providers(providers: &[ListedProvider], home: &str) -> String {
    let mut text = "\nProviders (claude-batch providers shows all of them)\n".to_owned();
    for provider in providers {
        let order = match provider.order {
            Some(0) => "first".to_owned(),
            Some(at) => format!("fallback {at}"),
            None => "not used".to_owned(),
        };
        let mark = if provider.order.is_some() { "* " } else { "  " };
        let from = provider.table.as_ref().map_or_else(|| "preset".to_owned(), |at| at_home(at, home));
        let (name, kind) = (escape(&provider.name), provider.kind.name());
        text.push_str(&format!("{mark}{name:<room$}{order}, kind {kind}, {from}\n", room = VALUES - 2));
        let indent = " ".repeat(VALUES);
        match &provider.settings {
            Ok(config) => {
                if let Some(base) = &config.base_url {
                    text.push_str(&format!("{indent}address: {}\n", escape(&base.url.join(""))));
                }
                text.push_str(&format!("{indent}key: {}\n", escape(&source_words(&config.key))));
            }
            Err(message) => text.push_str(&format!("{indent}problem: {}\n", escape(message))),
        }
    }
    text
}

/// Returns the last lines: how many settings are set, and what to do next.
fn closing(shown: &Shown, is_only_set: bool, columns: usize) -> Vec<String> {
    let set = shown.settings.iter().filter(|setting| !setting.layers.is_empty()).count() as u64;
    let text = match (set, is_only_set) {
        (0, _) => "No flag, variable or file sets anything, so each setting has its default. claude-batch config init \
                   writes a configuration file."
            .to_owned(),
        (set, true) => format!("{} set. Without --set, all settings are shown.", are(set)),
        (set, false) => format!("{} set and marked with *; the others have their defaults, and - is none.", are(set)),
    };
    wrap(&text, columns)
}

fn are(number: u64) -> String {
    match number {
        1 => "1 setting is".to_owned(),
        number => format!("{} are", plural(number, "setting", "settings").replace(&number.to_string(), &count(number))),
    }
}
