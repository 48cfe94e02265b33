//! The one door to the terminal: everything this program prints, but for a run's progress ([`report`](crate::report)).
//!
//! What passes is shown harmless, whatever was escaped before: only line breaks are kept, everything else that steers a
//! terminal becomes an escape, and what looks like a key of the API is hidden. Names and messages from outside are escaped
//! where they are put into a sentence, line breaks included, so that none can begin a line of its own.
//!
//! Nothing here panics (the macros of the standard library do, when the stream is full or gone) and no message that
//! can't be shown ends a run. Standard output is different: what a command prints there is what it was called for. A
//! reader that has gone away has seen enough; any other failure is one of the program's results.

use std::borrow::Cow;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::sync::Arc;

use crate::domain::Secrets;
use crate::report::harmless::OnTerminal;
use crate::report::text::{escape, escape_lines};

/// How a key of the API begins.
const KEY_BEGINS: &str = "sk-ant-";
/// The shortest rest of a key; a shorter one is part of a sentence about keys.
const KEY_REST: usize = 8;

/// Standard output took no more.
#[derive(Debug, thiserror::Error)]
#[error("can't write to standard output")]
pub(crate) struct OutputFailure(#[source] io::Error);

/// Says something to the person, on standard error.
pub(crate) fn err(text: &str) {
    write_err(&format!("{text}\n"));
}

/// Asks the person something; the answer comes on the same line.
pub(crate) fn ask(question: &str) {
    write_err(question);
}

fn write_err(text: &str) {
    let mut stream = io::stderr().lock();
    // Nobody is left to be told when this fails.
    let _ = stream.write_all(harmless(text).as_bytes()).and_then(|()| stream.flush());
}

/// Prints what the command was called for, on standard output.
///
/// # Errors
/// When it can't be written. A reader that has gone away is no error.
pub(crate) fn out(text: &str) -> Result<(), OutputFailure> {
    let mut stream = io::stdout().lock();
    printed(stream.write_all(format!("{}\n", harmless(text)).as_bytes()).and_then(|()| stream.flush()))
}

/// Returns what became of something printed on standard output.
///
/// # Errors
/// As [`out`].
pub(crate) fn printed(written: io::Result<()>) -> Result<(), OutputFailure> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(OutputFailure),
    }
}

/// Returns standard error for a run's progress, which is harmless already.
pub(crate) fn progress() -> Box<dyn Write + Send> {
    Box::new(io::stderr())
}

/// Returns standard output for results: byte for byte, or harmless where it is a terminal.
pub(crate) fn results() -> Box<dyn Write + Send> {
    let stream = io::stdout();
    if stream.is_terminal() { Box::new(OnTerminal::new(stream)) } else { Box::new(stream) }
}

/// Lets a panic be told through this door too, without these secrets: its message may quote what something failed on.
pub(crate) fn panics(secrets: impl Fn() -> Arc<Secrets> + Send + Sync + 'static) {
    std::panic::set_hook(Box::new(move |panic| {
        let mut words = panic_words(panic);
        secrets().clean(&mut words);
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

/// Returns text as it may be printed.
pub(crate) fn harmless(text: &str) -> Cow<'_, str> {
    let shown = escape_lines(text);
    if shown.contains(KEY_BEGINS) { Cow::Owned(without_keys(&shown)) } else { shown }
}

/// Hides what looks like a key: typed in the wrong place, it would be repeated by the message that says so.
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
    fn lines_stay_lines_and_nothing_steers() {
        assert_eq!(harmless("a\nb\u{1b}[2J\r\u{9b}1m\u{202e}"), "a\nb\\u{1b}[2J\\r\\u{9b}1m\\u{202e}");
    }

    #[test]
    fn what_looks_like_a_key_is_hidden_and_words_about_keys_are_not() {
        assert_eq!(
            harmless("no file 'sk-ant-api03-abc_DEF-1', no sk-ant-, no sk-ant-x; sk-ant-012345678."),
            "no file 'sk-ant-[hidden]', no sk-ant-, no sk-ant-x; sk-ant-[hidden]."
        );
    }

    #[test]
    fn a_reader_that_is_gone_is_no_failure_and_a_full_disk_is() {
        assert!(printed(Err(ErrorKind::BrokenPipe.into())).is_ok());
        assert!(printed(Err(ErrorKind::StorageFull.into())).is_err());
    }
}
