//! Makes text for answers. The text is quick to make and easy to read. By the simulator's own counter, the text has
//! exactly the wanted number of tokens.
//!
//! A fixed text of 8,192 tokens is made at the first use. The text of an answer is a piece of the fixed text, or
//! repeats the fixed text if the answer is longer. The fixed text is escaped for a JSON string, so pieces of it can be
//! copied into answers.

use std::sync::LazyLock;

/// The number of tokens of the fixed text.
const TOKENS: usize = 8192;

/// The words of the fixed text. Each word has at most six letters, so it is one token.
const WORDS: &[&str] = &[
    "the", "order", "was", "sent", "on", "Monday", "and", "should", "arrive", "by", "Friday", "if", "not", "please",
    "write", "to", "us", "again", "with", "your", "number", "we", "will", "look", "into", "it", "at", "once", "a",
    "refund", "can", "take", "up", "ten", "days", "city", "river", "table", "value", "model", "answer", "short",
    "clear", "first", "second", "third", "result", "reason", "cause", "effect", "point", "list", "item", "price",
    "total", "change", "update", "method", "class", "error", "check", "input", "output", "limit", "token", "batch",
    "queue", "retry", "window", "market", "summer", "winter", "garden", "letter", "story", "music",
];

/// The other tokens of the fixed text: punctuation marks, a line break, a quotation mark, numbers, and wide characters.
const OTHERS: &[&str] = &[",", ".", ".", ":", "\\n", "\\\"", " 42", " 7", "日", "本", "語", "🎉", "—"];

struct Pool {
    text: String,
    starts: Vec<usize>,
}

static POOL: LazyLock<Pool> = LazyLock::new(|| {
    let mut rng = fastrand::Rng::with_seed(0x5EED);
    let mut text = String::with_capacity(TOKENS * 7);
    let mut starts = Vec::with_capacity(TOKENS + 1);
    let mut was_other = true;
    for _ in 0..TOKENS {
        starts.push(text.len());
        let is_other = !was_other && rng.u8(0..8) == 0;
        if is_other {
            text.push_str(OTHERS[rng.usize(0..OTHERS.len())]);
        } else {
            text.push(' ');
            text.push_str(WORDS[rng.usize(0..WORDS.len())]);
        }
        was_other = is_other;
    }
    starts.push(text.len());
    Pool { text, starts }
});

/// A part of the fixed text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Passage {
    start: usize,
    /// The number of tokens of the passage.
    pub tokens: u64,
}

impl Passage {
    /// Returns a passage of `tokens` tokens. `seed` decides where in the fixed text the passage starts.
    pub(super) fn new(seed: u64, tokens: u64) -> Self {
        Self { start: (seed % TOKENS as u64) as usize, tokens }
    }

    /// Returns the first `tokens` tokens of the passage.
    pub(super) fn cut(self, tokens: u64) -> Self {
        Self { tokens: tokens.min(self.tokens), ..self }
    }

    /// Returns the text in pieces of at most `size` tokens, each with its number of tokens. The text is escaped for a
    /// JSON string.
    pub(super) fn pieces(self, size: u64) -> impl Iterator<Item = (u64, &'static str)> {
        let pool = &*POOL;
        let mut at = self.start;
        let mut left = self.tokens;
        let mut is_first = true;
        std::iter::from_fn(move || {
            if left == 0 {
                return None;
            }
            let count = (size.max(1).min(left) as usize).min(TOKENS - at);
            let piece = &pool.text[pool.starts[at]..pool.starts[at + count]];
            let piece = if is_first { piece.trim_start_matches(' ') } else { piece };
            is_first = false;
            at = (at + count) % TOKENS;
            left -= count as u64;
            Some((count as u64, piece))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::model::tokens;

    #[test]
    fn a_passage_has_exactly_the_requested_tokens_wherever_it_starts() {
        for (seed, count) in [(0, 1), (17, 12), (4_000, 300), (8_190, 9), (3, 20_000)] {
            let text: String = Passage::new(seed, count).pieces(7).map(|(_, piece)| piece).collect();

            let plain: String =
                serde_json::from_str(&format!("\"{text}\"")).expect("the text is escaped for a JSON string");
            assert_eq!(tokens::of_text(&plain), count, "{plain:?}");
        }
    }

    #[test]
    fn the_size_of_the_pieces_does_not_change_the_text() {
        let whole: String = Passage::new(99, 500).pieces(u64::MAX).map(|(_, piece)| piece).collect();
        let cut: String = Passage::new(99, 500).pieces(3).map(|(_, piece)| piece).collect();

        assert_eq!(whole, cut);
    }
}
