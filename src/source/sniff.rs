//! Finds the format of an input from its name and its first bytes.
//!
//! This module removes the byte order mark, rejects files that are not text, and chooses the format. This module reads
//! only up to the first non-blank line. So each row of a pipe can be used as soon as the row is written.

use std::io::{self, Cursor, Read};

use super::compression::Compression;
use super::texts::{TEXT_ENDINGS, ends_in};
use super::{InputFormat, SourceError};

/// How many bytes are searched for the end of the first line. If the first line is longer than this, the beginning of
/// the line decides the format.
const HEAD_BYTES: usize = 64 << 10;

/// UTF-8's byte order mark.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// An input whose first bytes were read.
pub(super) struct Peeked {
    /// The first bytes, without a byte order mark.
    pub head: Vec<u8>,
    /// How many bytes were removed from the beginning of the input: the length of the byte order mark, or 0.
    pub skipped: u64,
    /// The compression of the input. The other fields describe the unpacked bytes.
    pub compression: Option<Compression>,
    rest: Box<dyn Read + Send>,
}

impl Peeked {
    /// Reads the beginning of `input`. In error messages, `name` is the name of this input.
    ///
    /// # Errors
    /// Returns [`SourceError::Read`] or [`SourceError::Damaged`]. Returns [`SourceError::Binary`] if the first bytes
    /// are not text in UTF-8.
    pub(super) fn new(name: &str, mut input: Box<dyn Read + Send>) -> Result<Self, SourceError> {
        let mut head = Vec::new();
        let reading = |source| SourceError::reading(name, 1, source);
        read_until(&mut input, &mut head, |head| !Compression::may_begin_with(head)).map_err(reading)?;
        let compression = Compression::of(&head);
        if let Some(compression) = compression {
            input = compression.unpack(Box::new(Cursor::new(std::mem::take(&mut head)).chain(input)));
        }
        read_until(&mut input, &mut head, has_first_line).map_err(reading)?;
        let binary = || binary_kind(&head).or_else(|| full_of_control(&head));
        if !is_table(&head)
            && let Some((what, remedy)) = binary()
        {
            return Err(SourceError::Binary { name: name.to_owned(), what, remedy });
        }
        let skipped = if head.starts_with(BOM) { BOM.len() } else { 0 };
        head.drain(..skipped);
        Ok(Self { head, skipped: skipped as u64, compression, rest: input })
    }

    /// Returns a reader of the whole input, without its byte order mark.
    pub(super) fn into_read(self) -> Box<dyn Read + Send> {
        Box::new(Cursor::new(self.head).chain(self.rest))
    }

    /// Returns the first non-blank line, or the part of it that was read.
    pub(super) fn first_line(&self) -> &[u8] {
        self.first_whole_line().trim_ascii_end()
    }

    /// Returns the first non-blank line with the blanks at its end, but without its line end.
    pub(super) fn first_whole_line(&self) -> &[u8] {
        let text = self.head.trim_ascii_start();
        let line = text.split(|&byte| byte == b'\n').next().unwrap_or(text);
        line.strip_suffix(b"\r").unwrap_or(line)
    }
}

/// Reads until `is_enough` returns true, or until at least [`HEAD_BYTES`] bytes were read. The last read can return
/// more bytes than needed.
fn read_until(input: &mut dyn Read, head: &mut Vec<u8>, is_enough: impl Fn(&[u8]) -> bool) -> io::Result<()> {
    let mut chunk = vec![0; 8 << 10];
    while !is_enough(head) && head.len() < HEAD_BYTES {
        match input.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => head.extend_from_slice(&chunk[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The first bytes of a Parquet file and of a zip archive. An Excel file is a zip archive.
const PARQUET: &[u8] = b"PAR1";
const ZIP: &[u8] = b"PK\x03\x04";

fn is_table(head: &[u8]) -> bool {
    head.starts_with(PARQUET) || head.starts_with(ZIP)
}

fn has_first_line(head: &[u8]) -> bool {
    let text = head.strip_prefix(BOM).unwrap_or(head);
    text.trim_ascii_start().contains(&b'\n') || head.first() == Some(&0)
}

/// Types of files that users often give by mistake: the first bytes of such a file, the name of the type, and what to
/// do.
///
/// Source: the specifications of the formats.
const MAGIC: [(&[u8], &str, &str); 14] = [
    (b"\x1f\x8b", "gzip within a compressed file", TWICE),
    (b"\x28\xb5\x2f\xfd", "zstd within a compressed file", TWICE),
    (b"\xfd7zXZ\0", "an xz archive", "unpack it first, for example with: xz -dc FILE | claude-batch run -"),
    (b"BZh91AY&SY", "a bzip2 archive", "unpack it first, for example with: bzip2 -dc FILE | claude-batch run -"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack it first"),
    (ZIP, "a zip archive or a spreadsheet", "unpack it; an Excel file is read with --format xlsx"),
    (PARQUET, "a Parquet file", "leave out --format"),
    (b"ARROW1\0", "an Arrow file", "convert it to CSV or JSONL first"),
    (b"Obj\x01", "an Avro file", "convert it to CSV or JSONL first"),
    (b"SQLite format 3\0", "an SQLite database", "export a table as CSV first"),
    (b"%PDF-", "a PDF", "give a file of prompts"),
    (b"\x89PNG", "a PNG image", "give a file of prompts"),
    (b"\xff\xd8\xff", "a JPEG image", "give a file of prompts"),
    (b"\xd0\xcf\x11\xe0", "an old Office document (.xls, .doc)", "save the sheet as CSV"),
];

const TWICE: &str = "it is compressed twice; unpack it once";

/// The bytes by which a tar archive is recognized, and their offset. These bytes come after the name of the archive's
/// first file.
const TAR: (usize, &[u8]) = (257, b"ustar");

const RECODE_16: &str = "save it as UTF-8, for example with: iconv -f UTF-16 -t UTF-8 FILE";
const RECODE_32: &str = "save it as UTF-8, for example with: iconv -f UTF-32 -t UTF-8 FILE";

/// Recognizes text in UTF-16 or UTF-32 by its first bytes. Returns what the text seems to be, and what to do.
pub(crate) fn wide_text(head: &[u8]) -> Option<(&'static str, &'static str)> {
    match head {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => Some(("UTF-32 text", RECODE_32)),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some(("UTF-16 text", RECODE_16)),
        [0, 0, 0, 1..=255, ..] | [1..=255, 0, 0, 0, ..] => Some(("UTF-32 text", RECODE_32)),
        [0, 1..=255, 0, 1..=255, ..] | [1..=255, 0, 1..=255, 0, ..] => Some(("UTF-16 text", RECODE_16)),
        _ => None,
    }
}

fn binary_kind(head: &[u8]) -> Option<(&'static str, &'static str)> {
    if let Some(found) = wide_text(head) {
        return Some(found);
    }
    if head.first() == Some(&0) {
        return Some(("binary data (it begins with a NUL byte)", "give a file of prompts"));
    }
    if head.get(TAR.0..).is_some_and(|rest| rest.starts_with(TAR.1)) {
        return Some(("a tar archive", "unpack it with: tar -xf FILE, and give the files or the folder in it"));
    }
    MAGIC.iter().find(|(magic, ..)| head.starts_with(magic)).map(|(_, what, remedy)| (*what, *remedy))
}

/// Control characters are counted only if at least this many bytes of the input were read.
const MIN_BYTES_FOR_CONTROL: usize = 64;

/// Recognizes other binary data. In such data, more than one byte in twenty is a control character that text does not
/// use. In random data, about one byte in ten is such a character. Text in a single-byte encoding has almost none of
/// these characters.
fn full_of_control(head: &[u8]) -> Option<(&'static str, &'static str)> {
    let is_control = |byte: &&u8| matches!(byte, 0..=8 | 14..=26 | 28..=31 | 127);
    let found = head.iter().filter(is_control).count();
    let what = "binary data (it is full of control characters)";
    (head.len() >= MIN_BYTES_FOR_CONTROL && found * 20 > head.len()).then_some((what, "give a file of prompts"))
}

/// Chooses the format. If the user named a format, this format is used; otherwise, the extension of the name shows the
/// format. If the extension is not enough, the format is found from the first line.
///
/// If the format is still unknown, the user must set it. A wrong guess would cost money. With a wrong format, the
/// program could send each line of one text as a prompt, or a whole list of prompts as one prompt.
///
/// # Errors
/// [`SourceError::UnknownFormat`] if the format is still unknown. [`SourceError::JsonDocument`] if the input is JSON,
/// but does not have one value per line.
pub(super) fn choose(asked: InputFormat, name: &str, peeked: &Peeked) -> Result<InputFormat, SourceError> {
    let (first, by_name) = (peeked.first_line(), by_extension(name));
    if is_table(&peeked.head) {
        return match asked {
            InputFormat::Parquet | InputFormat::Auto if peeked.head.starts_with(PARQUET) => Ok(InputFormat::Parquet),
            InputFormat::Excel => Ok(InputFormat::Excel),
            InputFormat::Auto if by_name == Some(InputFormat::Excel) => Ok(InputFormat::Excel),
            _ => {
                let (what, remedy) = binary_kind(&peeked.head).unwrap_or_default();
                Err(SourceError::Binary { name: name.to_owned(), what, remedy })
            }
        };
    }
    let format = match (asked, by_name) {
        (InputFormat::Auto, Some(format)) => format,
        (InputFormat::Auto, None) => match first.first() {
            Some(b'{' | b'"' | b'[') => InputFormat::Jsonl,
            None => InputFormat::Lines,
            Some(_) => return Err(SourceError::UnknownFormat { name: name.to_owned() }),
        },
        (asked, _) => asked,
    };
    if format == InputFormat::Jsonl {
        refuse_document(name, peeked)?;
    }
    Ok(format)
}

fn by_extension(name: &str) -> Option<InputFormat> {
    if ends_in(name, &TEXT_ENDINGS) {
        return Some(InputFormat::Text);
    }
    let (_, extension) = Compression::name_inside(name).rsplit_once('.')?;
    match extension.to_ascii_lowercase().as_str() {
        "jsonl" | "ndjson" | "json" => Some(InputFormat::Jsonl),
        "csv" => Some(InputFormat::Csv),
        "tsv" | "tab" => Some(InputFormat::Tsv),
        "parquet" => Some(InputFormat::Parquet),
        "xlsx" => Some(InputFormat::Excel),
        _ => None,
    }
}

/// Returns whether a text begins as the body of a request that creates a batch: `{"requests": [`.
fn is_batches_body(head: &[u8]) -> bool {
    [&b"{"[..], b"\"requests\"", b":", b"["]
        .iter()
        .try_fold(head, |rest, part| rest.trim_ascii_start().strip_prefix(*part))
        .is_some()
}

fn refuse_document(name: &str, peeked: &Peeked) -> Result<(), SourceError> {
    let first = peeked.first_line();
    let goes_on = peeked.head.trim_ascii_start().len() > first.len();
    let (what, filter) = match first {
        _ if is_batches_body(&peeked.head) => ("the body of a Message Batches request", "'.requests[]'"),
        [b'['] if goes_on => ("one JSON array", "'.[]'"),
        [b'[', rest @ ..] if rest.trim_ascii_start().starts_with(b"{") => ("one JSON array", "'.[]'"),
        [b'{'] if goes_on => ("JSON spread over lines", "."),
        _ => return Ok(()),
    };
    Err(SourceError::JsonDocument { name: name.to_owned(), what, filter })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_text_is_named_by_its_type() {
        let tar = [b"folder/file.jsonl".as_slice(), &[0; 240], b"ustar\x0000", &[0; 100]].concat();
        let cases: [(&[u8], &str); 9] = [
            (b"\xff\xfe{\0\"\0", "UTF-16"),
            (b"\xfe\xff\0{", "UTF-16"),
            (b"{\0\"\0p\0", "UTF-16"),
            (b"\0{\0\"", "UTF-16"),
            (b"\xff\xfe\0\0{\0\0\0", "UTF-32"),
            (b"{\0\0\0\"\0\0\0", "UTF-32"),
            (b"SQLite format 3\0", "SQLite"),
            (&[0; 100], "NUL"),
            (&tar, "tar"),
        ];

        for (bytes, expected) in cases {
            let Err(SourceError::Binary { what, .. }) = peek(bytes) else { panic!("{bytes:?} was taken for text") };
            assert!(what.contains(expected), "{what}");
        }
    }

    #[test]
    fn tables_are_recognized_by_their_first_bytes_and_spreadsheets_also_by_name() {
        let chosen = |name, asked, bytes: &[u8]| choose(asked, name, &peek(bytes).expect("a table")).ok();
        let (parquet, zip) = (b"PAR1\x15\x04", b"PK\x03\x04\x14");

        assert_eq!(chosen("a.txt", InputFormat::Auto, parquet), Some(InputFormat::Parquet));
        assert_eq!(chosen("a.parquet", InputFormat::Csv, parquet), None);
        assert_eq!(chosen("a.XLSX", InputFormat::Auto, zip), Some(InputFormat::Excel));
        assert_eq!(chosen("a.xlsx.gz", InputFormat::Auto, zip), Some(InputFormat::Excel));
        assert_eq!(chosen("stdin", InputFormat::Excel, zip), Some(InputFormat::Excel));
        assert_eq!(chosen("a.zip", InputFormat::Auto, zip), None);
        assert_eq!(chosen("a.xlsx", InputFormat::Parquet, zip), None);
    }

    #[test]
    fn random_bytes_are_refused_and_text_with_odd_characters_is_not() {
        let seed = 5;
        let mut random = fastrand::Rng::with_seed(seed);
        for length in [1_000, 9_000] {
            for case in 0..200 {
                let mut bytes: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(length).collect();
                bytes[0] = b'x';
                assert!(matches!(peek(&bytes), Err(SourceError::Binary { .. })), "seed {seed}, case {case}");
            }
        }
        for text in [
            "caf\u{e9} \u{1b}[31mred\u{1b}[0m\t\u{c}\n".repeat(40).into_bytes(),
            b"\xd4\xe5\xea\xf1\xf2 \xe2 CP1251\n".repeat(40),
            b"one \0 NUL byte in a row of some length, as damage looks like\n".repeat(3),
            b"\x01\x02\x03".to_vec(),
        ] {
            assert!(peek(&text).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn an_endless_run_of_nul_bytes_is_refused_at_once() {
        assert!(matches!(Peeked::new("zero", Box::new(io::repeat(0))), Err(SourceError::Binary { .. })));
    }

    #[test]
    fn only_the_beginning_of_an_endless_line_is_read() {
        let peeked = Peeked::new("x", Box::new(io::repeat(b'x'))).expect("letters are text");

        assert!(peeked.head.len() <= HEAD_BYTES + (8 << 10));
    }

    #[test]
    fn a_byte_order_mark_is_removed_and_counted() {
        let peeked = peek(b"\xef\xbb\xbfhello").expect("text");

        assert_eq!((&*peeked.head, peeked.skipped), (&b"hello"[..], 3));
    }

    #[test]
    fn blank_lines_after_a_byte_order_mark_do_not_hide_the_first_line() {
        let input = Cursor::new(b"\xef\xbb\xbf\n".to_vec()).chain(Cursor::new(b"{\"prompt\":1}\n".to_vec()));

        let peeked = Peeked::new("test", Box::new(input)).expect("text");

        assert_eq!(peeked.first_line(), b"{\"prompt\":1}");
    }

    #[test]
    fn the_extension_decides_before_the_content() {
        let choose = |name, text: &[u8]| choose(InputFormat::Auto, name, &peek(text).expect("text")).ok();

        assert_eq!(choose("a.b/p.JSONL", b"x"), Some(InputFormat::Jsonl));
        assert_eq!(choose("p.ndjson", b"x"), Some(InputFormat::Jsonl));
        assert_eq!(choose("p.csv", b"{"), Some(InputFormat::Csv));
        assert_eq!(choose("p.tsv", b"{"), Some(InputFormat::Tsv));
        assert_eq!(choose("p.csv.gz", b"{"), Some(InputFormat::Csv));
        assert_eq!(choose("p.tsv.ZST", b"{"), Some(InputFormat::Tsv));
        assert_eq!(choose("p.gz", b"x"), None);
        assert_eq!(choose("p.txt", b"{}"), Some(InputFormat::Text));
        assert_eq!(choose("p.md.gz", b"{}"), Some(InputFormat::Text));
    }

    #[test]
    fn without_an_extension_the_first_character_decides() {
        let choose = |text: &[u8]| choose(InputFormat::Auto, "stdin", &peek(text).expect("text")).ok();

        assert_eq!(choose(b"\n  {\"prompt\":1}"), Some(InputFormat::Jsonl));
        assert_eq!(choose(b"\"x\"\n"), Some(InputFormat::Jsonl));
        assert_eq!(choose(b"hello\n"), None);
        assert_eq!(choose(b"\n"), Some(InputFormat::Lines));
    }

    #[test]
    fn json_that_is_not_in_lines_is_refused_with_advice() {
        for text in ["{\"requests\":[{\"custom_id\":\"a\"}]}", "{\n  \"requests\" : [\n {"] {
            let chosen = choose(InputFormat::Auto, "p.json", &peek(text.as_bytes()).expect("text"));

            let message = chosen.expect_err("it is one document").to_string();
            assert!(
                message.contains("a Message Batches request") && message.contains("jq -c '.requests[]'"),
                "{message}"
            );
        }
        for text in ["[\n  {\"prompt\": \"a\"}\n]", "[{\"prompt\":\"a\"}]", "{\n  \"prompt\": \"a\"\n}"] {
            let chosen = choose(InputFormat::Auto, "p.json", &peek(text.as_bytes()).expect("text"));

            let message = chosen.expect_err("no rows can be told apart").to_string();
            assert!(message.contains("jq -c"), "{message}");
        }
    }

    fn peek(bytes: &[u8]) -> Result<Peeked, SourceError> {
        Peeked::new("test", Box::new(Cursor::new(bytes.to_vec())))
    }
}
