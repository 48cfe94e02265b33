//! Makes the input files. The files are the same in each run of the benchmark.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// An address at which no server listens, for runs that need no server.
pub const NOBODY: &str = "http://127.0.0.1:9";

const WORDS: [&str; 16] = [
    "the",
    "committee",
    "met",
    "on",
    "Tuesday",
    "to",
    "discuss",
    "proposed",
    "changes",
    "budget",
    "several",
    "members",
    "raised",
    "concerns",
    "about",
    "costs",
];

/// Returns a prompt of `chars` characters. The prompt of each row is different.
pub fn prompt_of(row: u64, chars: usize) -> String {
    let mut prompt = format!("{row}:");
    let mut state = row.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    while prompt.len() < chars {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        prompt.push(' ');
        prompt.push_str(WORDS[(state >> 60) as usize]);
    }
    prompt.truncate(chars);
    prompt
}

/// Returns the request body for a prompt, as the library sends it.
pub fn body(prompt: &str) -> String {
    format!(r#"{{"model":"claude-haiku-4-5","max_tokens":1024,"messages":[{{"role":"user","content":"{prompt}"}}]}}"#)
}

/// Writes named rows, each with a prompt of `chars` characters.
pub fn write_rows(path: &Path, rows: u64, chars: usize) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    for row in 0..rows {
        writeln!(file, r#"{{"custom_id":"row-{row}","prompt":"{}"}}"#, prompt_of(row, chars))?;
    }
    file.flush()
}

/// Writes rows without a name, each with a prompt of `chars` characters.
pub fn write_unnamed(path: &Path, rows: u64, chars: usize) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    for row in 0..rows {
        writeln!(file, r#"{{"prompt":"{}"}}"#, prompt_of(row, chars))?;
    }
    file.flush()
}

/// Writes rows in the canonical form (`custom_id` and `params`), each with a prompt of `chars` characters.
pub fn write_canonical(path: &Path, rows: u64, chars: usize) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    for row in 0..rows {
        writeln!(file, r#"{{"custom_id":"row-{row}","params":{}}}"#, body(&prompt_of(row, chars)))?;
    }
    file.flush()
}
