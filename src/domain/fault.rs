//! What can fail below the API: the wire that a request takes, and the files that results are written to.
//!
//! These types travel from where something failed to where it is put into words. Nobody in between reads a message to find
//! out what happened.

/// What went wrong on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WireErrorKind {
    /// There is no credential to send.
    Authorization,
    /// The name can't be resolved, nothing listens there, or the way is blocked.
    Connect,
    /// The proxy on the way can't be reached, or opens no way to the server.
    Proxy,
    /// The proxy wants a user name and a password, or refuses those that it was given (407).
    ProxyAuth,
    /// The way is not safe: certificates or the TLS handshake fail, or a name leads to an address at which no API is.
    Tls,
    /// The whole request took longer than `--timeout`.
    Timeout,
    /// Nothing came for longer than `--idle-timeout`.
    Idle,
    /// The connection broke after the request may have been sent.
    Broken,
    /// The body is larger than allowed.
    TooLarge,
}

impl WireErrorKind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::Authorization,
        Self::Connect,
        Self::Proxy,
        Self::ProxyAuth,
        Self::Tls,
        Self::Timeout,
        Self::Idle,
        Self::Broken,
        Self::TooLarge,
    ];
}

/// Why lines can't be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteFault {
    /// What they were written to.
    pub target: WriteTarget,
    /// What is wrong with it.
    pub cause: WriteCause,
    /// Which operation failed on what, and what the system said.
    pub message: String,
}

/// What lines are written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteTarget {
    /// A file: the results, the error log, or a file of the run folder.
    File,
    /// Standard output.
    StandardOutput,
}

/// What is wrong with the place that lines are written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteCause {
    /// The disk, a quota or a size limit is full.
    Full,
    /// The reader of the pipe is gone.
    ReaderGone,
    /// Anything else.
    Other,
}
