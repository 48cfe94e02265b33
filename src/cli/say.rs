//! Prints all text of this program, except the progress of a run ([`report`](crate::report)).
//!
//! Printed text can't control the terminal: line breaks are kept, and other control characters become escapes. Text
//! that looks like a key of the API is hidden. If a name or message from outside is part of a sentence, its line breaks
//! are also escaped. So a text from outside the program can't look like a line that the program wrote.
//!
//! The functions of this module never panic. The standard library's macros panic if the disk is full or the stream is
//! closed. A message that can't be written to standard error is lost, and the run continues. But a failure to write to
//! standard output is an error, because standard output carries the result of a command. If the reader closes standard
//! output, this is not an error: the reader has seen enough.

use std::borrow::Cow;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::sync::Arc;

use crate::domain::Secrets;
use crate::report::harmless::OnTerminal;
use crate::report::progress::terminal_width;
use crate::report::text::{escape, escape_lines};

/// The prefix of an API key.
const KEY_BEGINS: &str = "sk-ant-";
/// After its prefix, a key has at least this many characters. A shorter text is not a key, but part of a sentence about
/// keys.
const KEY_REST: usize = 8;

/// A failed write to standard output.
#[derive(Debug, thiserror::Error)]
#[error("can't write to standard output")]
pub(crate) struct OutputFailure(#[source] io::Error);

/// Prints a message for the user on standard error.
pub(crate) fn err(text: &str) {
    write_err(&format!("{text}\n"));
}

/// Prints a question for the user. The user types the answer on the same line.
pub(crate) fn ask(question: &str) {
    write_err(question);
}

fn write_err(text: &str) {
    let mut stream = io::stderr().lock();
    // A failure is ignored, because there is no other way to report it.
    let _ = stream.write_all(harmless(text).as_bytes()).and_then(|()| stream.flush());
}

/// Prints the result of a command on standard output.
///
/// # Errors
/// Fails if the result can't be written. If the reader has closed standard output, this is not an error.
pub(crate) fn out(text: &str) -> Result<(), OutputFailure> {
    let mut stream = io::stdout().lock();
    printed(stream.write_all(format!("{}\n", harmless(text)).as_bytes()).and_then(|()| stream.flush()))
}

/// Prints the result of a command on a terminal. The text replaces the last `lines` lines of the output.
///
/// # Errors
/// Fails in the same cases as [`out`].
pub(crate) fn out_over(text: &str, lines: usize) -> Result<(), OutputFailure> {
    let up = if lines > 0 { format!("\x1b[{lines}A\r\x1b[J") } else { String::new() };
    let mut stream = io::stdout().lock();
    printed(stream.write_all(format!("{up}{}\n", harmless(text)).as_bytes()).and_then(|()| stream.flush()))
}

/// Returns whether standard output is a terminal.
pub(crate) fn out_is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Returns whether nothing reads standard output, because the program was started with this stream closed (`>&-`).
///
/// The standard library replaces a closed stream by `/dev/null`, which it opens to read and write. A shell opens
/// `/dev/null` only to write (`> /dev/null`), so an output that is thrown away on purpose is not taken for a closed one.
pub(crate) fn out_was_closed() -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;

        use rustix::fs::{OFlags, fcntl_getfl, fstat};

        let (Ok(null), Ok(out)) = (std::fs::metadata("/dev/null"), fstat(io::stdout())) else { return false };
        let can_be_read = fcntl_getfl(io::stdout()).is_ok_and(|flags| flags.contains(OFlags::RDWR));
        can_be_read && out.st_rdev == null.rdev() && out.st_ino == null.ino()
    }
    #[cfg(not(unix))]
    false
}

/// Converts `written`, the result of a write to standard output, into the result of [`out`].
///
/// # Errors
/// Fails in the same cases as [`out`].
pub(crate) fn printed(written: io::Result<()>) -> Result<(), OutputFailure> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(OutputFailure),
    }
}

/// Returns standard error, to which the progress of a run is written. The text of the progress is already escaped.
pub(crate) fn progress() -> Box<dyn Write + Send> {
    Box::new(io::stderr())
}

/// Returns the width of the log or terminal to which progress is written; `None` if it is not known. For a log, the
/// variable `COLUMNS` sets the width. On a terminal, the last column stays free, because some terminals wrap a line
/// that fills this column.
pub(crate) fn log_columns() -> Option<usize> {
    let named = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    terminal_width().map(|columns| columns.saturating_sub(1)).or(named)
}

/// Returns standard output, to which results are written. On a terminal, results are escaped; otherwise they are
/// written byte for byte.
pub(crate) fn results() -> Box<dyn Write + Send> {
    let stream = io::stdout();
    if stream.is_terminal() { Box::new(OnTerminal::new(stream)) } else { Box::new(stream) }
}

/// Asks the terminal of standard error to show a notification (OSC 9). Call this function only if standard error is a
/// terminal. Control characters in `text` are escaped, so the text can't end the control sequence.
pub(crate) fn notify_terminal(text: &str) {
    let mut stream = io::stderr().lock();
    // A failure is ignored, because there is no other way to report it.
    let _ = stream.write_all(notification(text).as_bytes()).and_then(|()| stream.flush());
}

fn notification(text: &str) -> String {
    format!("\u{1b}]9;{}\u{7}", harmless(&escape(text)))
}

/// Sets a panic hook that prints panic messages through this module. The hook hides the `secrets`, because a panic
/// message may quote data.
pub(crate) fn panics(secrets: impl Fn() -> Vec<Arc<Secrets>> + Send + Sync + 'static) {
    std::panic::set_hook(Box::new(move |panic| {
        let mut words = panic_words(panic);
        secrets().iter().for_each(|secrets| secrets.clean(&mut words));
        err(&words);
    }));
}

fn panic_words(panic: &PanicHookInfo<'_>) -> String {
    let payload = panic.payload();
    let message = payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
    let place = panic.location().map(|place| format!(" at {}:{}", place.file(), place.line())).unwrap_or_default();
    let thread = std::thread::current();
    format!(
        "claude-batch: a bug in this program, please report it: thread {} panicked{place}: {}",
        escape(thread.name().unwrap_or("without a name")),
        escape(message.unwrap_or("no message"))
    )
}

/// Returns a text in a form that is safe to print.
pub(crate) fn harmless(text: &str) -> Cow<'_, str> {
    let shown = escape_lines(text);
    if shown.contains(KEY_BEGINS) { Cow::Owned(without_keys(&shown)) } else { shown }
}

/// Hides text that looks like a key. Otherwise, if the user typed a key in the wrong place, an error message would show
/// the key.
fn without_keys(text: &str) -> String {
    let mut parts = text.split(KEY_BEGINS);
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_key = |char: char| char.is_ascii_alphanumeric() || char == '-' || char == '_';
        let rest = part.find(|char| !is_key(char)).unwrap_or(part.len());
        shown.push_str(KEY_BEGINS);
        shown.push_str(if rest < KEY_REST { part } else { "[hidden]" });
        shown.push_str(if rest < KEY_REST { "" } else { &part[rest..] });
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_stay_and_control_characters_are_escaped() {
        assert_eq!(harmless("a\nb\u{1b}[2J\r\u{9b}1m\u{202e}"), "a\nb\\u{1b}[2J\\r\\u{9b}1m\\u{202e}");
    }

    #[test]
    fn a_notification_has_one_begin_and_one_end() {
        assert_eq!(notification("a\u{7}b\u{1b}\\c\nd"), "\u{1b}]9;a\\u{7}b\\u{1b}\\c\\nd\u{7}");
    }

    #[test]
    fn text_like_a_key_is_hidden_and_words_about_keys_are_not() {
        assert_eq!(
            harmless("no file 'sk-ant-api03-abc_DEF-1', no sk-ant-, no sk-ant-x; sk-ant-012345678."),
            "no file 'sk-ant-[hidden]', no sk-ant-, no sk-ant-x; sk-ant-[hidden]."
        );
    }

    #[test]
    fn a_full_disk_is_a_failure_and_a_closed_reader_is_not() {
        assert!(printed(Err(ErrorKind::BrokenPipe.into())).is_ok());
        assert!(printed(Err(ErrorKind::StorageFull.into())).is_err());
    }
}
