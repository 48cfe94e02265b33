//! Faults that do not come from the API: faults of the connection that carries a request, and of the files that results
//! are written to.
//!
//! A function that fails returns one of these types. Its callers can see from the type what happened, and never have to
//! read a message. The code that makes messages for people gets the type too.

/// What went wrong on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WireErrorKind {
    /// There is no credential to send.
    Authorization,
    /// The name can't be resolved, nothing listens at the address, or the network blocks the connection.
    Connect,
    /// The proxy can't be reached, or does not connect to the server.
    Proxy,
    /// The proxy asks for a user name and a password, or refuses the name and the password that were sent (407).
    ProxyAuth,
    /// The connection is not safe: a certificate is not valid, the TLS handshake fails, or a name resolves to an
    /// address that can't belong to the API.
    Tls,
    /// The whole request took longer than `--timeout`.
    Timeout,
    /// Nothing came for longer than `--idle-timeout`.
    Idle,
    /// The connection broke, and the request may already have been sent.
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
    /// The target of the lines.
    pub target: WriteTarget,
    /// What is wrong with the target.
    pub cause: WriteCause,
    /// Which operation failed, on which target, and the message of the system.
    pub message: String,
}

/// The kind of target that lines are written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteTarget {
    /// A file: the results, the error log, or a file of the run folder.
    File,
    /// Standard output.
    StandardOutput,
}

/// What is wrong with the target of the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteCause {
    /// The disk is full, or a quota or size limit is reached.
    Full,
    /// The reader of the pipe has closed it.
    ReaderGone,
    /// Anything else.
    Other,
}
