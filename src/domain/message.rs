//! An answer: the bytes that the API sent, and what the program read from them.

use std::ops::Range;

use bytes::Bytes;

use super::Usage;

/// The name of the tool whose input is the answer. If the answer's schema is sent as the schema of this tool, the model
/// answers by calling the tool.
pub const ANSWER_TOOL: &str = "structured_answer";

/// The quality of an answer: how it ended. Answers of all qualities are kept, and they are counted per quality.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quality {
    /// The answer is complete: the model stopped by itself.
    Ok,
    /// The answer stopped at `max_tokens` or at the end of the model's context window.
    Truncated,
    /// The model refused to answer.
    Refused,
    /// The answer stopped for a reason that this program does not know.
    Unknown,
}

impl Quality {
    /// Every quality.
    pub const ALL: [Self; 4] = [Self::Ok, Self::Truncated, Self::Refused, Self::Unknown];

    /// Returns the name that files use for this quality.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Truncated => "truncated",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }
}

/// An answer: the API's own bytes, and what the program read from them.
#[derive(Clone, Debug)]
pub struct Message {
    /// The message of the API as one JSON object on one line. If the answer was a stream, this object was built from
    /// the events. If the answer was not a stream, this object consists of the API's own bytes.
    pub json: Bytes,
    /// The usage of the answer.
    pub usage: Usage,
    /// The quality of the answer.
    pub quality: Quality,
    /// The range of the content in [`Message::json`]. The content is what the model wrote, and its bytes are never
    /// changed.
    pub content: Range<usize>,
}

impl Message {
    /// Returns whether the answer costs nothing because the model refused before it had written any output. The usage
    /// of such an answer is not billed.
    ///
    /// Source: API documentation, "Refusals and fallback" (2026-08).
    pub(crate) fn is_free(&self) -> bool {
        self.quality == Quality::Refused && self.usage.output_tokens == 0 && !self.usage.is_unknown
    }

    /// Returns the API's reason why the answer stopped. This method parses the message, so call it only for the few
    /// answers that are shown.
    pub fn stop_reason(&self) -> Option<String> {
        #[derive(serde::Deserialize)]
        struct Ended {
            stop_reason: Option<String>,
        }
        serde_json::from_slice::<Ended>(&self.json).ok()?.stop_reason
    }

    /// If a prefix was not read from the prompt cache, returns the reason that the API gave. The API gives a reason
    /// only if the request asks for `diagnostics`. This method parses the message, so call it only for the few answers
    /// that are shown.
    pub(crate) fn cache_miss_reason(&self) -> Option<String> {
        #[derive(serde::Deserialize)]
        struct Diagnosed {
            diagnostics: Option<Diagnostics>,
        }
        #[derive(serde::Deserialize)]
        struct Diagnostics {
            cache_miss_reason: Option<Reason>,
        }
        #[derive(serde::Deserialize)]
        struct Reason {
            #[serde(rename = "type")]
            kind: String,
        }
        let diagnosed = serde_json::from_slice::<Diagnosed>(&self.json).ok()?;
        Some(diagnosed.diagnostics?.cache_miss_reason?.kind)
    }
}
