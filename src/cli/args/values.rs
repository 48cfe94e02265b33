//! The values of flags, and the words that the user types for some of these values.

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
    /// Chosen according to the responses.
    #[default]
    Auto,
    /// This percentage, 0 to 90.
    Percent(f64),
}

/// How many requests may be in flight (`--concurrency`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Concurrency {
    /// As many as rate and latency require.
    #[default]
    Auto,
    /// This number.
    Fixed(NonZeroUsize),
}

/// When failed rows stop the run (`--halt`).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum HaltRule {
    /// When the first ten finished rows all fail for the same reason.
    #[default]
    FirstTen,
    /// Never.
    Never,
    /// When this many rows have failed.
    Rows(u64),
    /// When this share of the finished rows has failed. The share is above 0 and at most 1.
    Share(f64),
}

/// A text, or the file that contains it (`--template`, `--system`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text {
    /// The text itself.
    Given(String),
    /// The path of a file that contains the text.
    File(PathBuf),
    /// The path of a file inside the working folder. The path comes from a configuration file in that folder.
    Inside {
        /// The path, relative to the working folder.
        path: PathBuf,
        /// The place where the path is given, as `file:line`.
        named_at: String,
    },
}

/// A parameter (`--param KEY=JSON`).
#[derive(Clone, Debug)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// Its value, which is never changed.
    pub value: Box<RawValue>,
}

/// A header (`--header 'Name: value'`). Its value is marked sensitive and is never in debug output.
#[derive(Clone, Debug)]
pub struct Header {
    /// Its name.
    pub name: HeaderName,
    /// Its value.
    pub value: HeaderValue,
}

/// Where notices are sent (`--notify`). Its `Debug` form shows no address and no arguments.
#[derive(Clone)]
pub enum Notify {
    /// To this address.
    Url(SecretString),
    /// To the address in this environment variable.
    Variable(String),
    /// To a program. The text is split at blanks into its name and its arguments.
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

/// The value of a flag that is always refused.
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

/// Names of formats.
pub(crate) const FORMATS: [(&str, InputFormat); InputFormat::ALL.len()] = named!(InputFormat);

/// Names of output formats.
pub(crate) const OUTPUT_FORMATS: [(&str, OutputFormat); OutputFormat::ALL.len()] = named!(OutputFormat);

/// Names of kinds of rows.
pub(crate) const KINDS: [(&str, RowKind); RowKind::ALL.len()] = named!(RowKind);

/// Names of orders.
pub(crate) const ORDERS: [(&str, Order); Order::ALL.len()] = named!(Order);

/// Names of tiers.
pub(crate) const TIERS: [(&str, Tier); Tier::ALL.len()] = named!(Tier);

/// Names of the choices of lanes.
pub(crate) const LANES: [(&str, LaneChoice); LaneChoice::ALL.len()] = named!(LaneChoice);

/// Names of failure classes.
pub(crate) const CLASSES: [(&str, ErrorClass); ErrorClass::ALL.len()] = named!(ErrorClass);

/// Names of the settings of the prompt cache.
pub(crate) const PROMPT_CACHES: [(&str, PromptCache); PromptCache::ALL.len()] = named!(PromptCache);

/// Names of what an answer must be.
pub(crate) const EXPECTED: [(&str, Expected); 1] = [("json", Expected::Json)];

/// Names of what happens after an answer that is not as required.
pub(crate) const ON_INVALID: [(&str, OnInvalid); OnInvalid::ALL.len()] = named!(OnInvalid);

/// Names of the kinds of answers that can be asked for again.
pub(crate) const RERUN: [(&str, Quality); 2] =
    [(Quality::Truncated.name(), Quality::Truncated), (Quality::Refused.name(), Quality::Refused)];

/// Names of stream modes.
pub(crate) const STREAMS: [(&str, StreamMode); 3] =
    [("auto", StreamMode::Auto), ("on", StreamMode::On), ("off", StreamMode::Off)];

/// Names of sync policies.
pub(crate) const FSYNCS: [(&str, Fsync); 3] = [("group", Fsync::Group), ("always", Fsync::Always), ("off", Fsync::Off)];

/// Names of progress kinds.
pub(crate) const PROGRESS: [(&str, ProgressKind); 5] = [
    ("auto", ProgressKind::Auto),
    ("tty", ProgressKind::Tty),
    ("plain", ProgressKind::Plain),
    ("json", ProgressKind::Json),
    ("none", ProgressKind::None),
];

/// Names of kinds of summaries.
pub(crate) const SUMMARIES: [(&str, SummaryKind); 3] =
    [("text", SummaryKind::Text), ("json", SummaryKind::Json), ("none", SummaryKind::None)];

/// Names of the forms of notices.
pub(crate) const NOTICE_FORMS: [(&str, NoticeForm); 2] = [("slack", NoticeForm::Slack), ("json", NoticeForm::Json)];

/// Returns a parser that accepts only these names. Its errors list the names.
pub(crate) fn one_of<T: Copy + Send + Sync + 'static>(
    names: &'static [(&'static str, T)],
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(names.iter().map(|(name, _)| *name)).map(move |given| {
        let found = names.iter().find(|(name, _)| name.eq_ignore_ascii_case(&given));
        found.expect("the parser lets only these names pass").1
    })
}

/// Returns the parser of a sync policy. It also accepts `batch`, the older name of `group`, but does not list it.
pub(crate) fn fsync() -> impl TypedValueParser<Value = Fsync> {
    let named = |(name, fsync): &(&'static str, Fsync)| {
        PossibleValue::new(*name).aliases((*fsync == Fsync::Group).then_some("batch"))
    };
    PossibleValuesParser::new(FSYNCS.iter().map(named)).map(|given| {
        let found = FSYNCS.iter().find(|(name, _)| name.eq_ignore_ascii_case(&given));
        found.map_or(Fsync::Group, |(_, fsync)| *fsync)
    })
}
