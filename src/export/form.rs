//! The form of an output: its format and its compression. The form comes from the name of the output, or from the
//! format that the user asked for.

use std::path::Path;

/// A format of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OutputFormat {
    /// JSON lines: one JSON value per line.
    Jsonl,
    /// CSV: a header and records, with commas between the cells.
    Csv,
    /// TSV: a header and records, with tabs between the cells.
    Tsv,
    /// Plain text: one text per line.
    Text,
    /// Apache Parquet.
    Parquet,
}

impl OutputFormat {
    /// All formats, in the order of the help text.
    pub const ALL: [Self; 5] = [Self::Jsonl, Self::Csv, Self::Tsv, Self::Text, Self::Parquet];

    /// Returns the name of the format, as the user types it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::Text => "text",
            Self::Parquet => "parquet",
        }
    }

    fn of_extension(extension: &str) -> Option<Self> {
        match extension {
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            "csv" => Some(Self::Csv),
            "tsv" | "tab" => Some(Self::Tsv),
            "txt" | "text" => Some(Self::Text),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }
}

/// The compression of an output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Compression {
    /// No compression.
    #[default]
    None,
    /// The output is compressed with gzip (`.gz`).
    Gzip,
    /// The output is compressed with Zstandard (`.zst`).
    Zstd,
}

/// The format and the compression of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    /// The format.
    pub(crate) format: OutputFormat,
    /// The compression of the output.
    pub(crate) compression: Compression,
}

/// The reason why the form of an output can't be chosen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FormError {
    /// The extension of the output does not belong to the format that the user asked for.
    #[error("{name}: its name says {named}, but the output format is {asked}; change the name or --output-format")]
    Differs {
        /// The path of the output, as the user gave it.
        name: String,
        /// The format that the file extension of the output stands for.
        named: &'static str,
        /// The format that the user asked for.
        asked: &'static str,
    },
    /// The extension belongs to a format that this program can't write.
    #[error("{name}: this program does not write {extension} files; choose .csv, .tsv, .txt, .jsonl or .parquet")]
    Unknown {
        /// The path of the output, as the user gave it.
        name: String,
        /// The extension of the output.
        extension: &'static str,
    },
    /// The extension belongs to a kind of compression that this program can't write.
    #[error("{name}: this program does not write {extension} files; a compressed output ends in .gz or .zst")]
    Packed {
        /// The path of the output, as the user gave it.
        name: String,
        /// The extension of the output.
        extension: &'static str,
    },
    /// The name of the output shows that the format is Parquet, but the name ends in the extension of a compression
    /// format. The data inside a Parquet file is already compressed.
    #[error("{name}: a Parquet file is compressed inside; leave out {extension}")]
    Compressed {
        /// The path of the output, as the user gave it.
        name: String,
        /// The extension of the compression format.
        extension: &'static str,
    },
}

/// Extensions of formats that this program can't write. The program rejects an output with one of these extensions,
/// because the file would not have the format that the user expects.
const NOT_WRITTEN: [&str; 36] = [
    "arrow", "avro", "db", "dbf", "doc", "docx", "duckdb", "feather", "htm", "html", "markdown", "md", "msgpack",
    "numbers", "ods", "odt", "orc", "pages", "pdf", "pickle", "pkl", "ppt", "pptx", "rtf", "sql", "sqlite", "sqlite3",
    "tex", "toml", "xls", "xlsb", "xlsm", "xlsx", "xml", "yaml", "yml",
];

/// Extensions of compressed files and archives that this program can't write.
const NOT_PACKED: [&str; 14] =
    ["7z", "br", "bz2", "gzip", "lz", "lz4", "lzma", "rar", "tar", "tgz", "xz", "z", "zip", "zstd"];

impl Form {
    /// Returns the form of the output at `path`. `asked` is the format that the user asked for. Returns `None` if the
    /// path and the user give no format. If no format is given, the output is plain JSON lines.
    ///
    /// # Errors
    /// Any [`FormError`].
    pub(crate) fn of(path: &Path, asked: Option<OutputFormat>) -> Result<Option<Self>, FormError> {
        let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        let (stem, compression, packed) = match name.rsplit_once('.') {
            Some((stem, "gz")) => (stem, Compression::Gzip, ".gz"),
            Some((stem, "zst")) => (stem, Compression::Zstd, ".zst"),
            _ => (&*name, Compression::None, ""),
        };
        let ending = stem.rsplit_once('.').map(|(_, ending)| ending);
        if let Some(extension) = NOT_WRITTEN.into_iter().find(|known| Some(*known) == ending) {
            return Err(FormError::Unknown { name: path.display().to_string(), extension });
        }
        if let Some(extension) = NOT_PACKED.into_iter().find(|known| Some(*known) == ending) {
            return Err(FormError::Packed { name: path.display().to_string(), extension });
        }
        let named = stem.rsplit_once('.').and_then(|(_, extension)| OutputFormat::of_extension(extension));
        let shown = || path.display().to_string();
        let format = match (named, asked) {
            (Some(named), Some(asked)) if named != asked => {
                return Err(FormError::Differs { name: shown(), named: named.name(), asked: asked.name() });
            }
            (named, asked) => match asked.or(named) {
                Some(format) => format,
                None if compression == Compression::None => return Ok(None),
                None => OutputFormat::Jsonl,
            },
        };
        if format == OutputFormat::Parquet && compression != Compression::None {
            return Err(FormError::Compressed { name: shown(), extension: packed });
        }
        Ok(Some(Self { format, compression }))
    }

    /// Returns the form of standard output, or of an output without a name.
    pub(crate) fn plain(format: OutputFormat) -> Self {
        Self { format, compression: Compression::None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_determines_format_and_compression() {
        let of = |name: &str| Form::of(Path::new(name), None).expect("it has a form");
        let form = |format, compression| Some(Form { format, compression });

        assert_eq!(of("a.csv"), form(OutputFormat::Csv, Compression::None));
        assert_eq!(of("d.tsv/A.CSV.GZ"), form(OutputFormat::Csv, Compression::Gzip));
        assert_eq!(of("a.jsonl.zst"), form(OutputFormat::Jsonl, Compression::Zstd));
        assert_eq!(of("a.gz"), form(OutputFormat::Jsonl, Compression::Gzip));
        assert_eq!(of("a.txt"), form(OutputFormat::Text, Compression::None));
        assert_eq!(of("a.parquet"), form(OutputFormat::Parquet, Compression::None));
        assert_eq!((of("a.out"), of("a"), of(".csv.run")), (None, None, None));
        let error = |name: &str| Form::of(Path::new(name), None).expect_err(name).to_string();
        for name in ["a.xlsx", "A.DOCX", "a.pdf.gz", "a.md"] {
            assert!(error(name).contains("choose .csv"), "{name}");
        }
        for name in ["a.csv.bz2", "a.jsonl.XZ", "a.zip", "a.tar.gz"] {
            assert!(error(name).ends_with("files; a compressed output ends in .gz or .zst"), "{}", error(name));
        }
    }

    #[test]
    fn a_name_that_contradicts_the_format_is_refused() {
        let of = |name: &str, format| Form::of(Path::new(name), Some(format));

        let differs = of("a.csv", OutputFormat::Tsv).expect_err("they differ").to_string();
        assert_eq!(
            differs,
            "a.csv: its name says csv, but the output format is tsv; change the name or --output-format"
        );
        assert!(of("a.parquet.gz", OutputFormat::Parquet).is_err());
        assert_eq!(of("a.out", OutputFormat::Csv), Ok(Some(Form::plain(OutputFormat::Csv))));
        assert_eq!(of("a.csv", OutputFormat::Csv), Ok(Some(Form::plain(OutputFormat::Csv))));
    }
}
