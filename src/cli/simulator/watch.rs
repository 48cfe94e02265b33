//! Writes a line for each request that the simulator receives: to standard error for people, and to a journal for
//! programs.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, anyhow};

use super::super::say;
use crate::journal::{Owners, open_to_append};
use crate::report::text::{count, escape, plural};
use crate::sim::model::{Books, Line};

/// Where the lines about requests are written.
#[derive(Debug)]
pub(crate) struct Watch {
    journal: Option<File>,
    is_verbose: bool,
    has_failed: Arc<AtomicBool>,
}

impl Watch {
    /// Opens the journal for appending. Only the owner of the journal can read the journal, because the journal shows
    /// requests. Returns `None` if the user did not ask for lines about requests.
    ///
    /// # Errors
    /// Fails if the system can't open the journal, or if the program must not use this file.
    pub(crate) fn open(journal: Option<&Path>, owners: Owners, is_verbose: bool) -> Result<Option<Self>> {
        let open = |path: &Path| {
            let (file, notes) =
                open_to_append(path, owners).map_err(|error| anyhow!("--journal: can't write: {error}"))?;
            notes.iter().for_each(|note| say::err(&format!("note: {}", escape(note))));
            Ok::<_, anyhow::Error>(file)
        };
        let journal = journal.map(open).transpose()?;
        let is_watching = journal.is_some() || is_verbose;
        Ok(is_watching.then(|| Self { journal, is_verbose, has_failed: Arc::default() }))
    }

    /// Returns a flag that becomes true if the journal can't be written.
    pub(crate) fn failure(&self) -> Arc<AtomicBool> {
        self.has_failed.clone()
    }

    /// Shows a line about a request, and writes it to the journal. If the journal can't be written, prints one message
    /// and writes no more lines to the journal.
    pub(crate) fn line(&mut self, line: &Line) {
        if self.is_verbose {
            say::err(&shown(line));
        }
        let Some(journal) = &mut self.journal else { return };
        // Each line is one write, so readers of the journal see only whole lines.
        let written = serde_json::to_vec(line).map_err(std::io::Error::from).and_then(|mut bytes| {
            bytes.push(b'\n');
            journal.write_all(&bytes)
        });
        if let Err(error) = written {
            say::err(&format!(
                "claude-batch: --journal: can't write ({error}); no more lines are written to the journal"
            ));
            self.has_failed.store(true, Ordering::Relaxed);
            self.journal = None;
        }
    }
}

/// Returns a line about a request as text for people.
fn shown(line: &Line) -> String {
    let status = line.status.map_or("---".to_owned(), |status| status.to_string());
    let mut text = format!("{:9.3}s {status} {} {}", line.at_s, escape(&line.method), escape(&line.path));
    let mut add = |part: String| {
        text.push(' ');
        text.push_str(&part);
    };
    line.model.iter().for_each(|model| add(escape(model).into_owned()));
    if let (Some(input), Some(output)) = (line.input_tokens, line.output_tokens) {
        add(format!("{} in, {} out", count(input), count(output)));
    }
    if let (Some(batch), Some(requests)) = (&line.batch, line.requests) {
        add(format!("{batch} with {}", plural(requests, "request", "requests")));
    }
    line.reason.iter().for_each(|reason| add(format!("refused: {reason}")));
    line.fault.iter().for_each(|rule| add(format!("fault of rule {}", rule + 1)));
    add(escape(&line.request_id).into_owned());
    text
}

/// Returns one line that summarizes the requests that a simulator has received.
pub(crate) fn summary(books: &Books) -> String {
    let listed = |all: Vec<String>| if all.is_empty() { String::new() } else { format!(" ({})", all.join(", ")) };
    let reasons = books.refused.iter().map(|(reason, number)| format!("{reason} {}", count(*number))).collect();
    let input = books.billed.prompt_tokens();
    let batches = match books.batches.created {
        0 => String::new(),
        created => format!(
            "; {} with {} ({} succeeded)",
            plural(created, "batch", "batches"),
            plural(books.batches.requests, "request", "requests"),
            count(books.batches.succeeded)
        ),
    };
    format!(
        "{}, {} let in, {} refused with 429{}, {}; billed {}, {} input and {} output tokens, ${:.4}; \
         at most {} open at once{batches}",
        plural(books.requests, "request", "requests"),
        count(books.admitted),
        count(books.refused_total()),
        listed(reasons),
        plural(books.faults.values().sum(), "fault", "faults"),
        plural(books.billed_calls, "call", "calls"),
        count(input),
        count(books.billed.output_tokens),
        books.billed_usd,
        count(books.highest_in_flight),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_shows_the_result_of_a_request_and_cannot_control_the_terminal() {
        let line = Line {
            at_s: 1.5,
            request_id: "req_01".to_owned(),
            method: "POST".to_owned(),
            path: "/v1/messages".to_owned(),
            model: Some("m\u{1b}[2J".to_owned()),
            status: Some(429),
            reason: Some("input_tokens"),
            ..Line::default()
        };

        let text = shown(&line);

        assert!(text.starts_with("    1.500s 429 POST /v1/messages m"), "{text}");
        assert!(text.ends_with(" refused: input_tokens req_01") && !text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn the_summary_names_the_reasons_for_429s() {
        let mut books = Books::default();
        books.requests = 1_204;
        books.refused.insert("requests", 3);

        let text = summary(&books);
        (books.batches.created, books.batches.requests, books.batches.succeeded) = (2, 70, 69);
        let with_batches = summary(&books);

        assert!(with_batches.ends_with("at once; 2 batches with 70 requests (69 succeeded)"), "{with_batches}");
        assert!(text.starts_with("1,204 requests, 0 let in, 3 refused with 429 (requests 3), 0 faults;"), "{text}");
    }
}
