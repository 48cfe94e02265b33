//! Damage of a compressed input, as an `io::Error`.

use std::fmt;
use std::io;

/// A description of what is damaged in a compressed input. This description is the inner error of an [`io::Error`].
#[derive(Debug)]
pub(in crate::source) struct Damage(String);

impl Damage {
    /// Returns the damage as an [`io::Error`].
    pub(super) fn error(what: impl Into<String>) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, Self(what.into()))
    }

    /// Returns what is damaged; `None` if the error has another cause.
    pub(in crate::source) fn of(error: &io::Error) -> Option<&str> {
        error.get_ref()?.downcast_ref::<Self>().map(|Self(what)| &**what)
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Damage {}
