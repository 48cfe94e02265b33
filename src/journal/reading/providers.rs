//! Counts the answers of each provider in the results.

use super::record::decoded;

/// At most this many providers are counted. A file with more was not written by this program.
const MOST: usize = 64;
/// A name has at most this many bytes.
const NAME_BYTES: usize = 256;

/// How many answers each provider gave.
///
/// Nearly all lines have the same provider as the line before. So a line usually costs one comparison of a short text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswersBy {
    /// The text of the member in the line, and the number of lines. Escapes are not decoded.
    counts: Vec<(Box<[u8]>, u64)>,
    /// The provider of the last line.
    last: usize,
}

impl AnswersBy {
    /// Adds lines with this text. Lines without a provider are not counted.
    #[inline]
    pub(super) fn add(&mut self, text: Option<&[u8]>, lines: u64) {
        let Some(text) = text else { return };
        match self.counts.get_mut(self.last) {
            Some((own, count)) if **own == *text => *count += lines,
            Some(_) | None => self.add_other(text, lines),
        }
    }

    #[cold]
    fn add_other(&mut self, text: &[u8], lines: u64) {
        match self.counts.iter().position(|(own, _)| **own == *text) {
            Some(at) => self.last = at,
            None if self.counts.len() < MOST && text.len() <= NAME_BYTES => {
                self.last = self.counts.len();
                self.counts.push((text.into(), 0));
            }
            None => return,
        }
        self.counts[self.last].1 += lines;
    }

    /// Adds the lines of another part of the file.
    pub(super) fn merge(&mut self, other: &Self) {
        other.counts.iter().for_each(|(text, lines)| self.add(Some(text), *lines));
    }

    /// Returns the name of each provider and the number of its answers, the largest number first.
    pub fn by_size(&self) -> Vec<(String, u64)> {
        let mut counts: Vec<(String, u64)> = Vec::new();
        for (text, lines) in &self.counts {
            let Some(name) = decoded(text) else { continue };
            // The same name can be written with and without escapes.
            match counts.iter_mut().find(|(own, _)| *own == name) {
                Some((_, count)) => *count += lines,
                None => counts.push((name, *lines)),
            }
        }
        counts.sort_by(|(a, left), (b, right)| right.cmp(left).then_with(|| a.cmp(b)));
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_provider_is_counted_by_its_decoded_name() {
        let (mut first, mut second) = (AnswersBy::default(), AnswersBy::default());
        for text in ["anthropic", "anthropic", "open\\u0072outer", "anthropic"] {
            first.add(Some(text.as_bytes()), 1);
        }
        for text in [Some("openrouter"), None, Some("openrouter"), Some("openrouter"), Some("\\q")] {
            second.add(text.map(str::as_bytes), 1);
        }

        first.merge(&second);

        assert_eq!(first.by_size(), [("openrouter".to_owned(), 4), ("anthropic".to_owned(), 3)]);
    }

    #[test]
    fn a_file_with_thousands_of_providers_does_not_fill_the_memory() {
        let mut counts = AnswersBy::default();

        (0..10_000).for_each(|name| counts.add(Some(format!("p{name}").as_bytes()), 1));
        counts.add(Some(&[b'x'; 1_000]), 1);

        assert_eq!(counts.by_size().len(), MOST);
    }
}
