//! The report shows some settings of a run. This module reads these settings from the manifest of the run. Prompts,
//! templates and schemas are not shown.

use serde_json::{Map, Value};

use crate::domain::shortened;
use crate::journal::{InputIdentity, Manifest};
use crate::report::text::{count, plural};

/// The largest number of inputs that are listed.
const MOST_INPUTS: usize = 5;
/// The largest number of settings, and of parameters, that are listed.
const MOST_SETTINGS: usize = 40;
/// The settings whose text values are shown. The text values of other settings are not shown, because they could be
/// part of a prompt.
const SHOWN: [&str; 7] = ["tier", "prompt-cache", "lane", "format", "id", "on-refusal", "on-truncate"];

/// Returns the settings of a run as names and values.
pub(super) fn asked(manifest: &Manifest) -> Vec<(String, String)> {
    let mut asked = Vec::new();
    let mut add = |name: &str, value: Option<String>| asked.extend(value.map(|value| (name.to_owned(), value)));
    manifest.inputs.iter().take(MOST_INPUTS).for_each(|input| add("Input", Some(input_words(input))));
    let more = manifest.inputs.len().saturating_sub(MOST_INPUTS) as u64;
    add("Input", (more > 0).then(|| format!("and {}", plural(more, "more input", "more inputs"))));
    add("Server", Some(manifest.origin.clone()).filter(|origin| !origin.is_empty()));
    let has_several = manifest.providers.len() > 1;
    for (name, origin) in manifest.providers.iter().filter(|_| has_several).take(MOST_INPUTS) {
        add("Provider", Some(format!("{name} ({origin})")));
    }
    let shape = &manifest.shape;
    add("Model", shape.model.clone());
    for (from, to) in shape.map_model.iter().take(MOST_INPUTS) {
        add("Model", Some(format!("{to} instead of {from}")));
    }
    add("Most output tokens", shape.max_tokens.map(|tokens| count(tokens.into())));
    let is_set = shape.system_sha256.is_some() || shape.params.contains_key("system");
    add("System prompt", is_set.then(|| "set (not shown)".to_owned()));
    let params = shape.params.iter().filter(|(name, _)| *name != "system").take(MOST_SETTINGS);
    params.for_each(|(name, value)| add(&format!("Parameter {}", shortened(name)), Some(value_words(name, value))));
    add("API version", Some(shape.api_version.clone()).filter(|version| !version.is_empty()));
    add("Beta features", Some(shape.betas.join(", ")).filter(|betas| !betas.is_empty()));
    asked.extend(settings(&manifest.settings));
    asked.extend(settings(&manifest.rows));
    let output = manifest.output.iter().map(|output| ("Output".to_owned(), output.name.clone()));
    asked.extend(output);
    asked.push(("Run".to_owned(), format!("{} (claude-batch {})", manifest.run, manifest.tool)));
    asked
}

fn input_words(input: &InputIdentity) -> String {
    let bytes = input.bytes.map(|bytes| format!(", {} bytes", count(bytes))).unwrap_or_default();
    let changed = input.modified.map(|at| format!(", last changed {}", at.strftime("%Y-%m-%d %H:%M UTC")));
    format!("{}{bytes}{}", input.path, changed.unwrap_or_default())
}

/// Returns the recorded settings as flags. Settings that the report already shows as parts of the request are left out.
fn settings(settings: &Map<String, Value>) -> impl Iterator<Item = (String, String)> {
    let is_elsewhere =
        |name: &str| matches!(name, "api-version" | "beta" | "model" | "max-tokens" | "map-model" | "param");
    let wanted = settings.iter().filter(move |(name, value)| !is_elsewhere(name) && !is_empty(value));
    wanted.take(MOST_SETTINGS).map(|(name, value)| (format!("--{}", shortened(name)), value_words(name, value)))
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty) || value.as_str().is_some_and(str::is_empty)
}

fn value_words(name: &str, value: &Value) -> String {
    match value {
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number.as_u64().map_or_else(|| number.to_string(), count),
        Value::String(text) if SHOWN.contains(&name) => shortened(text).into_owned(),
        Value::Null | Value::String(_) | Value::Array(_) | Value::Object(_) => "set (not shown)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_and_templates_are_not_among_the_settings_of_a_run() {
        let manifest: Manifest = serde_json::from_str(
            r#"{"format":1,"tool":"9","run":"r1","origin":"simulator","inputs":[{"path":"a.csv","bytes":1234}],
            "shape":{"model":"m1","max_tokens":2000,"params":{"system":"SECRET","temperature":0.5,"stop_sequences":["SECRET"]}},
            "settings":{"tier":"2","rpm":500,"schema":"SECRET","beta":[]},"rows":{"template":"SECRET {{ x }}"}}"#,
        )
        .expect("it is a manifest");

        let shown: Vec<String> = asked(&manifest).iter().map(|(name, value)| format!("{name}: {value}")).collect();

        assert_eq!(
            shown,
            [
                "Input: a.csv, 1,234 bytes",
                "Server: simulator",
                "Model: m1",
                "Most output tokens: 2,000",
                "System prompt: set (not shown)",
                "Parameter stop_sequences: set (not shown)",
                "Parameter temperature: 0.5",
                "--rpm: 500",
                "--schema: set (not shown)",
                "--tier: 2",
                "--template: set (not shown)",
                "Run: r1 (claude-batch 9)",
            ]
        );
    }
}
