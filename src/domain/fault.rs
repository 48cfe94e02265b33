//! Faults that do not come from the API: faults of connections to the API, and faults of the files that the run writes.
//!
//! A function that fails returns one of these types. The caller sees from the type what happened, so no code has to
//! read a message. The code that writes messages for people also uses the types of this module.

/// The kinds of faults of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WireErrorKind {
    /// The program has no credential (key or token) to send with the request.
    Authorization,
    /// The name of the server can't be resolved, no program listens at the address, or the network blocks the
    /// connection.
    Connect,
    /// The proxy can't be reached, or does not connect to the server.
    Proxy,
    /// The proxy asks for a user name and a password, or rejects the ones that the program sent (407).
    ProxyAuth,
    /// The connection is not safe. A certificate is not valid, the TLS handshake fails, or the name resolves to an
    /// address that can't belong to the API.
    Tls,
    /// The whole request took longer than `--timeout`.
    Timeout,
    /// The server sent nothing for longer than `--idle-timeout`.
    Idle,
    /// The connection broke, and the request has possibly reached the server.
    Broken,
    /// The body of the response is larger than allowed.
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

/// The reason why lines can't be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteFault {
    /// The kind of target that the lines should be written to.
    pub target: WriteTarget,
    /// The reason why lines can't be written to the target.
    pub cause: WriteCause,
    /// A text that names the failed operation and its target, and contains the message of the operating system.
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

/// The reasons why lines can't be written to their target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteCause {
    /// The disk is full, or a quota or size limit is reached.
    Full,
    /// The target is a pipe, and its reader has closed the pipe.
    ReaderGone,
    /// Anything else.
    Other,
}
