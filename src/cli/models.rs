//! Makes messages about the models of a run's rows. The messages are printed before the run. The messages are about
//! models that `--map-model` replaces, models that the catalog does not know, and models of other vendors.
//!
//! A name that the catalog does not know may belong to a newer model or to a gateway. So rows with an unknown model are
//! sent. For each unknown name, one warning says how many rows have this name. The program rejects a run only if a
//! model certainly belongs to another vendor and requests go to the Claude API itself. Rows with a model of another
//! vendor would certainly fail at the API.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use super::config::Config;
use super::message::{choice, short};
use super::parts;
use crate::answer::OnRefusal;
use crate::catalog::{Catalog, vendor_of};
use crate::domain::{ProviderKind, Speed};
use crate::plan::UnknownModel;
use crate::report::text::{count, escape, plural};
use crate::runner::input::Survey;

/// The highest number of models that a message names.
const SHOWN: usize = 5;

/// Returns notes about `--map-model`, and warnings about models that the catalog does not know.
pub(super) fn notes(config: &Config, catalog: &Catalog, survey: &Survey) -> Vec<String> {
    let rows = survey.models.iter().map(|(model, sum)| (&**model, sum.rows));
    [mapped(config, &survey.mapped), unknown(catalog, rows)].concat()
}

/// Returns notes about `--map-model` for an input that is read only once.
pub(super) fn notes_of_pipe(config: &Config) -> Vec<String> {
    let pairs = config.request.model_map.0.iter();
    pairs.map(|(from, to)| format!("note: rows that name {} are sent as {}", escape(from), escape(to))).collect()
}

fn mapped(config: &Config, used: &BTreeMap<usize, u64>) -> Vec<String> {
    let words = |(at, (from, to)): (usize, &(String, String))| match used.get(&at) {
        Some(rows) => {
            let (rows, name) = names(*rows);
            format!("note: {rows} {name} {}: sent as {}", escape(from), escape(to))
        }
        None => format!("warning: --map-model {}={}: no row names the model {0}", escape(from), escape(to)),
    };
    config.request.model_map.0.iter().enumerate().map(words).collect()
}

fn unknown<'a>(catalog: &Catalog, models: impl Iterator<Item = (&'a str, u64)>) -> Vec<String> {
    let mut unknown: Vec<_> =
        models.filter_map(|(name, rows)| Some((UnknownModel::find(catalog, name)?, rows))).collect();
    unknown.sort_by_key(|(_, rows)| std::cmp::Reverse(*rows));
    let words = |(model, rows): &(UnknownModel, u64)| {
        let (rows, name) = names(*rows);
        let remedy = match model.vendor {
            Some(_) if rows == "1 row" => "; --map-model sends it to another model",
            Some(_) => "; --map-model sends them to another model",
            None => "",
        };
        let cost = match catalog.prices(Speed::Standard, &model.name) {
            Some(_) => "",
            None => "; its limits are guessed, and its cost is unknown; give the price with --prices",
        };
        format!("warning: {rows} {name} {}{cost}{remedy}", escape(&model.to_string()))
    };
    let mut warnings: Vec<_> = unknown.iter().take(SHOWN).map(words).collect();
    let rest = unknown.get(SHOWN..).unwrap_or_default();
    if !rest.is_empty() {
        let rows = rest.iter().map(|(_, rows)| rows).sum();
        let models = plural(rest.len() as u64, "other model", "other models");
        let (rows, name) = names(rows);
        warnings.push(format!("warning: {rows} {name} {models} that the catalog does not know"));
    }
    warnings
}

fn names(rows: u64) -> (String, &'static str) {
    (plural(rows, "row", "rows"), if rows == 1 { "names" } else { "name" })
}

/// Returns why the program rejects a run with rows for models of other vendors; `None` if it accepts the run.
pub(super) fn refusal(config: &Config, survey: &Survey) -> Option<String> {
    if !parts::is_api(config) {
        return None;
    }
    let foreign = survey.models.iter().filter_map(|(model, sum)| Some((&**model, vendor_of(model)?, sum.rows)));
    let mut foreign: Vec<_> = foreign.collect();
    foreign.sort_by_key(|(.., rows)| std::cmp::Reverse(*rows));
    foreign.first()?;
    let (shown, rest) = foreign.split_at(foreign.len().min(SHOWN));
    let mut names: Vec<_> = shown.iter().map(|(model, vendor, rows)| words_of_foreign(model, vendor, *rows)).collect();
    names.extend((!rest.is_empty()).then(|| plural(rest.len() as u64, "other model", "other models")));
    Some(format!(
        "the API does not serve models of other vendors, but rows name {}; {}",
        names.join(", "),
        remedy(shown.iter().map(|(model, ..)| *model))
    ))
}

fn words_of_foreign(model: &str, vendor: &str, rows: u64) -> String {
    let rows = if rows == 1 { "1 row".to_owned() } else { format!("{} rows", count(rows)) };
    format!("{} ({vendor}, {rows})", escape(model))
}

/// Returns why the program rejects a row with this model; `None` if the model may be a Claude model.
pub(super) fn refusal_of_row(model: &str) -> Option<String> {
    let vendor = vendor_of(model)?;
    Some(format!("{model:?} is a model of {vendor}, which the API does not serve; {}", remedy([model])))
}

/// Rejects a flag that names a model family (`-m haiku`) instead of a model. With a gateway, such a flag is allowed,
/// because a model of a gateway can have the name of a family.
///
/// # Errors
/// Fails if a flag names a family. The message names the flag and the models of the family.
pub(super) fn check_flags(config: &Config, catalog: &Catalog) -> Result<()> {
    if !parts::is_api(config) || config.provider.kind != ProviderKind::Anthropic {
        return Ok(());
    }
    let refused = match &config.answers.on_refusal {
        OnRefusal::Model(name) => Some(("--on-refusal", &**name)),
        OnRefusal::Keep | OnRefusal::Fail => None,
    };
    let asked = [("--model", config.request.model.as_deref()), ("--model", config.overrides.model.as_deref())];
    let asked = asked.into_iter().filter_map(|(flag, name)| Some((flag, name?)));
    let mapped = config.request.model_map.0.iter().map(|(_, to)| ("--map-model", &**to));
    for (flag, name) in asked.chain(mapped).chain(refused) {
        if name.trim().is_empty() {
            bail!("{flag}: it has no value; give the name of a model, which claude-batch models shows");
        }
        let is_mapped = config.provider.rules.models.iter().any(|(ours, _)| **ours == *name);
        if let Some(names) = of_family(catalog, name).filter(|_| !is_mapped) {
            bail!("{flag}: {} is a family of models, not a model; give {}", short(name), choice(&names));
        }
    }
    Ok(())
}

/// Returns the models of a family, without retired models. The default model comes first. The other models follow, from
/// the newest to the oldest. Returns `None` if `name` is not the name of a family.
fn of_family<'c>(catalog: &'c Catalog, name: &str) -> Option<Vec<&'c str>> {
    let name = name.trim().to_ascii_lowercase();
    let words = name.split('-').filter(|word| !matches!(*word, "claude" | "latest" | ""));
    let [family] = words.collect::<Vec<_>>()[..] else { return None };
    let served = catalog.models().iter().filter(|model| !model.is_retired());
    let names = served.map(|model| model.aliases.first().map_or(&*model.id, |alias| &**alias));
    let mut names: Vec<_> = names.filter(|model| model.split('-').nth(1) == Some(family)).collect();
    names.sort_by_key(|model| *model != catalog.default_model());
    names.truncate(SHOWN);
    (!names.is_empty()).then_some(names)
}

/// Returns the flags that send rows with these models to the default model instead. Names that a shell could misread
/// are replaced by `NAME`.
fn remedy<'a>(models: impl IntoIterator<Item = &'a str>) -> String {
    let to = Catalog::builtin().default_model().to_owned();
    let is_plain =
        |model: &str| model.len() < 100 && model.chars().all(|c| c.is_ascii_alphanumeric() || "-._/:@".contains(c));
    let flags = models.into_iter().map(|from| {
        let from = if is_plain(from) { from } else { "NAME" };
        format!("--map-model {from}={to}")
    });
    format!("choose a model of the API for such rows: {}", flags.collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_unknown_model_causes_one_warning_with_its_number_of_rows() {
        let models = [("claude-haiku-4-5", 9), ("claude-haku-4-5", 1_200), ("gpt-4o", 1), ("my-model", 2)];

        let warnings = unknown(&Catalog::builtin(), models.into_iter());

        assert_eq!(
            warnings,
            [
                "warning: 1,200 rows name claude-haku-4-5, which is not in the catalog (did you mean claude-haiku-4-5 \
                 or claude-haiku-5-5?); its limits are guessed, and its cost is unknown; give the price with --prices",
                "warning: 2 rows name my-model, which is not in the catalog; its limits are guessed, and its cost is \
                 unknown; give the price with --prices",
                "warning: 1 row names gpt-4o, a model of OpenAI; its limits are guessed, and its cost is unknown; give \
                 the price with --prices; --map-model sends it to another model",
            ]
        );
    }

    #[test]
    fn a_family_is_not_a_model_and_its_models_are_named() {
        let catalog = Catalog::builtin();
        let of = |name| of_family(&catalog, name).map(|names| names[0]);

        assert_eq!(of("haiku"), Some("claude-haiku-4-5"), "the default model is the first");
        for name in ["sonnet", "Opus", "claude-sonnet", "opus-latest", "claude-haiku-latest"] {
            assert!(of(name).is_some_and(|first| first.starts_with("claude-")), "{name}");
        }
        for name in ["claude-haiku-4-5", "claude-haiku-9", "haiku-5-5", "my-model", "claude", "", "latest"] {
            assert_eq!(of(name), None, "{name}");
        }
    }

    #[test]
    fn many_unknown_models_are_counted() {
        let names: Vec<String> = (0..400).map(|n| format!("model-{n}")).collect();

        let warnings = unknown(&Catalog::builtin(), names.iter().map(|name| (name.as_str(), 2)));

        assert_eq!(warnings.len(), SHOWN + 1);
        assert_eq!(warnings[SHOWN], "warning: 790 rows name 395 other models that the catalog does not know");
    }

    #[test]
    fn a_name_that_a_shell_could_misread_is_not_in_the_advice() {
        let message = refusal_of_row("gpt-4o; rm x\u{1b}").expect("it is of another vendor");

        assert!(message.ends_with("--map-model NAME=claude-haiku-4-5") && !message.contains('\u{1b}'), "{message}");
    }
}
