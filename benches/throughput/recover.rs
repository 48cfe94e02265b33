//! Measures only recovery: how a run opens a results file that an earlier run has written.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use claude_batch::clock::{self, RunClock};
use claude_batch::domain::{
    AttemptRecord, Ended, Identity, Job, JobId, JobKey, Message, Money, Origin, Outcome, Params, Quality, Request,
    RowId, Usage,
};
use claude_batch::journal::{
    Fsync, InputRead, Journal, JournalOptions, Manifest, RealDisk, RunPaths, Start, Threading,
};
use claude_batch::sink::{RecordContext, outcome_line};

use crate::files::prompt_of;
use crate::measure::Seen;

/// Writes `rows` result lines, each with an answer of `chars` characters.
pub fn write_results(path: &Path, rows: u64, chars: usize) -> io::Result<()> {
    let context = RecordContext {
        run: "20260822T101112-abcdef".into(),
        clock: RunClock::start(),
        price_date: Some("2026-08-22".into()),
        results: None,
    };
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut line = Vec::new();
    for row in 0..rows {
        line.clear();
        outcome_line(&answered(row, chars), &context, &mut line);
        file.write_all(&line)?;
    }
    file.flush()
}

fn answered(row: u64, chars: usize) -> Outcome {
    let usage = Usage { input_tokens: 12, output_tokens: 34, ..Usage::default() };
    let text = prompt_of(row, chars);
    let json = format!(
        r#"{{"id":"msg_{row:024}","type":"message","role":"assistant","model":"claude-haiku-4-5-20251001","content":[{{"type":"text","text":"{text}"}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{{"input_tokens":12,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":34}}}}"#
    );
    let mut key = [0; 16];
    key[..8].copy_from_slice(&row.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    let job = Job {
        id: JobId(row),
        custom_id: format!("row-{row}"),
        key: JobKey(key),
        identity: Identity::Named,
        row: RowId::named(&format!("row-{row}"), Some(JobKey(key))),
        request: Request::default(),
        extra: Params::default(),
        origin: Origin { source: "rows.jsonl".into(), line: row + 1 },
        index: row,
    };
    let attempt = AttemptRecord {
        started_at: clock::Instant::from_millis(row),
        ended_at: clock::Instant::from_millis(row + 900),
        usage,
        cost: Some(Money(300_000_000)),
        request_id: Some(format!("req_{row:024}")),
        max_tokens: 5,
        template: 7,
        estimated_input: 12,
        ..AttemptRecord::new("anthropic", "claude-haiku-4-5")
    };
    let message = Message { json: json.into(), usage, quality: Quality::Ok, content: 0..0 };
    Outcome { job: Box::new(job), attempts: vec![attempt], ended: Ended::Succeeded(message) }
}

/// Opens the journal (the files of the run) in `folder` and closes it again.
pub fn recover(folder: &Path) -> io::Result<Seen> {
    let started = Instant::now();
    let options = JournalOptions {
        disk: Arc::new(RealDisk::default()),
        paths: RunPaths { results: Some(folder.join("out.jsonl")), errors: folder.join("out.errors.jsonl") },
        inputs: Vec::new(),
        run: "bench".into(),
        clock: RunClock::start(),
        price_date: None,
        manifest: Manifest::default(),
        start: Start::Continue,
        rerun: Vec::new(),
        fsync: Fsync::Group,
        threading: Threading::Thread,
        stdout: None,
    };
    let (journal, recovered) = Journal::open(options, Box::new(|_| {})).map_err(io::Error::other)?;
    let seen = Seen::here(recovered.done.len() as u64, started.elapsed());
    journal.close(InputRead::Part, false).map_err(io::Error::other)?;
    Ok(seen)
}
