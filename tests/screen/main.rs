//! What the real program shows on a pseudo-terminal: while the size of the terminal changes at random, and in the pictures
//! of the README.

#![cfg(all(unix, feature = "sim"))]

mod pictures;
#[path = "../security/loops/terminal/pty.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod pty;
mod resizing;
mod svg;
mod window;
