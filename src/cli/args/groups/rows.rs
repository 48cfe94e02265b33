//! The flags that say which rows are read, and what is asked for each row.

use clap::{Args, ValueHint};

use super::super::layered::{Layered, layered};
use super::super::parsers;
use super::super::values::{self, Header, InputFormat, Param, StreamMode, Text};
use crate::answer::{Expected, OnInvalid, OnRefusal, OnTruncate};
use crate::domain::Quality;
use crate::source::Condition;

/// The flags that say how inputs are read.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Input")]
pub struct SourceArgs {
    /// Format of the inputs [default: auto (from name and content)]
    #[arg(long, value_parser = values::one_of(&values::FORMATS))]
    pub format: Option<InputFormat>,
    /// Column with each row's id
    #[arg(long, value_name = "COLUMN")]
    pub id: Option<String>,
    /// Sheet of an Excel file [default: the first]
    #[arg(long, value_name = "NAME")]
    pub sheet: Option<String>,
    /// Template of the prompts, with {{column}} in it; or a JSON list of messages that contain {{column}}; or @FILE
    #[arg(short, long, value_name = "TEXT", value_parser = parsers::text)]
    pub template: Option<Text>,
    /// Use only the first N rows (after --skip)
    #[arg(short = 'n', long, value_name = "N", allow_negative_numbers = true, value_parser = parsers::positive_u64)]
    pub limit: Option<u64>,
    /// Leave out the first N rows
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = parsers::number_u64)]
    pub skip: Option<u64>,
    /// Refuse to start if a row is invalid
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = parsers::switch)]
    pub strict: Option<bool>,
}

/// The flags that say how `results` reads the input of a run.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Input")]
pub(crate) struct ReadArgs {
    /// Format of the input [default: as in the run]
    #[arg(long, value_parser = values::one_of(&values::FORMATS))]
    pub format: Option<InputFormat>,
    /// Column with each row's id [default: as in the run]
    #[arg(long, value_name = "COLUMN")]
    pub id: Option<String>,
}

/// Parameters of every request; a row's own parameters override them.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Request (a row's own parameters have priority)")]
pub struct RequestArgs {
    /// Name of the model [default: claude-haiku-4-5]
    #[arg(short, long)]
    pub model: Option<String>,
    /// Send rows that name the model FROM to the model TO instead; repeatable
    #[arg(long, value_name = "FROM=TO", value_delimiter = ',', value_parser = parsers::model_pair)]
    pub map_model: Vec<(String, String)>,
    /// System prompt, or @FILE; can contain {{column}}; a .json file can contain a list of content blocks
    #[arg(short, long, value_name = "TEXT", value_parser = parsers::text)]
    pub system: Option<Text>,
    /// Maximum length of an answer, in tokens [default: 1024]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = parsers::positive_u32)]
    pub max_tokens: Option<u32>,
    /// Another parameter of the API, as KEY=JSON; repeatable
    #[arg(long, value_name = "KEY=JSON", value_parser = parsers::param)]
    pub param: Vec<Param>,
}

/// Parameters on the command line that replace the parameters of the rows.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Request (these flags have priority over a row's own parameters)")]
pub(crate) struct OverrideArgs {
    /// Name of the model [default: as in the row]
    #[arg(short, long)]
    pub model: Option<String>,
    /// System prompt, or @FILE; a .json file can contain a list of content blocks [default: as in the row]
    #[arg(short, long, value_name = "TEXT", value_parser = parsers::text)]
    pub system: Option<Text>,
    /// Maximum length of an answer, in tokens [default: as in the row]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = parsers::positive_u32)]
    pub max_tokens: Option<u32>,
}

/// The flags that say how requests are sent.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Request (a row's own parameters have priority)")]
pub struct WireArgs {
    /// Whether answers are streamed from the API [default: auto]
    #[arg(long, value_parser = values::one_of(&values::STREAMS))]
    pub stream: Option<StreamMode>,
    /// Value of the header anthropic-version [default: 2023-06-01]
    #[arg(long, value_name = "DATE", value_parser = parsers::token)]
    pub api_version: Option<String>,
    /// Value of the header anthropic-beta; repeatable
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = parsers::token)]
    pub beta: Vec<String>,
    /// Another header of each request, as 'Name: value'; repeatable
    #[arg(long, value_name = "HEADER", value_parser = parsers::HeaderParser)]
    pub header: Vec<Header>,
}

/// The flags that say which answers are valid, and what happens after an invalid answer.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Answers")]
pub struct AnswerArgs {
    /// JSON schema that each answer must match
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, value_parser = parsers::schema, conflicts_with = "expect")]
    pub schema: Option<Text>,
    /// What each answer must be: json (valid JSON)
    #[arg(long, value_name = "KIND", ignore_case = true, value_parser = values::one_of(&values::EXPECTED))]
    pub expect: Option<Expected>,
    /// Expression that must be true for each answer; can use text, json, row and usage; repeatable
    #[arg(long, value_name = "EXPR", value_parser = parsers::condition)]
    pub require: Vec<Condition>,
    /// What follows an invalid answer: repair (ask for a correction), retry (ask again), fail (fail the row) or keep
    /// [default: repair with --schema and --expect, else fail]
    #[arg(long, value_name = "WHAT", ignore_case = true, value_parser = values::one_of(&values::ON_INVALID))]
    pub on_invalid: Option<OnInvalid>,
    /// What follows a truncated answer: keep, fail (fail the row), grow[=MAX] (ask again for a longer answer) or
    /// continue (ask for the rest) [default: keep, or fail with --schema, --expect or --require]
    #[arg(long, value_name = "WHAT", ignore_case = true, value_parser = parsers::on_truncate)]
    pub on_truncate: Option<OnTruncate>,
    /// What follows a refusal: keep, fail (fail the row) or model=NAME (ask another model) [default: keep, or fail with
    /// --schema, --expect or --require]
    #[arg(long, value_name = "WHAT", value_parser = parsers::on_refusal)]
    pub on_refusal: Option<OnRefusal>,
    /// Maximum number of further requests for a row after its first answer [default: 2]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = parsers::number_u32)]
    pub max_follow_ups: Option<u32>,
}

/// The flags that say which rows are run again.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Run")]
pub struct RowsArgs {
    /// Start over; the earlier results are kept under another name
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = parsers::switch, conflicts_with_all = ["retry_failed", "rerun_changed"])]
    pub fresh: Option<bool>,
    /// Also retry rows that failed in earlier runs
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = parsers::switch)]
    pub retry_failed: Option<bool>,
    /// Run rows again if they changed after they were answered
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = parsers::switch)]
    pub rerun_changed: Option<bool>,
    /// Ask again for answers of these kinds: truncated, refused; --max-tokens, -m and -s then override the row's own
    /// values
    #[arg(long, value_name = "KINDS", value_delimiter = ',', value_parser = values::one_of(&values::RERUN))]
    pub rerun: Vec<Quality>,
}

layered! {
    SourceArgs { format, id, sheet, template, limit, skip, strict }
    RequestArgs { model, map_model, system, max_tokens, param }
    WireArgs { stream, api_version, beta, header }
    AnswerArgs { schema, expect, require, on_invalid, on_truncate, on_refusal, max_follow_ups }
    RowsArgs { fresh, retry_failed, rerun_changed, rerun }
}
