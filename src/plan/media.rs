//! Pictures and documents of a request: counted by kind and size, never by the length of their base64 text.

use super::walk::{Walk, member};
use crate::domain::json::{Cursor, DEEPEST, inside_quotes};

/// This many bytes of a PDF count as one page. A page of text has 20 to 50 kB, and a scanned page has 100 kB or more.
const PDF_PAGE_BYTES: usize = 60_000;
/// The largest number of pages in a PDF that the API accepts. Source: API documentation, "PDF support" (2026-08-22).
const MOST_PDF_PAGES: usize = 600;
/// The largest number of text tokens in a PDF page. The source is the same as for `MOST_PDF_PAGES`.
const MOST_PAGE_TEXT_TOKENS: u64 = 3000;
/// The number of pages that is assumed for a document that is given only by its address or id.
const REMOTE_PAGES: usize = 10;
impl Walk<'_> {
    pub(super) fn image(&mut self, source: &[u8]) {
        let data = member(source, b"data").and_then(inside_quotes);
        let vision = &self.scale.vision;
        self.other += u64::from(data.map_or(vision.max_tokens, |data| vision.tokens_of(data)));
        self.most_media_tokens += u64::from(vision.max_tokens);
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
                self.pages(data.len() / 4 * 3 / PDF_PAGE_BYTES + 1);
                self.left_out += data.len() as u64;
            }
            (b"content", _, Some(content)) => self.content(&mut Cursor::new(content), depth)?,
            _ => self.pages(REMOTE_PAGES),
        }
        Some(())
    }

    fn pages(&mut self, pages: usize) {
        let picture_tokens = u64::from(self.scale.vision.max_tokens);
        self.other += pages.min(MOST_PDF_PAGES) as u64 * (self.scale.page_text_tokens + picture_tokens);
        self.most_media_tokens += MOST_PDF_PAGES as u64 * (MOST_PAGE_TEXT_TOKENS + picture_tokens);
    }
}
