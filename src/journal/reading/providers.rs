//! Counts the answers of each provider in the results.

use super::record::{ProviderText, decoded};

/// The largest number of providers that are counted. This program never writes a file with more providers than this.
const MOST: usize = 64;
/// The largest length of a provider's name, in bytes.
const NAME_BYTES: usize = 256;

/// The number of answers of each provider.
///
/// Nearly all lines name the same provider as the previous line. So the reader first checks whether the member with the
/// provider is the same as in the previous line. This check is faster than parsing the member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswersBy {
    /// The name of each provider, as the lines spell it, and how many lines have this name. Escapes are not decoded.
    counts: Vec<(Box<[u8]>, u64)>,
    /// The provider of the last line.
    last: usize,
    /// The text of the whole member with the provider, copied from the last line.
    member: Box<[u8]>,
}

impl AnswersBy {
    /// Returns the member that the next line probably has, such as `,"provider":"anthropic"`.
    #[inline]
    pub(super) fn expected(&self) -> Option<&[u8]> {
        (!self.counts.is_empty()).then_some(&*self.member)
    }

    /// Adds a line. Lines without a provider are not counted.
    #[inline]
    pub(super) fn add(&mut self, provider: ProviderText<'_>) {
        match provider {
            ProviderText::Expected => self.add_to_last(1),
            ProviderText::Text(Some(text)) => self.add_lines(text, 1),
            ProviderText::Text(None) => {}
        }
    }

    #[inline]
    fn add_to_last(&mut self, lines: u64) {
        if let Some((_, count)) = self.counts.get_mut(self.last) {
            *count += lines;
        }
    }

    #[cold]
    fn add_lines(&mut self, text: &[u8], lines: u64) {
        self.last = match self.counts.iter().position(|(own, _)| **own == *text) {
            Some(at) => at,
            None if self.counts.len() < MOST && text.len() <= NAME_BYTES => {
                self.counts.push((text.into(), 0));
                self.counts.len() - 1
            }
            None => return,
        };
        self.member = [b",\"provider\":\"", text, b"\""].concat().into();
        self.add_to_last(lines);
    }

    /// Adds the counts of another part of the file.
    pub(super) fn merge(&mut self, other: &Self) {
        other.counts.iter().for_each(|(text, lines)| self.add_lines(text, *lines));
    }

    /// Returns the name of each provider and the number of its answers, the largest number first.
    pub fn by_size(&self) -> Vec<(String, u64)> {
        let mut counts: Vec<(String, u64)> = Vec::new();
        for (text, lines) in &self.counts {
            let Some(name) = decoded(text) else { continue };
            // The same name can be written with escapes or without escapes.
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
            first.add(ProviderText::Text(Some(text.as_bytes())));
        }
        for text in [Some("openrouter"), None, Some("openrouter"), Some("openrouter"), Some("\\q")] {
            second.add(ProviderText::Text(text.map(str::as_bytes)));
        }
        assert_eq!(second.expected(), Some(&br#","provider":"\q""#[..]));
        first.add(ProviderText::Expected);

        first.merge(&second);

        assert_eq!(first.by_size(), [("anthropic".to_owned(), 4), ("openrouter".to_owned(), 4)]);
    }

    #[test]
    fn a_file_with_thousands_of_providers_does_not_fill_the_memory() {
        let mut counts = AnswersBy::default();

        (0..10_000).for_each(|name| counts.add_lines(format!("p{name}").as_bytes(), 1));
        counts.add_lines(&[b'x'; 1_000], 1);

        assert_eq!(counts.by_size().len(), MOST);
    }
}
