//! Runs the real program on a pseudo-terminal. Some tests change the size of the terminal, and the other tests compare
//! the screen with the pictures of the README.

#![cfg(all(unix, feature = "sim"))]

mod pictures;
#[path = "../security/loops/terminal/pty.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod pty;
mod resizing;
mod svg;
mod window;
