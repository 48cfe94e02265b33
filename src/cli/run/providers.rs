//! Compares the providers of a run with the providers of the results that the run continues.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::Result;

use super::super::config::Config;
use super::super::config::providers::ProviderConfig;
use super::super::server::origin_of;
use super::new_run::NewRun;
use crate::journal::Recovered;
use crate::report::text::{count, escape, plural};

/// Returns the names of the providers, in the order in which they are tried; `None` if there is only one.
pub(super) fn several(config: &Config) -> Option<Arc<[Arc<str>]>> {
    let is_chain = !config.fallback.chain.is_empty();
    is_chain.then(|| config.providers().map(|provider| Arc::clone(&provider.name)).collect())
}

/// Returns a map from the names of a run's providers to their origins (the servers).
///
/// # Errors
/// Fails if the address of a provider is malformed or missing.
pub(super) fn origins(config: &Config) -> Result<BTreeMap<String, String>> {
    let of = |provider: &ProviderConfig| Ok((provider.name.to_string(), origin_of(provider, config)?));
    config.providers().map(of).collect()
}

impl NewRun<'_> {
    /// If there are several providers, prints a note that the cost and the time are estimated for the first provider.
    pub(super) fn note_estimated_provider(&self) {
        if self.config.fallback.chain.is_empty() {
            return;
        }
        let first = escape(&self.config.provider.name);
        self.say(&format!(
            "note: cost and time are estimated for {first}; rows that another provider answers have the prices of that \
             provider"
        ));
    }

    /// Prints a note if this run uses other providers than the earlier runs with these results.
    pub(super) fn note_other_providers(&self, recovered: &Recovered) {
        let ours: Vec<&str> = self.config.providers().map(|provider| &*provider.name).collect();
        let earlier = recovered.manifest.as_ref().map(|manifest| manifest.servers().providers);
        let earlier: Vec<String> = earlier.unwrap_or_default().into_keys().collect();
        other_providers(&recovered.answers_by.by_size(), &earlier, &ours).iter().for_each(|text| self.say(text));
    }
}

/// Returns the note about answers of other providers; `None` if there are no earlier answers, or if the providers are
/// the same. `before` contains each provider of the earlier answers, with the number of its answers. `earlier` are the
/// providers that the earlier runs could use, if they are known. `ours` are the providers of this run.
fn other_providers(before: &[(String, u64)], earlier: &[String], ours: &[&str]) -> Option<String> {
    let names = || before.iter().map(|(name, _)| name);
    let is_left = names().any(|name| !ours.contains(&&**name));
    let known: BTreeSet<&str> = names().chain(earlier).map(String::as_str).collect();
    let is_same = !is_left && ours.iter().all(|name| known.contains(name));
    let answers = before.iter().enumerate().map(|(at, (name, rows))| match at {
        0 => format!("{} by {}", plural(*rows, "answer", "answers"), escape(name)),
        _ => format!("{} by {}", count(*rows), escape(name)),
    });
    let answers = answers.collect::<Vec<_>>().join(" and ");
    let ours = ours.iter().map(|name| escape(name)).collect::<Vec<_>>().join(", then ");
    (!before.is_empty() && !is_same)
        .then(|| format!("note: the results contain {answers}; this run uses {ours}. Earlier answers are not changed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_of_other_providers_are_reported_and_only_once() {
        let before = |counts: &[(&str, u64)]| -> Vec<(String, u64)> {
            counts.iter().map(|(name, rows)| ((*name).to_owned(), *rows)).collect()
        };

        let router = before(&[("openrouter", 1_204)]);
        let both = before(&[("openrouter", 1_204), ("bed\u{1b}rock", 1)]);

        let notes = [
            other_providers(&router, &[], &["anthropic"]),
            other_providers(&both, &[], &["openrouter"]),
            other_providers(&router, &["openrouter".to_owned()], &["openrouter", "anthropic"]),
        ];
        insta::assert_snapshot!(notes.map(Option::unwrap_or_default).join("\n"), @r"
        note: the results contain 1,204 answers by openrouter; this run uses anthropic. Earlier answers are not changed
        note: the results contain 1,204 answers by openrouter and 1 by bed\u{1b}rock; this run uses openrouter. Earlier answers are not changed
        note: the results contain 1,204 answers by openrouter; this run uses openrouter, then anthropic. Earlier answers are not changed
        ");
        let chain = ["openrouter".to_owned(), "anthropic".to_owned()];
        assert_eq!(other_providers(&router, &chain, &["openrouter", "anthropic"]), None, "nothing has changed");
        assert_eq!(other_providers(&router, &[], &["openrouter"]), None);
        assert_eq!(other_providers(&[], &[], &["openrouter", "anthropic"]), None);
    }
}
