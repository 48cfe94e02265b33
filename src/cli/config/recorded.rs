//! The settings that a run records in its folder, and that `resume` uses again.
//!
//! The table `TABLE` lists the recorded settings, and `resume` uses only settings from this table. The table contains
//! settings that change requests or their pace. The run folder may come from another person, so the table contains no
//! setting that could redirect requests, authorize something, run a program or spend money. In a manifest, each setting
//! that is not in `TABLE` is an error, and the message names this setting. The program does not ignore an unexpected
//! setting, because somebody must have added it by hand. The table contains the setting `lane`, because batches make
//! rows cheaper and never more expensive. A run with batches says at its start that the API stores the rows. The rules
//! for answers are in the table, because these rules can cause only a few extra requests per row. The rows of an error
//! log can cost more than the extra requests that these rules cause.
//!
//! Only the names of providers are recorded. The addresses and keys of providers come from presets and from this user's
//! own configuration. So a run folder from another person can name only providers that this user has set up. A run says
//! at its start which providers it uses.

use std::path::Path;

use anyhow::{Result, anyhow, bail};
use clap::{Args, Command};
use serde_json::{Map, Value};

use super::Config;
use super::reader::Reader;
use crate::answer::Expected;
use crate::cli::args::layered::Layered;
use crate::cli::args::providers;
use crate::cli::args::{ResumeArgs, Settings};
use crate::domain::PromptCache;
use crate::journal::{Disk, manifest_path, quoted, read_manifest};
use crate::source::Condition;

/// A setting that a run records.
struct Recorded {
    /// The name of the setting's flag.
    name: &'static str,
    /// Returns the value that this setting has in a run; `None` if the setting was not set.
    of: fn(&Config) -> Option<Value>,
    /// Returns a recorded value as the user would type it; `None` if it has the wrong kind.
    texts: fn(&Value) -> Option<Vec<String>>,
    /// The kind of the recorded value, with an article ("a number").
    kind: &'static str,
}

const API_VERSION: Recorded = Recorded {
    name: "api-version",
    of: |config| Some(config.dialect.api_version.clone().into()),
    texts: text,
    kind: TEXT,
};

const BETA: Recorded = Recorded {
    name: "beta",
    of: |config| Some(config.dialect.betas.clone()).filter(|betas| !betas.is_empty()).map(Value::from),
    texts: list,
    kind: "a list of texts",
};

const TABLE: [Recorded; 21] = [
    Recorded { name: "tier", of: |config| Some(config.tier.name().into()), texts: text, kind: TEXT },
    API_VERSION,
    BETA,
    Recorded {
        name: "simulate",
        of: |config| config.simulate.then(|| true.into()),
        texts: truth,
        kind: "true or false",
    },
    Recorded { name: "dedupe", of: |config| config.dedupe.then(|| true.into()), texts: truth, kind: "true or false" },
    Recorded { name: "rpm", of: |config| config.limits.rpm.map(Value::from), texts: number, kind: NUMBER },
    Recorded { name: "itpm", of: |config| config.limits.itpm.map(Value::from), texts: number, kind: NUMBER },
    Recorded { name: "otpm", of: |config| config.limits.otpm.map(Value::from), texts: number, kind: NUMBER },
    Recorded {
        name: "prompt-cache",
        of: |config| (config.prompt_cache != PromptCache::Auto).then(|| config.prompt_cache.name().into()),
        texts: text,
        kind: TEXT,
    },
    // A deadline and `detach` are about one run, so they are not recorded.
    Recorded {
        name: "lane",
        of: |config| config.lane.uses_batches().then(|| config.lane.name().into()),
        texts: text,
        kind: TEXT,
    },
    Recorded {
        name: "batch-rows",
        of: |config| config.lane.uses_batches().then(|| config.batch_rows.get().into()),
        texts: number,
        kind: NUMBER,
    },
    Recorded {
        name: "schema",
        of: |config| config.answers.schema.as_ref().map(|schema| schema.text().into()),
        texts: long_text,
        kind: TEXT,
    },
    Recorded {
        name: "expect",
        of: |config| config.answers.expect.map(|Expected::Json| "json".into()),
        texts: text,
        kind: TEXT,
    },
    Recorded {
        name: "require",
        of: |config| {
            let expressions: Vec<&str> = config.answers.require.iter().map(Condition::expression).collect();
            Some(expressions).filter(|list| !list.is_empty()).map(Value::from)
        },
        texts: long_list,
        kind: "a list of texts",
    },
    Recorded {
        name: "on-invalid",
        of: |config| config.answers.is_checked().then(|| config.answers.on_invalid.name().into()),
        texts: text,
        kind: TEXT,
    },
    Recorded {
        name: "on-truncate",
        of: |config| Some(config.answers.on_truncate.typed().into()),
        texts: text,
        kind: TEXT,
    },
    Recorded {
        name: "on-refusal",
        of: |config| Some(config.answers.on_refusal.typed().into()),
        texts: text,
        kind: TEXT,
    },
    Recorded {
        name: "max-follow-ups",
        of: |config| Some(config.answers.max_follow_ups.into()),
        texts: number,
        kind: NUMBER,
    },
    // A run with the simulator records no provider, because it sends nothing to a provider.
    Recorded {
        name: "provider",
        of: |config| (!config.simulate).then(|| (*config.provider.name).into()),
        texts: text,
        kind: TEXT,
    },
    Recorded {
        name: "fallback",
        of: |config| (!config.simulate).then(|| config.fallback.typed().into()),
        texts: long_text,
        kind: TEXT,
    },
    Recorded {
        name: "fallback-on",
        of: |config| (!config.fallback.chain.is_empty()).then(|| providers::cases(config.fallback.on).into()),
        texts: text,
        kind: TEXT,
    },
];

const TEXT: &str = "a text";
const NUMBER: &str = "a whole number";

/// The highest number of bytes in a text. `resume` rejects longer texts. Header values of the API are far shorter than
/// this limit.
const MOST_BYTES: usize = 256;
/// The highest number of texts in a list. `resume` rejects longer lists.
const MOST_TEXTS: usize = 100;

/// The settings that decide how rows are read and which requests are made from these rows. To recognize rows without a
/// label, the command `results` needs the settings in `ROWS`.
const ROWS: [Recorded; 10] = [
    Recorded { name: "format", of: |config| Some(config.source.format.name().into()), texts: long_text, kind: TEXT },
    Recorded {
        name: "id",
        of: |config| config.source.id_column.clone().map(Value::from),
        texts: long_text,
        kind: TEXT,
    },
    Recorded {
        name: "template",
        of: |config| config.source.template_text.clone().map(Value::from),
        texts: literal,
        kind: TEXT,
    },
    Recorded {
        name: "model",
        of: |config| config.request.model.clone().map(Value::from),
        texts: long_text,
        kind: TEXT,
    },
    Recorded {
        name: "system",
        of: |config| config.request.system.clone().map(Value::from),
        texts: literal,
        kind: TEXT,
    },
    Recorded {
        name: "map-model",
        of: |config| {
            let pairs = config.request.model_map.0.iter();
            let texts: Vec<Value> = pairs.map(|(from, to)| format!("{from}={to}").into()).collect();
            Some(texts).filter(|texts| !texts.is_empty()).map(Value::from)
        },
        texts: long_list,
        kind: "a list of texts",
    },
    Recorded {
        name: "max-tokens",
        of: |config| config.request.max_tokens.map(Value::from),
        texts: number,
        kind: NUMBER,
    },
    Recorded {
        name: "param",
        of: |config| {
            let params = config.request.params.0.iter();
            let texts: Vec<Value> = params.map(|(name, value)| format!("{name}={}", value.get()).into()).collect();
            Some(texts).filter(|texts| !texts.is_empty()).map(Value::from)
        },
        texts: long_list,
        kind: "a list of texts",
    },
    API_VERSION,
    BETA,
];

/// The recorded settings of an output that is made from the results, such as a CSV file.
const OUTPUT: [Recorded; 5] = [
    Recorded { name: "output-format", of: |_| None, texts: text, kind: TEXT },
    Recorded { name: "fields", of: |_| None, texts: long_list, kind: "a list of texts" },
    Recorded { name: "order", of: |_| None, texts: text, kind: TEXT },
    Recorded { name: "raw-cells", of: |_| None, texts: truth, kind: "true or false" },
    Recorded { name: "null", of: |_| None, texts: truth, kind: "true or false" },
];

/// The largest total size, in bytes, of all settings in [`ROWS`]. If the settings have more bytes, the run records none
/// of them.
const MOST_ROWS_BYTES: usize = 1 << 20;

/// Returns the settings that the run folder records and that decide how rows are read.
pub(crate) fn recorded_rows(config: &Config) -> Map<String, Value> {
    let rows = values_of(&ROWS, config);
    let bytes: usize = rows.values().map(|value| value.to_string().len()).sum();
    if bytes > MOST_ROWS_BYTES { Map::new() } else { rows }
}

/// Returns the recorded settings about rows, as a layer. In messages, `path` is the path of the manifest.
///
/// # Errors
/// Fails in the same cases as [`recorded_settings`].
pub(crate) fn rows_taken_back(settings: &Map<String, Value>, path: &str) -> Result<Settings> {
    taken_back_of(&ROWS, settings, path)
}

/// Returns the recorded settings of an output, as a layer. In messages, `path` is the path of the manifest.
///
/// # Errors
/// Fails in the same cases as [`recorded_settings`].
pub(crate) fn output_taken_back(settings: &Map<String, Value>, path: &str) -> Result<Settings> {
    taken_back_of(&OUTPUT, settings, path)
}

/// Returns the settings that are stored in the folder of a run.
pub(crate) fn recorded(config: &Config) -> Map<String, Value> {
    values_of(&TABLE, config)
}

/// Returns the settings in `table` that were set, as a map from name to value.
fn values_of(table: &[Recorded], config: &Config) -> Map<String, Value> {
    table.iter().filter_map(|row| Some((row.name.to_owned(), (row.of)(config)?))).collect()
}

/// Returns the settings that a run recorded in its folder, as a layer. The layer is empty if the folder has no
/// manifest.
///
/// # Errors
/// Fails if the manifest can't be read, contains a setting that no run records, or contains a value that the setting's
/// flag does not accept. The message names the manifest and the setting.
pub(crate) fn recorded_settings(folder: &Path, disk: &dyn Disk) -> Result<Settings> {
    let Some(manifest) = read_manifest(folder, disk)? else { return Ok(Settings::default()) };
    taken_back(&manifest.settings, &manifest_path(folder).display().to_string())
}

/// Returns the settings in a manifest, as a layer. In messages, `path` is the path of the manifest.
///
/// # Errors
/// Fails in the same cases as [`recorded_settings`].
pub(crate) fn taken_back(settings: &Map<String, Value>, path: &str) -> Result<Settings> {
    taken_back_of(&TABLE, settings, path)
}

fn taken_back_of(table: &[Recorded], settings: &Map<String, Value>, path: &str) -> Result<Settings> {
    let mut reader = Reader::new();
    let mut taken = Settings::default();
    for (name, value) in settings {
        let Some(row) = table.iter().find(|row| row.name == name) else { bail!("{path}: {}", refusal(name)) };
        let Some(texts) = (row.texts)(value) else {
            bail!("{path}: settings.{name} is {} and should be {}; remove or correct it", kind(value), row.kind);
        };
        let wrong = |message| anyhow!("{path}: settings.{name}: {message}; remove or correct it");
        taken = reader.parse(name, &texts).map_err(wrong)?.over(taken);
    }
    Ok(taken)
}

/// Returns why the program rejects a setting in a manifest. The text does not show the value, because it may be a
/// secret.
fn refusal(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let is_word = !name.is_empty() && name.len() < 40 && name.bytes().all(is_plain);
    let shown = if is_word { name.to_owned() } else { quoted(name) };
    let resume = ResumeArgs::augment_args(Command::new("resume"));
    let is_flag = resume.get_arguments().any(|arg| arg.get_long() == Some(name) && !arg.is_hide_set());
    let instead = if is_flag { format!("; if you want it, give --{name}") } else { String::new() };
    format!(
        "settings.{shown} is not a setting that a run records, and resume accepts no other settings in a run folder; \
         remove it{instead}"
    )
}

fn text(value: &Value) -> Option<Vec<String>> {
    let text = value.as_str().filter(|text| text.len() <= MOST_BYTES)?;
    Some(vec![text.to_owned()])
}

fn truth(value: &Value) -> Option<Vec<String>> {
    value.as_bool().map(|is_on| vec![is_on.to_string()])
}

fn long_text(value: &Value) -> Option<Vec<String>> {
    let text = value.as_str().filter(|text| text.len() <= MOST_ROWS_BYTES)?;
    Some(vec![text.to_owned()])
}

/// Returns a text in a form that the flag's parser does not mistake for `@` and a file name.
fn literal(value: &Value) -> Option<Vec<String>> {
    let [text] = <[String; 1]>::try_from(long_text(value)?).ok()?;
    Some(vec![if text.starts_with('@') { format!("@{text}") } else { text }])
}

fn long_list(value: &Value) -> Option<Vec<String>> {
    let values = value.as_array().filter(|values| values.len() <= MOST_TEXTS)?;
    values.iter().map(|value| long_text(value)?.pop()).collect()
}

fn list(value: &Value) -> Option<Vec<String>> {
    let values = value.as_array().filter(|values| values.len() <= MOST_TEXTS)?;
    values.iter().map(|value| text(value)?.pop()).collect()
}

fn number(value: &Value) -> Option<Vec<String>> {
    value.as_u64().map(|number| vec![number.to_string()])
}

/// Returns the kind of a value, with an article. If a text or a list is too long, the returned kind mentions the
/// length. A message that only said `a text` would be wrong, because the program accepts shorter texts.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(text) if text.len() > MOST_BYTES => "a text of more than 256 bytes",
        Value::String(_) => "a text",
        Value::Array(values) if values.len() > MOST_TEXTS => "a list of more than 100 values",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use serde_json::json;

    use super::*;
    use crate::domain::LaneChoice;

    fn take(name: &str, value: Value) -> Result<Settings, String> {
        taken_back(&Map::from_iter([(name.to_owned(), value)]), "o.run/manifest.json")
            .map_err(|error| error.to_string())
    }

    #[test]
    fn every_flag_is_recorded_or_refused_by_name() {
        let names = Reader::new().names();
        assert!(names.len() > 40, "{names:?}");
        for name in names {
            let taken = ["1", "true"].map(|text| take(&name, json!(text)));

            match TABLE.iter().any(|row| row.name == name) {
                true => assert!(take(&name, json!({})).is_err()),
                false => {
                    for message in taken.map(|taken| taken.expect_err(&name)) {
                        let named = format!("o.run/manifest.json: settings.{name} is not a setting that a run records");
                        assert!(message.starts_with(&named), "{message}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_refusal_of_a_setting_names_the_flag_if_resume_has_it() {
        let message = |name| take(name, json!("http://evil.example.invalid")).expect_err("it is not recorded");

        assert!(message("base-url").ends_with("remove it; if you want it, give --base-url"));
        assert!(message("model").ends_with("remove it; if you want it, give --model"));
        assert!(message("template").ends_with("remove it") && message("api-key").ends_with("remove it"));
    }

    #[test]
    fn names_that_are_not_flags_are_refused_without_their_bytes() {
        for name in ["", "Tier", "base_url", "tier ", "--tier", "beta\u{1b}[2J", "settings.tier", "tier\0", "__proto__"]
        {
            let message = take(name, json!("1")).expect_err("it is no setting");

            assert!(message.contains("not a setting that a run records"), "{message}");
            assert!(!message.chars().any(char::is_control), "{message:?}");
        }
        assert!(take(&"x".repeat(1 << 20), json!(1)).expect_err("it is no setting").len() < 1_000);
    }

    #[test]
    fn recorded_settings_are_read_back() {
        let settings = json!({"tier": "2", "api-version": "2023-06-01", "beta": ["a", "b"], "simulate": true, "rpm": 5,
            "itpm": 4_294_967_295_u64, "otpm": 7, "prompt-cache": "1h", "lane": "auto", "batch-rows": 500});
        let Value::Object(settings) = settings else { panic!("it is an object") };

        let taken = taken_back(&settings, "m").expect("a run records these");

        assert_eq!(taken.wire.beta, ["a", "b"]);
        assert_eq!((taken.speed.rpm, taken.speed.itpm, taken.speed.otpm), (Some(5), Some(u32::MAX), Some(7)));
        assert_eq!((taken.simulation.simulate, taken.speed.tier.is_some()), (Some(true), true));
        assert_eq!(taken.money.prompt_cache, Some(PromptCache::Hour));
        assert_eq!(
            (taken.lanes.lane, taken.lanes.batch_rows.map(NonZeroU32::get)),
            (Some(LaneChoice::Auto), Some(500))
        );
    }

    #[test]
    fn values_of_a_wrong_kind_or_out_of_range_are_refused_by_name() {
        let long = "a".repeat(257);
        let cases = [
            (
                "tier",
                vec![json!(null), json!(2), json!(["2"]), json!({"a": "2"}), json!("9"), json!(""), json!("2\u{1b}")],
            ),
            (
                "api-version",
                vec![json!(1), json!(""), json!("a b"), json!("a,b"), json!("a\r\nx-api-key: k"), json!(long)],
            ),
            (
                "beta",
                vec![json!("a"), json!([1]), json!([["a"]]), json!(["a\n"]), json!(vec!["a"; 101]), json!([long])],
            ),
            ("prompt-cache", vec![json!(true), json!("2h"), json!(""), json!(["5m"])]),
            ("lane", vec![json!("half"), json!(""), json!(true), json!(["batch"])]),
            ("batch-rows", vec![json!(0), json!(100_001), json!("5"), json!(1.5)]),
            ("simulate", vec![json!("true"), json!(1), json!([true]), json!(null)]),
            (
                "rpm",
                vec![
                    json!(0),
                    json!(-1),
                    json!(1.5),
                    json!("5"),
                    json!(4_294_967_296_u64),
                    json!(u64::MAX),
                    json!(1e300),
                ],
            ),
            ("otpm", vec![json!([1]), json!({}), json!(false)]),
        ];
        for (name, values) in cases {
            for value in values {
                let message = take(name, value.clone()).expect_err(name);

                assert!(message.contains(&format!("o.run/manifest.json: settings.{name}")), "{message}");
                assert!(message.len() < 500, "{message}");
            }
        }
    }
}
