//! Tests damaged files, and files that were made to do harm.

use std::io::{Cursor, Read as _, Write as _};

use claude_batch::source::{Input, Reader, open};
use zip::CompressionMethod;
use zip::write::SimpleFileOptions;

use super::support::{Made, cells, keeping, line, read, table};

#[test]
fn the_rows_before_damage_are_kept() {
    // Each row group has two rows. The damage is in the third row group.
    let whole = read(&table("every-type.gzip.parquet"), &keeping());
    let mut bytes = std::fs::read(table("every-type.gzip.parquet")).expect("a fixture");
    let at = bytes.len() * 45 / 100;
    bytes[at..at + 400].fill(0xff);
    let damaged = Made::new(&bytes, "parquet");

    let found: Vec<_> = open(&Input::File(damaged.path()), &keeping()).expect("its footer is whole").collect();

    let rows: Vec<_> = found.iter().flatten().map(cells).collect();
    assert_eq!(rows, whole[..4].iter().map(cells).collect::<Vec<_>>());
    let error = found.last().expect("an end").as_ref().expect_err("the damage").to_string();
    assert!(error.contains("is damaged after row 4: column "), "{error}");
}

#[test]
fn the_error_for_a_cut_file_says_where_it_is_damaged() {
    let good = std::fs::read(table("every-type.snappy.parquet")).expect("a fixture");
    for length in [4, 11, 100, good.len() - 1] {
        let cut = Made::new(&good[..length], "parquet");
        let error = open(&Input::File(cut.path()), &keeping()).expect_err("no footer").to_string();
        assert!(error.contains("is damaged before its first row"), "{length}: {error}");
    }
    let sheet = std::fs::read(table("sheets.xlsx")).expect("a fixture");
    let cut = Made::new(&sheet[..sheet.len() / 2], "xlsx");
    let error = open(&Input::File(cut.path()), &keeping()).expect_err("no directory").to_string();
    assert!(error.contains("it is not a complete .xlsx file"), "{error}");
}

/// The most memory that the tests can allocate, in bytes. Memory that is never used also counts. An allocation above
/// this limit ends the program.
#[cfg(target_os = "linux")]
const MOST_BYTES: u64 = 3 << 30;

#[test]
fn mutated_files_never_panic_hang_or_take_much_memory() {
    limit_memory();
    let mut ends = [0_u64; 3];
    let files = [("every-type.delta-v2.parquet", 1_000), ("every-type.snappy.parquet", 1_000), ("sheets.xlsx", 2_000)];
    for (name, mutations) in files {
        let good = std::fs::read(table(name)).expect("a fixture");
        let is_zip = name.ends_with(".xlsx");
        let file = Made::new(&good, if is_zip { "xlsx" } else { "parquet" });
        let parts = if is_zip { parts(&good) } else { Vec::new() };
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..mutations {
            let bytes = match is_zip && random.u8(0..4) > 0 {
                true => with_mutated_part(&parts, &mut random),
                false => mutated(&good, &mut random),
            };
            std::fs::write(file.path(), bytes).expect("it can be written");
            let end = match open(&Input::File(file.path()), &keeping()) {
                Err(_) => 0,
                Ok(reader) => match reader.take(300).any(|item| item.is_err()) {
                    true => 1,
                    false => 2,
                },
            };
            ends[end] += 1;
        }
    }
    // There are three outcomes: the program rejects the file at the start, the damage is found later, or the file is
    // read to its end. The test needs many cases of each outcome.
    assert!(ends.iter().all(|count| *count > 400), "mutations of one kind only: {ends:?}");
}

#[test]
fn crafted_sheets_are_refused_before_they_take_memory() {
    limit_memory();
    let refused = |part: &str, text: &str| {
        let file = Made::new(&with_parts(&[(part, text)]), "xlsx");
        open(&Input::File(file.path()), &keeping()).map(Reader::count).expect_err(part).to_string()
    };

    let claim = "<sst uniqueCount=\"1000000000000\"><si><t>a</t></si></sst>";
    let error = refused("xl/sharedStrings.xml", claim);
    assert!(error.contains("claims more shared texts"), "{error}");

    let error = refused("xl/styles.xml", &" ".repeat(65 << 20));
    assert!(error.contains("unpacks to more than 64 MiB"), "{error}");
}

#[test]
fn cells_that_are_far_apart_or_share_a_long_text_take_little_memory() {
    limit_memory();
    let header = "<row r=\"1\"><c r=\"A1\" t=\"str\"><v>prompt</v></c></row>";
    let sheet = |rows: &str| format!("<worksheet><sheetData>{header}{rows}</sheetData></worksheet>");

    // A sheet of the largest size has seventeen billion places for cells. The sheet in this test uses only a few of
    // these places.
    let last = "<row r=\"1048576\"><c r=\"A1048576\" t=\"str\"><v>x</v></c><c r=\"XFD1048576\"><v>1</v></c></row>";
    let far = Made::new(&with_parts(&[("xl/worksheets/sheet1.xml", &sheet(last))]), "xlsx");
    let items = read(&far.path(), &keeping());
    assert_eq!((items.len(), line(&items[0])), (1, 1_048_576));

    let long = format!("<sst><si><t>{}</t></si></sst>", "x".repeat(1 << 20));
    let cell = |row: usize| format!("<row r=\"{row}\"><c r=\"A{row}\" t=\"s\"><v>0</v></c></row>");
    let rows: String = (2..800).map(cell).collect();
    let parts = [("xl/sharedStrings.xml", long.as_str()), ("xl/worksheets/sheet1.xml", &sheet(&rows))];
    let shared = Made::new(&with_parts(&parts), "xlsx");
    let error = open(&Input::File(shared.path()), &keeping()).expect_err("too much text").to_string();
    assert!(error.contains("too much text"), "{error}");
}

/// Limits the memory of the process. If the program tries to allocate an absurd size, the allocation fails and ends the
/// program.
fn limit_memory() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = Rlimit { current: Some(MOST_BYTES), ..getrlimit(Resource::As) };
        setrlimit(Resource::As, limit).expect("a limit can be lowered");
    }
}

/// Returns a file with a few bits or bytes changed. Most changes are in the first half of the file, where the pages of
/// a Parquet file are. The other changes are in the second half of the file, which contains the footer.
fn mutated(good: &[u8], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = good.to_vec();
    let (middle, end) = (bytes.len() * 45 / 100, bytes.len() - 8);
    let range = if random.u8(0..4) > 0 { 0..middle } else { middle..end };
    for _ in 0..random.usize(1..5) {
        let at = random.usize(range.clone());
        match random.u8(0..6) {
            0 => bytes[at] ^= 1 << random.u8(0..8),
            1 => bytes[at] = random.u8(..),
            2 => bytes[at..at + 4].copy_from_slice(&random.u32(..).to_le_bytes()),
            3 => bytes[at..at + 4].fill(0xff),
            4 => bytes[at..at + 4].fill(0),
            _ => bytes[at..at + 8].rotate_left(1),
        }
    }
    bytes
}

/// Returns an archive of these parts. The text of one part is changed. The archive is not compressed, because
/// compression would take most of the time of the test.
fn with_mutated_part(parts: &[(String, Vec<u8>)], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut parts = parts.to_vec();
    let chosen = random.usize(0..parts.len());
    parts[chosen].1 = mutated(&parts[chosen].1, random);
    zipped(&parts, CompressionMethod::Stored)
}

/// Returns `fixtures/tables/sheets.xlsx` with some parts replaced or added.
fn with_parts(changed: &[(&str, &str)]) -> Vec<u8> {
    let mut parts = parts(&std::fs::read(table("sheets.xlsx")).expect("a fixture"));
    parts.retain(|(name, _)| changed.iter().all(|(changed, _)| changed != name));
    parts.extend(changed.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())));
    zipped(&parts, CompressionMethod::Deflated)
}

fn parts(archive: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = zip::ZipArchive::new(Cursor::new(archive)).expect("a good archive");
    let mut parts = Vec::new();
    for at in 0..archive.len() {
        let mut part = archive.by_index(at).expect("a good archive");
        let (name, mut bytes) = (part.name().expect("a good name").to_string(), Vec::new());
        part.read_to_end(&mut bytes).expect("a good archive");
        parts.push((name, bytes));
    }
    parts
}

fn zipped(parts: &[(String, Vec<u8>)], method: CompressionMethod) -> Vec<u8> {
    let options = SimpleFileOptions::default().compression_method(method);
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in parts {
        writer.start_file(name.as_str(), options).expect("a write to memory never fails");
        writer.write_all(bytes).expect("a write to memory never fails");
    }
    writer.finish().expect("a write to memory never fails").into_inner()
}
