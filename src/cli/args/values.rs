//! The types of the values of flags, and the words that the user types for some of these values.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use http::{HeaderName, HeaderValue};
use secrecy::SecretString;
use serde_json::value::RawValue;

use crate::answer::{Expected, OnInvalid};
use crate::cli::shell::program;
use crate::domain::{ErrorClass, LaneChoice, PromptCache, Quality, Tier};
use crate::export::RowKind;
use crate::report::{ProgressKind, SummaryKind};

pub use crate::export::{Field, Order, OutputFormat};
pub use crate::journal::Fsync;
pub use crate::scheduler::StreamMode;
pub use crate::source::InputFormat;
pub use crate::watch::notices::{NoticeForm, NoticeRule};

/// The share of the limits that is left unused (`--headroom`).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Headroom {
    /// The program chooses the share according to the responses.
    #[default]
    Auto,
    /// A fixed percentage, from 0 to 90.
    Percent(f64),
}

/// The maximum number of requests in flight (`--concurrency`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Concurrency {
    /// The program chooses the number of requests in flight that the rate and the latency require.
    #[default]
    Auto,
    /// A fixed number.
    Fixed(NonZeroUsize),
}

/// The rule that says when failed rows stop the run (`--halt`).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum HaltRule {
    /// The run stops if the first ten finished rows all fail for the same reason.
    #[default]
    FirstTen,
    /// Failed rows never stop the run.
    Never,
    /// The run stops after this number of rows have failed.
    Rows(u64),
    /// The run stops after this share of the finished rows has failed. The share is above 0 and at most 1.
    Share(f64),
}

/// A text, or the file that contains it (`--template`, `--system`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text {
    /// The text itself.
    Given(String),
    /// The path of a file that contains the text.
    File(PathBuf),
    /// The path of a file inside the working folder. The path comes from a configuration file in the working folder.
    Inside {
        /// The path, relative to the working folder.
        path: PathBuf,
        /// The place (as `file:line`) where the configuration file gives the path.
        named_at: String,
    },
}

/// A parameter (`--param KEY=JSON`).
#[derive(Clone, Debug)]
pub struct Param {
    /// The name of the parameter.
    pub name: String,
    /// The JSON value of the parameter, in the bytes that the user typed.
    pub value: Box<RawValue>,
}

/// A header (`--header 'Name: value'`). The value of a header is marked sensitive and is never in debug output.
#[derive(Clone, Debug)]
pub struct Header {
    /// The name of the header.
    pub name: HeaderName,
    /// The value of the header.
    pub value: HeaderValue,
}

/// The target of notices (`--notify`). The `Debug` form of a target shows no address and no arguments.
#[derive(Clone)]
pub enum Notify {
    /// The notices are sent to this address.
    Url(SecretString),
    /// The notices are sent to the address in this environment variable.
    Variable(String),
    /// The notices are sent to a program. This text is split at blanks into the program's name and its arguments.
    Command(String),
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(_) => f.write_str("Url"),
            Self::Variable(name) => write!(f, "Variable({name})"),
            Self::Command(command) => write!(f, "Command({:?})", program(command)),
        }
    }
}

/// The type of a flag's value if the program always refuses the flag. No value of this type exists.
#[derive(Clone, Debug)]
pub(crate) enum Refused {}

/// Makes a list of all values of a type, each with its name.
macro_rules! named {
    ($kind:ty) => {{
        let mut pairs = [("", <$kind>::ALL[0]); <$kind>::ALL.len()];
        let mut at = 0;
        while at < pairs.len() {
            pairs[at] = (<$kind>::ALL[at].name(), <$kind>::ALL[at]);
            at += 1;
        }
        pairs
    }};
}

/// The names of input formats.
pub(crate) const FORMATS: [(&str, InputFormat); InputFormat::ALL.len()] = named!(InputFormat);

/// The names of output formats.
pub(crate) const OUTPUT_FORMATS: [(&str, OutputFormat); OutputFormat::ALL.len()] = named!(OutputFormat);

/// The names of the kinds of rows that `--include` selects.
pub(crate) const KINDS: [(&str, RowKind); RowKind::ALL.len()] = named!(RowKind);

/// The names of the values of `--order`.
pub(crate) const ORDERS: [(&str, Order); Order::ALL.len()] = named!(Order);

/// The names of tiers.
pub(crate) const TIERS: [(&str, Tier); Tier::ALL.len()] = named!(Tier);

/// The names of the values of `--lane`.
pub(crate) const LANES: [(&str, LaneChoice); LaneChoice::ALL.len()] = named!(LaneChoice);

/// The names of error classes.
pub(crate) const CLASSES: [(&str, ErrorClass); ErrorClass::ALL.len()] = named!(ErrorClass);

/// The names of the values of `--prompt-cache`.
pub(crate) const PROMPT_CACHES: [(&str, PromptCache); PromptCache::ALL.len()] = named!(PromptCache);

/// The names of the values of `--expect`.
pub(crate) const EXPECTED: [(&str, Expected); 1] = [("json", Expected::Json)];

/// The names of the values of `--on-invalid`.
pub(crate) const ON_INVALID: [(&str, OnInvalid); OnInvalid::ALL.len()] = named!(OnInvalid);

/// The names of the values of `--rerun`.
pub(crate) const RERUN: [(&str, Quality); 2] =
    [(Quality::Truncated.name(), Quality::Truncated), (Quality::Refused.name(), Quality::Refused)];

/// The names of stream modes.
pub(crate) const STREAMS: [(&str, StreamMode); 3] =
    [("auto", StreamMode::Auto), ("on", StreamMode::On), ("off", StreamMode::Off)];

/// The names of sync policies.
pub(crate) const FSYNCS: [(&str, Fsync); 3] = [("group", Fsync::Group), ("always", Fsync::Always), ("off", Fsync::Off)];

/// The names of the kinds of progress output.
pub(crate) const PROGRESS: [(&str, ProgressKind); 5] = [
    ("auto", ProgressKind::Auto),
    ("tty", ProgressKind::Tty),
    ("plain", ProgressKind::Plain),
    ("json", ProgressKind::Json),
    ("none", ProgressKind::None),
];

/// The names of the kinds of summaries.
pub(crate) const SUMMARIES: [(&str, SummaryKind); 3] =
    [("text", SummaryKind::Text), ("json", SummaryKind::Json), ("none", SummaryKind::None)];

/// The names of the forms of notices.
pub(crate) const NOTICE_FORMS: [(&str, NoticeForm); 2] = [("slack", NoticeForm::Slack), ("json", NoticeForm::Json)];

/// Returns a parser that accepts only the names in `names`. The error messages of the parser list these names.
pub(crate) fn one_of<T: Copy + Send + Sync + 'static>(
    names: &'static [(&'static str, T)],
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(names.iter().map(|(name, _)| *name)).map(move |given| {
        let found = names.iter().find(|(name, _)| name.eq_ignore_ascii_case(&given));
        found.expect("the parser lets only these names pass").1
    })
}

/// Returns the parser of a sync policy. The parser also accepts `batch`, the older name of `group`, but its error
/// messages do not list this name.
pub(crate) fn fsync() -> impl TypedValueParser<Value = Fsync> {
    let named = |(name, fsync): &(&'static str, Fsync)| {
        PossibleValue::new(*name).aliases((*fsync == Fsync::Group).then_some("batch"))
    };
    PossibleValuesParser::new(FSYNCS.iter().map(named)).map(|given| {
        let found = FSYNCS.iter().find(|(name, _)| name.eq_ignore_ascii_case(&given));
        found.map_or(Fsync::Group, |(_, fsync)| *fsync)
    })
}
