//! Records: the parts of a line that a later run needs.

use std::borrow::Cow;

use crate::domain::{ErrorClass, JobKey, Money, Quality, RowId, TakenFrom};
use crate::journal::charges::Charges;

/// The result of parsing a line.
#[derive(Debug)]
pub(crate) enum Parsed<T> {
    /// A line that this program wrote, in a known format version.
    Record(T),
    /// A line of a later version of this program, in an unknown format version.
    Newer(u32),
    /// Anything else.
    NotOurs,
}

impl<T> Parsed<T> {
    /// If there is a record, passes the record to `take`. Returns the variant of `self`, without the record.
    pub(crate) fn handed_to(self, take: impl FnOnce(T)) -> Parsed<()> {
        match self {
            Self::Record(record) => {
                take(record);
                Parsed::Record(())
            }
            Self::Newer(version) => Parsed::Newer(version),
            Self::NotOurs => Parsed::NotOurs,
        }
    }
}

/// The provider in a result line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProviderText<'a> {
    /// The provider that the caller expected.
    Expected,
    /// The name of the provider as it is written in the line, with escapes; `None` if the line names no provider.
    Text(Option<&'a [u8]>),
}

/// The content of a result line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ResultRecord<'a> {
    /// The label in the line. The label of an unnamed row consists of the row's input and line number.
    pub(super) label: Cow<'a, str>,
    pub(crate) row: RowId,
    pub(crate) quality: Quality,
    /// Id of the run that wrote the line; `None` if the line has no such id.
    pub(crate) run: Option<Cow<'a, str>>,
    /// The provider that answered.
    pub(crate) provider: ProviderText<'a>,
    /// The time at which the answer came, as text.
    pub(crate) ended_at: Option<Cow<'a, str>>,
    pub(crate) charges: Charges,
}

impl ResultRecord<'_> {
    /// Returns the label in the line.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// Returns the name of the provider that answered. The name is empty if the line names no provider, or if the line
    /// names the provider that the caller expected.
    pub(crate) fn provider_name(&self) -> Cow<'_, str> {
        let text = match self.provider {
            ProviderText::Text(text) => text.unwrap_or_default(),
            ProviderText::Expected => return "".into(),
        };
        match std::str::from_utf8(text) {
            Ok(plain) if !plain.contains('\\') => plain.into(),
            Ok(_) | Err(_) => decoded(text).unwrap_or_default().into(),
        }
    }

    /// Returns the time at which the answer came. The time is parsed only here, because few rows need it.
    pub(crate) fn ended_at(&self) -> Option<jiff::Timestamp> {
        self.ended_at.as_deref()?.parse().ok()
    }
}

/// The members of a result line that only a report needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Details<'a> {
    /// The model that answered; `None` if the line names no model.
    pub(crate) model: Option<Cow<'a, str>>,
    /// Whether the answer came in a batch.
    pub(crate) is_batch: bool,
    /// The number of attempts that the row needed.
    pub(crate) attempts: u64,
    /// The time from the first request to the answer; `None` if nothing was sent.
    pub(crate) latency_ms: Option<u64>,
    /// Whether the cost is known. The cost is unknown if the model has no price.
    pub(crate) has_cost: bool,
    /// The place from which the row copied its answer: an equal row or earlier results; `None` if the row copied no
    /// answer.
    pub(crate) taken: Option<TakenFrom>,
    /// The cost of the answer that the row took from another line; zero if this cost is not known.
    pub(crate) saved: Money,
}

/// The content of an error line.
#[derive(Debug)]
pub(crate) struct ErrorRecord {
    pub(crate) row: RowId,
    pub(crate) class: ErrorClass,
    /// Whether the row was never sent, because it was broken or rejected.
    pub(super) is_unsent: bool,
    /// Whether the line contains a row that can be run again. If the value is `false`, the line contains the text of a
    /// broken row (a row that could not be read).
    pub(super) is_row: bool,
    /// The label in the line. The label of an unnamed or broken row is its input and line number, such as `in.csv:7`.
    pub(super) label: String,
    pub(super) is_broken: bool,
    /// Whether the row still needed another request when the line was written.
    pub(crate) is_step: bool,
    /// Whether the row can be continued from this line: the line is a step (an answer that was not accepted), and its
    /// answer can be read. If the row can't be continued, the row has failed. After such a failure, no later line
    /// contains the charges of this line.
    pub(crate) is_unfinished: bool,
    /// Id of the run that wrote the line.
    pub(crate) run: String,
    /// The results file that the line belongs to.
    pub(crate) results: Option<String>,
    /// The time at which the last attempt ended.
    pub(crate) last_at: Option<jiff::Timestamp>,
    pub(crate) charges: Charges,
}

/// Decodes the escapes of a text; `None` if they are not valid JSON.
pub(super) fn decoded(text: &[u8]) -> Option<String> {
    serde_json::from_slice(&[b"\"", text, b"\""].concat()).ok()
}

/// Returns the identity of a row. A row whose key has an unknown format is treated as changed, not as new.
pub(crate) fn row(custom_id: &str, key: Option<JobKey>, occurrence: Option<u32>) -> RowId {
    match (occurrence, key) {
        (Some(occurrence), Some(key)) => RowId::nth(occurrence, key),
        (Some(_), None) | (None, _) => RowId::named(custom_id, key),
    }
}

/// Returns the quality with this name. If the name is missing or unknown, returns `Quality::Ok`.
pub(crate) fn quality(name: Option<&str>) -> Quality {
    Quality::ALL.into_iter().find(|quality| Some(quality.name()) == name).unwrap_or(Quality::Ok)
}
