//! Rows that take their answer from an existing line. Nothing is sent for these rows.

use std::sync::Arc;

use super::{Job, JobKey, Lane, Message, Money, Usage};

/// An answer that was read from a result line, and the origin of the answer.
#[derive(Clone, Debug)]
pub struct StoredAnswer {
    /// The key of the request that was answered.
    pub key: JobKey,
    /// The label of the row that was answered.
    pub label: String,
    /// The id of the run that wrote the line.
    pub run: String,
    /// The answer. The usage in this answer is zero, because the answer is not paid for again.
    pub message: Message,
    /// The usage of the answer, as recorded in the line; zero if the line has its answer from another line.
    pub used: Usage,
    /// The model that answered; `None` if the line names no model.
    pub model: Option<Arc<str>>,
    /// The provider that answered; `None` if the line names no provider.
    pub provider: Option<Arc<str>>,
    /// Whether the answered request was sent alone or as part of a batch.
    pub lane: Lane,
    /// The original cost of the answer; zero if this cost is not known.
    pub cost: Money,
}

/// The reason why a row takes its answer from another line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakenFrom {
    /// The line is in the same results and belongs to an equal row.
    EqualRow,
    /// The line is in the results of an earlier run.
    EarlierResults,
}

/// A row that takes its answer from a line that exists already.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The row.
    pub job: Box<Job>,
    /// The answer.
    pub answer: StoredAnswer,
    /// The place where the answer was found.
    pub from: TakenFrom,
}

impl Taken {
    /// Returns the size of the row's texts and the answer's text together, in bytes.
    pub fn bytes(&self) -> usize {
        self.job.bytes() + self.answer.message.json.len()
    }
}

/// Returns whether an id was made by the simulator. The function takes the id of a message (`msg_…`) or of a request
/// (`req_…`).
///
/// The simulator writes a number of 128 bits as 22 letters and digits, the lowest digit first. The lower half of the
/// number is a small serial number. About one in ten million ids of the API looks like an id of the simulator.
pub(crate) fn is_simulated_id(id: &str) -> bool {
    const MOST_SERIALS: u64 = 1 << 40;
    let Some(digits) = id.strip_prefix("msg_01").or_else(|| id.strip_prefix("req_01")) else { return false };
    if digits.len() != 22 {
        return false;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'Z' => Some(byte - b'A' + 10),
        b'a'..=b'z' => Some(byte - b'a' + 36),
        _ => None,
    };
    let number = digits
        .bytes()
        .rev()
        .try_fold(0_u128, |number, byte| number.checked_mul(62)?.checked_add(u128::from(digit(byte)?)));
    number.is_some_and(|number| (number as u64) < MOST_SERIALS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_the_api_are_not_ids_of_the_simulator() {
        for id in [
            "",
            "msg_1",
            "chatcmpl-12",
            "msg_01XFDUDYJgAACzvnptvVoYEL",
            "msg_013Zva2CMHLNnXjNJJKqJ2EF",
            "req_018EeWyXxfu5pfWkrYcMdjWG",
            "msg_01zzzzzzzzzzzzzzzzzzzzzz",
        ] {
            assert!(!is_simulated_id(id), "{id}");
        }
        assert!(is_simulated_id("msg_010000000000000000000000"), "the number is 0");
    }
}
