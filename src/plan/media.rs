//! Counts the tokens of pictures and documents in a request. The tokens of a picture are computed from its size in
//! pixels, and the tokens of a PDF from its size in bytes.

use super::walk::{Walk, member};
use crate::domain::Interval;
use crate::domain::json::{Cursor, DEEPEST, inside_quotes};

/// The likely number of bytes of a PDF page. A page of text has 20 to 50 kB, and a scanned page has 100 kB or more.
const PDF_PAGE_BYTES: usize = 60_000;
/// The largest and the smallest size of a PDF page, in bytes. The largest pages are scanned, and the smallest pages
/// contain only plain text. From these two page sizes, the program computes the interval for the number of pages.
const DENSE_PAGE_BYTES: usize = 500_000;
const LIGHT_PAGE_BYTES: usize = 10_000;
/// The largest number of pages in a PDF that the API accepts. Source: API documentation, "PDF support" (2026-08-22).
const MOST_PDF_PAGES: usize = 600;
/// The largest number of text tokens in a PDF page. Source: API documentation, "PDF support" (2026-08-22).
const MOST_PAGE_TEXT_TOKENS: u64 = 3000;
/// The smallest number of text tokens in a PDF page. Source: API documentation, "PDF support" (2026-08-22).
const LEAST_PAGE_TEXT_TOKENS: u64 = 1500;
/// The tokens of a small picture. This is the lowest estimate for a picture of unknown size.
const LEAST_PICTURE_TOKENS: u64 = 100;
/// The assumed number of pages of a document that is given only by its address or id.
const REMOTE_PAGES: Interval<usize> = Interval { low: 1, likely: 10, high: 100 };

impl Walk<'_> {
    pub(super) fn image(&mut self, source: &[u8]) {
        let data = member(source, b"data").and_then(inside_quotes);
        let vision = &self.scale.vision;
        let most = u64::from(vision.max_tokens);
        self.media += match data.and_then(|data| vision.tokens_of(data)).map(u64::from) {
            // The published rule for pictures is exact, except for how the API scales a picture down.
            Some(tokens) => {
                Interval { low: tokens * 9 / 10, likely: tokens, high: (tokens * 11).div_ceil(10).min(most) }
            }
            None => Interval { low: LEAST_PICTURE_TOKENS.min(most), likely: most, high: most },
        };
        self.most_media_tokens += most;
        self.left_out += data.map_or(0, |data| data.len() as u64);
    }

    pub(super) fn document(&mut self, source: &[u8], depth: u32) -> Option<()> {
        let mut kind = &b""[..];
        let (mut data, mut content) = (None, None);
        if source.starts_with(b"{") {
            Cursor::new(source).object(|cursor, name| {
                let value = cursor.value(DEEPEST)?;
                match name {
                    b"type" => kind = inside_quotes(value).unwrap_or_default(),
                    b"data" => data = Some(value),
                    b"content" => content = Some(value),
                    name => self.note_escapes(name),
                }
                Some(())
            })?;
        }
        match (kind, data, content) {
            (b"text", Some(text), _) => self.verbatim(text),
            (b"base64", Some(data), _) => {
                let bytes = data.len() / 4 * 3;
                let pages = bytes / PDF_PAGE_BYTES + 1;
                self.pages(Interval {
                    low: bytes / DENSE_PAGE_BYTES + 1,
                    likely: pages,
                    high: bytes / LIGHT_PAGE_BYTES + 1,
                });
                self.left_out += data.len() as u64;
            }
            (b"content", _, Some(content)) => self.content(&mut Cursor::new(content), depth)?,
            _ => self.pages(REMOTE_PAGES),
        }
        Some(())
    }

    fn pages(&mut self, pages: Interval<usize>) {
        let picture_tokens = u64::from(self.scale.vision.max_tokens);
        let Interval { low, likely, high } = pages.map(|pages| pages.min(MOST_PDF_PAGES) as u64);
        self.media += match self.scale.page_text_tokens {
            0 => Interval::default(),
            page_text_tokens => Interval {
                low: low * (LEAST_PAGE_TEXT_TOKENS + LEAST_PICTURE_TOKENS),
                likely: likely * (page_text_tokens + picture_tokens),
                high: high * (MOST_PAGE_TEXT_TOKENS + picture_tokens),
            },
        };
        self.most_media_tokens += MOST_PDF_PAGES as u64 * (MOST_PAGE_TEXT_TOKENS + picture_tokens);
    }
}
