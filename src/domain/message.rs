//! Answers: what the API sent and what was read from it.

use std::ops::Range;

use bytes::Bytes;

use super::Usage;

/// How good an answer is. All answers are kept. Each quality is counted separately.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quality {
    /// Ended by itself.
    Ok,
    /// Ended at `max_tokens` or at the model's window.
    Truncated,
    /// The model refused.
    Refused,
    /// Ended for a reason that this program does not know.
    Unknown,
}

impl Quality {
    /// Every quality.
    pub const ALL: [Self; 4] = [Self::Ok, Self::Truncated, Self::Refused, Self::Unknown];

    /// Returns the name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Truncated => "truncated",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }
}

/// An answer: the API's own bytes and what was read from them.
#[derive(Clone, Debug)]
pub struct Message {
    /// One JSON object on one line, as the API sent it, or as its stream adds up to.
    pub json: Bytes,
    /// What it used.
    pub usage: Usage,
    /// How good it is.
    pub quality: Quality,
    /// Where its content stands in [`Message::json`]: what the model said, which is kept to the byte.
    pub content: Range<usize>,
}

impl Message {
    /// Returns why it ended, as the API says it. This parses the message, so it is only for the few answers that are
    /// shown.
    pub fn stop_reason(&self) -> Option<String> {
        #[derive(serde::Deserialize)]
        struct Ended {
            stop_reason: Option<String>,
        }
        serde_json::from_slice::<Ended>(&self.json).ok()?.stop_reason
    }
}
