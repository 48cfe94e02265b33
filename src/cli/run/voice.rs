//! Prints messages of a run to the user.

use super::super::say;
use super::new_run::NewRun;
use crate::report::progress::terminal_width;
use crate::report::text::{escape, wrap};
use crate::report::{self, ProgressKind, Verbosity};

impl NewRun<'_> {
    /// Prints the warnings and notes about the settings of the run.
    pub(super) fn say_settings(&self) {
        self.warn(&self.config.warnings);
        self.note(&self.config.notes);
    }

    /// Prints each text as a warning.
    pub(super) fn warn(&self, texts: &[String]) {
        texts.iter().for_each(|text| self.say(&format!("warning: {}", escape(text))));
    }

    /// Prints each text as a note.
    pub(super) fn note(&self, texts: &[String]) {
        texts.iter().for_each(|text| self.say(&format!("note: {}", escape(text))));
    }

    /// Prints a text for the user; with `--quiet`, prints nothing.
    pub(super) fn say(&self, text: &str) {
        if self.config.verbosity != Verbosity::Quiet {
            self.tell(text);
        }
    }

    /// Prints a text that contains a command; with `--quiet`, prints nothing. See [`NewRun::tell_whole`].
    pub(super) fn say_whole(&self, text: &str) {
        if self.config.verbosity != Verbosity::Quiet {
            self.tell_whole(text);
        }
    }

    /// Prints a text for the user, even with `--quiet`.
    pub(super) fn tell(&self, text: &str) {
        match terminal_width().filter(|_| self.config.is_terminal && self.config.progress != ProgressKind::Json) {
            // A text with line breaks is a summary, which is already wrapped to the width of the terminal.
            Some(columns) if !text.contains('\n') => self.tell_whole(&wrap(text, columns).join("\n")),
            _ => self.tell_whole(text),
        }
    }

    /// Prints a text without wrapping it, because a pasted command with a line break in it does not work.
    pub(super) fn tell_whole(&self, text: &str) {
        self.voice()(text);
    }

    /// Returns a function that any thread can call to print a message. The function prints JSON if the user asked for
    /// JSON, and text otherwise.
    pub(super) fn voice(&self) -> impl Fn(&str) + Send + 'static {
        let (kind, name) = (self.config.progress, self.name.clone());
        move |text| match kind {
            ProgressKind::Json => say::err(&report::json::note(&name, text, jiff::Timestamp::now())),
            _ => say::err(text),
        }
    }
}
