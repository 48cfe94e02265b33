//! Shows a provider as text.

use crate::cli::config::credential::KeySource;
use crate::cli::config::providers::{AuthStyle, ListedProvider, ProviderConfig};
use crate::cli::config::world::World;
use crate::cli::shell::program;
use crate::domain::{MemberPath, ProviderFeatures, ProviderKind, RateLimits};
use crate::report::text::{ListRow, count, escape, list, wrap};

/// The name of this model at a provider is shown as an example.
const EXAMPLE: &str = "claude-haiku-4-5";

/// Returns the lines about one provider.
pub(super) fn block(provider: &ListedProvider, columns: usize, world: &World) -> String {
    let mut head = format!("{} - {}", escape(&provider.name), provider.title);
    match provider.order {
        Some(0) => head.push_str(" (the first provider)"),
        Some(at) => head.push_str(&format!(" (fallback {at})")),
        None => {}
    }
    let rows = match &provider.settings {
        Ok(config) => rows(provider, config, world),
        Err(message) => vec![ListRow::text("  problem", escape(message))],
    };
    format!("{head}\n{}", list(&rows, columns))
}

fn rows(provider: &ListedProvider, config: &ProviderConfig, world: &World) -> Vec<ListRow> {
    let mut rows = Vec::new();
    match (&config.base_url, provider.address) {
        (Some(base), _) => rows.push(ListRow::verbatim("  address", escape(&base.url.join("")))),
        (None, Some(address)) => rows.push(ListRow::verbatim("  address", address)),
        (None, None) => {}
    }
    rows.extend(config.missing.iter().map(|words| ListRow::text("  missing", escape(words))));
    let (label, key) = key(config, world);
    rows.push(ListRow::text(label, escape(&key)));
    rows.extend(provider.table.as_ref().map(|at| ListRow::verbatim("  table", escape(at))));
    let headers: Vec<&str> = config.headers.iter().map(|(name, _)| name.as_str()).collect();
    rows.extend((!headers.is_empty()).then(|| ListRow::text("  headers", headers.join(", "))));
    rows.extend(models(config).map(|words| ListRow::text("  models", words)));
    rows.extend(members("  drops", &config.rules.drop));
    rows.extend(members("  refuses", &config.rules.refuse));
    let lacks = lacks(config.features).join(", ");
    rows.extend((!lacks.is_empty()).then(|| ListRow::text("  lacks", lacks)));
    rows.extend((config.limits != RateLimits::NONE).then(|| ListRow::text("  limits", limits(config.limits))));
    rows.extend(prices(config).map(|words| ListRow::text("  prices", words)));
    rows
}

/// Returns the name and the text of the line about a provider's key. The key itself is not read.
fn key(config: &ProviderConfig, world: &World) -> (&'static str, String) {
    let mut words = match &config.key {
        KeySource::Missing if !config.needs_key() => {
            return ("  key", format!("none; if the provider needs a key, {}", config.key_ways));
        }
        KeySource::Missing => return ("  no key", config.key_ways.clone()),
        KeySource::File(path) if !world.resolve(path).exists() => {
            return ("  no key", format!("there is no file {}", path.display()));
        }
        source => source_words(source),
    };
    match config.auth {
        Some(AuthStyle::Bearer) => words.push_str(", sent as authorization: Bearer"),
        Some(AuthStyle::ApiKey) if config.kind == ProviderKind::Foundry => {
            words.push_str(", sent as x-api-key and as api-key");
        }
        Some(AuthStyle::ApiKey) => words.push_str(", sent as x-api-key"),
        None => {}
    }
    ("  key", words)
}

/// Returns the source of a key, in words. The arguments of a command are not shown, because they may be secret.
pub(in crate::cli) fn source_words(source: &KeySource) -> String {
    match source {
        KeySource::File(path) => format!("the file {}", path.display()),
        KeySource::Command(command) => match program(command) {
            Some(program) => format!("printed by the command {program}"),
            None => "printed by a command".to_owned(),
        },
        KeySource::Variable(name) => format!("the variable {name}"),
        KeySource::Aws { region } => format!("a token from your AWS credentials, for {region}"),
        KeySource::Google => "a token from gcloud or the metadata server".to_owned(),
        KeySource::ApiKeyVariable => "the variable ANTHROPIC_API_KEY".to_owned(),
        KeySource::AuthTokenVariable => "the variable ANTHROPIC_AUTH_TOKEN".to_owned(),
        KeySource::Missing => "none".to_owned(),
    }
}

/// Returns how the provider's model names differ from the names in rows; `None` if there is no difference.
fn models(config: &ProviderConfig) -> Option<String> {
    let rules = &config.rules;
    let theirs = rules.model(EXAMPLE);
    match (rules.models.first(), theirs == EXAMPLE) {
        (None, true) => None,
        (Some((ours, theirs)), true) => Some(format!("{} is sent as {}", escape(ours), escape(theirs))),
        (_, false) => Some(format!("{EXAMPLE} is sent as {}", escape(&theirs))),
    }
}

fn members(label: &'static str, paths: &[MemberPath]) -> Option<ListRow> {
    let names: Vec<&str> = paths.iter().map(|path| &*path.0).collect();
    (!names.is_empty()).then(|| ListRow::text(label, names.join(", ")))
}

/// Returns the names of the features that a provider does not have.
pub(super) fn lacks(features: ProviderFeatures) -> Vec<&'static str> {
    ProviderFeatures::NAMES.into_iter().filter(|name| features.get(name) == Some(false)).collect()
}

fn limits(limits: RateLimits) -> String {
    let all = [("rpm", limits.rpm), ("itpm", limits.itpm), ("otpm", limits.otpm)];
    let set = all.into_iter().filter_map(|(name, limit)| Some(format!("{name} {}", count(limit?.into()))));
    set.collect::<Vec<_>>().join(", ")
}

fn prices(config: &ProviderConfig) -> Option<String> {
    let file = config.prices.as_ref().map(|file| format!("those of {}", escape(&file.path.display().to_string())));
    let factor = match config.price_factor {
        1.0 => None,
        0.0 => Some("none: its answers cost nothing".to_owned()),
        factor => Some(format!("the usual prices times {factor}")),
    };
    match (file, factor) {
        (Some(file), Some(factor)) => Some(format!("{file}, for other models {factor}")),
        (file, factor) => file.or(factor),
    }
}

/// Returns the explanation below the list of providers.
pub(super) fn below(columns: usize) -> Vec<String> {
    let text = "drops: members that are left out of requests, and counted in the summary. refuses: members that make a \
         row fail before it is sent. lacks: features of the Claude API that the provider does not have; without \
         rate-headers, the limits come from your settings, or else are learned from refusals. A provider has the \
         prices and limits of the Claude API unless a line says otherwise. Choose a provider with --provider NAME, and \
         change or add one as [providers.NAME] in your configuration file.";
    wrap(text, columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_program_of_a_command_is_shown() {
        let words = |command: &str| source_words(&KeySource::Command(command.to_owned()));

        assert_eq!(words("/usr/bin/pass show s3cret"), "printed by the command /usr/bin/pass");
        assert_eq!(words("TOKEN=s3cret pass"), "printed by a command");
    }
}
