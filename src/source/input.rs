//! The input that rows come from: a file, text files, or a pipe.

use std::path::PathBuf;

use super::texts::Texts;

/// The input that rows come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A file, or something else with a path. A named pipe is read as a stream.
    File(PathBuf),
    /// The text files of a folder or of a pattern.
    Texts(Texts),
    /// Standard input.
    Stdin,
    /// A pipe that was read before and copied to a file ([`super::Options::spool`]).
    Spooled {
        /// The name of the pipe, for messages.
        name: String,
        /// The file.
        path: PathBuf,
    },
}

impl Input {
    /// Returns the name of the input for messages: the path as given, or `stdin`.
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Texts(texts) => texts.name().to_owned(),
            Self::Stdin => "stdin".to_owned(),
            Self::Spooled { name, .. } => name.clone(),
        }
    }
}
