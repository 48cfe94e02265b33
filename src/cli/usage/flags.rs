//! Suggests flags of this program for flags of other tools and for parameters of the API.

use std::ffi::OsString;

use clap::{Arg, Command};
use serde_json::Value;

use crate::cli::shell::quoted;

/// A suggestion repeats a value only if the value has at most this many bytes.
const LONGEST: usize = 40;

/// The flags and parameters whose values can be repeated in a suggestion. The values of flags that are not in this list
/// may be secret. For example, an address can contain a password, `mcp_servers` can contain a token, and the value of
/// `--key` may be a key.
const REPEATED: [&str; 21] = [
    "concurrency",
    "max-retries",
    "output",
    "rpm",
    "itpm",
    "otpm",
    "max-cost",
    "max-tokens",
    "limit",
    "skip",
    "max-time",
    "timeout",
    "prompt-cache",
    "fields",
    "errors",
    "temperature",
    "top_p",
    "top_k",
    "stop_sequences",
    "service_tier",
    "inference_geo",
];

/// The parameters of the API that users give with `--param`, each with an example of a value.
const PARAMS: [(&str, &str); 14] = [
    ("temperature", "0"),
    ("top_p", "0.9"),
    ("top_k", "40"),
    ("stop_sequences", "[\"END\"]"),
    ("thinking", "{\"type\":\"enabled\",\"budget_tokens\":2048}"),
    ("tools", "[...]"),
    ("tool_choice", "{\"type\":\"auto\"}"),
    ("metadata", "{\"user_id\":\"u1\"}"),
    ("service_tier", "\"auto\""),
    ("container", "\"...\""),
    ("mcp_servers", "[...]"),
    ("context_management", "{...}"),
    ("output_config", "{...}"),
    ("inference_geo", "\"us\""),
];

/// Other names for parameters of the API, and the correct names.
const OTHER_PARAMS: [(&str, &str); 5] = [
    ("temp", "temperature"),
    ("stop", "stop_sequences"),
    ("stop_sequence", "stop_sequences"),
    ("tool", "tools"),
    ("user_id", "metadata"),
];

/// The names that other tools use for our flags, and what to type instead. `{}` is the value of the flag.
const OTHERS: [(&[&str], &str); 29] = [
    (
        &[
            "workers",
            "num-workers",
            "max-workers",
            "parallel",
            "parallelism",
            "threads",
            "jobs",
            "j",
            "concurrent",
            "max-parallel",
            "p",
        ],
        "--concurrency {}",
    ),
    (&["retries", "retry", "num-retries", "max-attempts", "attempts", "max-retry"], "--max-retries {}"),
    (&["out", "output-file", "output-path", "outfile", "outputs", "save"], "--output {}"),
    (&["limit-rpm", "requests-per-minute", "max-rpm", "max-requests-per-minute", "rate", "rate-limit"], "--rpm {}"),
    (&["input-tokens-per-minute", "limit-itpm"], "--itpm {}"),
    (&["output-tokens-per-minute", "limit-otpm"], "--otpm {}"),
    (&["max-budget", "cost-limit", "max-spend", "spend-limit", "max-dollars"], "--max-cost {}"),
    (&["prompt", "prompt-template"], "--template {}"),
    (&["system-prompt", "system-message", "instructions"], "--system {}"),
    (&["max-output-tokens", "max-new-tokens", "max-completion-tokens", "max-length"], "--max-tokens {}"),
    (&["url", "endpoint", "api-base", "api-url", "server", "host"], "--base-url {}"),
    (&["dry", "preview", "noop"], "--dry-run"),
    (&["json-schema", "response-format", "response-schema"], "--schema {}"),
    (&["json", "json-mode"], "--expect json"),
    (&["batch", "batches", "use-batch", "batch-api"], "--lane batch"),
    (&["overwrite", "force", "restart", "no-resume"], "--fresh"),
    (&["samples", "max-rows", "num-rows", "head", "first", "rows"], "--limit {}"),
    (&["offset"], "--skip {}"),
    (&["log-file", "logfile"], "--log {}"),
    (&["debug"], "--verbose"),
    (&["silent", "no-progress"], "--quiet"),
    (&["max-duration", "time-limit", "max-runtime"], "--max-time {}"),
    (&["request-timeout", "max-wait"], "--timeout {}"),
    (&["cache", "caching"], "--prompt-cache {}"),
    (&["keep-order", "ordered", "sort", "preserve-order"], "--order input"),
    (&["columns", "select", "field"], "--fields {}"),
    (&["error-log", "error-file", "failed"], "--errors {}"),
    (&["assume-yes", "y", "no-input", "no-confirm"], "--yes"),
    (&["id-column", "id-field", "key"], "--id {}"),
];

/// Flags of other tools that this program does not need, and what to do instead.
const WITHOUT: [(&[&str], &str); 3] = [
    (
        &["input", "i", "in", "file", "f", "input-file", "infile", "prompts", "data"],
        "inputs are named without a flag, as in claude-batch run prompts.jsonl",
    ),
    (&["resume", "continue", "checkpoint"], "to resume a run, type the same command again, without a flag"),
    (&["color", "colour", "no-color", "no-colour"], "to turn colours off, set the variable NO_COLOR"),
];

/// Returns what to type instead of an unknown flag. Returns `None` if the flag is not in the lists of this file, or if
/// the command has no flag with the same purpose.
pub(super) fn other_name(flag: &str, value: Option<&str>, command: &Command) -> Option<String> {
    let name = flag.trim_start_matches('-');
    let param = name.replace('-', "_");
    let param = OTHER_PARAMS.iter().find(|(other, _)| *other == param).map_or(&*param, |(_, ours)| ours);
    if let Some((param, example)) = PARAMS.iter().find(|(known, _)| *known == param) {
        return has(command, "param").then(|| {
            let value = value.filter(|value| is_repeated(param, value)).and_then(|value| as_json(param, value));
            let typed = quoted(format!("{param}={}", value.as_deref().unwrap_or(example)));
            format!("it is a parameter of the API; give it with --param {typed}")
        });
    }
    let found = OTHERS.iter().find(|(names, _)| names.contains(&name)).map(|(_, ours)| *ours);
    if let Some(ours) = found.filter(|ours| has(command, long(ours))) {
        let value = value.filter(|value| is_repeated(long(ours), value)).map(quoted);
        let typed = match value {
            Some(value) => ours.replace("{}", &value),
            None => ours.replace(" {}", ""),
        };
        return Some(format!("use {typed}"));
    }
    let (names, words) = WITHOUT.iter().find(|(names, _)| names.contains(&name))?;
    let is_of_run = matches!(command.get_name(), "run" | "plan" | "check");
    (is_of_run || names.contains(&"color")).then(|| (*words).to_owned())
}

/// Returns the value that was typed after a flag; `None` if there is no value.
pub(super) fn value_of(flag: &str, args: &[OsString]) -> Option<String> {
    let mut args = args.iter().filter_map(|arg| arg.to_str());
    let joined = format!("{flag}=");
    let found = args.find(|arg| *arg == flag || arg.starts_with(&joined))?;
    match found.strip_prefix(&joined) {
        Some(value) => Some(value.to_owned()),
        None => args.next().filter(|value| !value.starts_with('-') || value.parse::<f64>().is_ok()).map(str::to_owned),
    }
}

/// Returns the names and the aliases of the flags of a command.
pub(super) fn names(command: &Command) -> impl Iterator<Item = &str> {
    let seen = command.get_arguments().filter(|arg| !arg.is_hide_set());
    seen.flat_map(|arg| arg.get_long().into_iter().chain(arg.get_all_aliases().unwrap_or_default()))
}

/// Returns the commands that have this flag.
pub(super) fn commands_with(flag: &str, whole: &Command) -> Vec<String> {
    let name = flag.trim_start_matches('-');
    let having = whole.get_subcommands().filter(|command| has(command, name));
    having.map(|command| command.get_name().to_owned()).collect()
}

fn has(command: &Command, name: &str) -> bool {
    let is_it = |arg: &Arg| arg.get_long() == Some(name) && !arg.is_hide_set();
    command.get_arguments().any(is_it)
}

fn long(typed: &str) -> &str {
    typed.split(' ').next().unwrap_or_default().trim_start_matches('-')
}

/// Returns whether a suggestion repeats `value`, the value of the flag or parameter `name`.
fn is_repeated(name: &str, value: &str) -> bool {
    let is_short = !value.is_empty() && value.len() <= LONGEST;
    let is_address = value.contains("://") || value.contains('@');
    REPEATED.contains(&name) && is_short && !is_address && !value.contains("sk-") && !value.contains(char::is_control)
}

/// Returns a value of a parameter as JSON, in the form that the API accepts; `None` if the API would not accept it.
fn as_json(param: &str, value: &str) -> Option<String> {
    match (param, serde_json::from_str::<Value>(value)) {
        ("stop_sequences", Ok(Value::Array(_))) => Some(value.to_owned()),
        ("stop_sequences", _) => Some(serde_json::json!([value]).to_string()),
        ("service_tier" | "container" | "inference_geo", Err(_)) => Some(Value::from(value).to_string()),
        ("temperature" | "top_p" | "top_k", Ok(Value::Number(_))) => Some(value.to_owned()),
        ("temperature" | "top_p" | "top_k", _) => None,
        (_, Ok(Value::Object(_) | Value::Array(_) | Value::String(_))) => Some(value.to_owned()),
        (_, Ok(_) | Err(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::args::Cli;

    fn told(typed: &[&str]) -> Option<String> {
        let whole = Cli::command();
        let command = whole.find_subcommand(typed[0]).expect("it is a command");
        let args: Vec<OsString> = typed.iter().map(OsString::from).collect();
        let flag = typed[1].split('=').next().expect("there is a first part");
        other_name(flag, value_of(flag, &args).as_deref(), command)
    }

    #[test]
    fn a_parameter_of_the_api_is_given_with_param() {
        for (typed, expected) in [
            (&["run", "--temperature", "0"][..], "--param temperature=0"),
            (&["run", "--top-p=0.5"], "--param top_p=0.5"),
            (&["run", "--top-k", "many"], "--param top_k=40"),
            (&["run", "--stop-sequences", "END"], "--param 'stop_sequences=[\"END\"]'"),
            (&["run", "--service-tier", "auto"], "--param 'service_tier=\"auto\"'"),
            (&["run", "--thinking"], "--param 'thinking={\"type\":\"enabled\",\"budget_tokens\":2048}'"),
            (&["run", "--temperature", "sk-ant-api03-123456789"], "--param temperature=0"),
            (&["run", "--mcp-servers", "[{\"authorization_token\":\"s3cret\"}]"], "--param 'mcp_servers=[...]'"),
            (&["run", "--tools", "[{\"token\":\"s3cret\"}]"], "--param 'tools=[...]'"),
            (&["run", "--metadata", "{\"user_id\":\"s3cret\"}"], "--param 'metadata={\"user_id\":\"u1\"}'"),
        ] {
            let told = told(typed).expect("it is a parameter");
            assert!(told.ends_with(expected), "{typed:?}: {told}");
        }
        assert_eq!(told(&["results", "--temperature", "0"]), None, "results sends nothing");
    }

    #[test]
    fn a_flag_of_another_tool_leads_to_ours() {
        for (typed, expected) in [
            (&["run", "--workers", "8"][..], Some("use --concurrency 8")),
            (&["run", "--workers"], Some("use --concurrency")),
            (&["run", "--out", "a b.jsonl"], Some("use --output 'a b.jsonl'")),
            (&["run", "--batch"], Some("use --lane batch")),
            (&["run", "-i", "x"], Some("inputs are named without a flag, as in claude-batch run prompts.jsonl")),
            (&["run", "--url", "https://u:s3cret@h"], Some("use --base-url")),
            (&["run", "--host=s3cret"], Some("use --base-url")),
            (&["run", "--out", "https://u:s3cret@h"], Some("use --output")),
            (&["status", "--workers", "8"], None),
        ] {
            assert_eq!(told(typed).as_deref(), expected, "{typed:?}");
        }
    }

    #[test]
    fn every_flag_that_is_suggested_exists() {
        let whole = Cli::command();
        let run = whole.find_subcommand("run").expect("there is run");

        for (names, ours) in OTHERS {
            assert!(has(run, long(ours)), "{ours}");
            for name in names {
                assert!(!has(run, name), "--{name} is a flag of run");
            }
        }
    }
}
