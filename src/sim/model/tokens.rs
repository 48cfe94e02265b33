//! The simulator's own token counter, which is independent of the estimate in `plan`.
//!
//! The simulator tests the planner. If the simulator and the planner used the same code to count tokens, no test could
//! find a mistake in that code. Text is split into runs of letters, digits, punctuation marks and blanks. A run of up
//! to six letters is one token.
//!
//! Source: a rule of our own, which is close to the ratio in the API documentation, "Token counting": about 3.5 English
//! characters per token.

/// The number of tokens in each image, whatever its size.
pub(super) const IMAGE: u64 = 1_500;
/// How many tokens a message has in addition to the tokens of its text.
pub(super) const PER_MESSAGE: u64 = 4;
/// How many tokens the hidden tool prompt has, in addition to the tokens of the tool definitions. Source: API
/// documentation, "Pricing", tool use (2026-08), which has numbers from 286 to 804, depending on the model.
pub(super) const TOOLS: u64 = 346;

/// The maximum number of letters in one token.
const LETTERS: u64 = 6;
/// The maximum number of digits in one token.
const DIGITS: u64 = 3;

/// Returns the number of tokens of a text.
pub(super) fn of_text(text: &str) -> u64 {
    let mut counter = Counter::default();
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        if byte.is_ascii() {
            counter.ascii(byte);
            at += 1;
        } else {
            let wide = text[at..].chars().next().unwrap_or(' ');
            counter.wide(wide);
            at += wide.len_utf8();
        }
    }
    counter.end_run();
    counter.tokens
}

/// Converts a token count to the count of another tokenizer: multiplies it by `skew` and rounds up.
pub(super) fn skewed(count: u64, skew: f64) -> u64 {
    if skew == 1.0 { count } else { (count as f64 * skew).ceil().max(0.0) as u64 }
}

#[derive(Default)]
struct Counter {
    tokens: u64,
    letters: u64,
    digits: u64,
    halves: u64,
}

impl Counter {
    fn ascii(&mut self, byte: u8) {
        if byte.is_ascii_alphabetic() {
            self.letters += 1;
        } else if byte.is_ascii_digit() {
            self.digits += 1;
        } else {
            self.end_run();
            self.tokens += u64::from(byte != b' ');
        }
    }

    /// Counts a non-ASCII character. An East Asian character or an emoji is one token. Any two other characters count
    /// as one token.
    fn wide(&mut self, wide: char) {
        self.end_run_of_ascii();
        if u32::from(wide) >= 0x2E80 {
            self.tokens += 1;
        } else {
            self.halves += 1;
        }
    }

    fn end_run_of_ascii(&mut self) {
        self.tokens += self.letters.div_ceil(LETTERS) + self.digits.div_ceil(DIGITS);
        self.letters = 0;
        self.digits = 0;
    }

    fn end_run(&mut self) {
        self.end_run_of_ascii();
        self.tokens += self.halves.div_ceil(2);
        self.halves = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_marks_numbers_and_scripts_are_counted_separately() {
        let cases =
            [("", 0), ("Paris.", 2), ("incomprehensible", 3), ("2026", 2), ("日本語", 3), ("мир", 2), ("a b", 2)];

        for (text, tokens) in cases {
            assert_eq!(of_text(text), tokens, "{text:?}");
        }
    }

    #[test]
    fn a_skew_multiplies_the_count_and_rounds_up() {
        assert_eq!(skewed(10, 1.25), 13);
        assert_eq!(skewed(10, 1.0), 10);
    }
}
