//! Interrupts from the operating system.

use std::time::Duration;

use tokio::sync::mpsc;

/// Number of the signal that Ctrl-C sends.
pub const INT: i32 = 2;
/// How long requests in flight may go on after TERM or HUP.
pub const GRACE: Duration = Duration::from_secs(30);

/// What somebody outside asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupt {
    /// End: INT, TERM or HUP, by its number.
    End(i32),
    /// Show the status: USR1.
    Status,
}

/// Listens for signals from here on. Call it inside a runtime.
///
/// # Errors
/// When the operating system refuses a handler.
#[cfg(unix)]
pub fn listen() -> std::io::Result<mpsc::Receiver<Interrupt>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (sender, receiver) = mpsc::channel(8);
    let wanted = [
        (SignalKind::interrupt(), Interrupt::End(INT)),
        (SignalKind::terminate(), Interrupt::End(15)),
        (SignalKind::hangup(), Interrupt::End(1)),
        (SignalKind::user_defined1(), Interrupt::Status),
    ];
    // A limit on the size of files is a failed write, as any other, and not a death: catching the signal is enough.
    drop(signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?);
    for (kind, interrupt) in wanted {
        let mut signals = signal(kind)?;
        let sender = sender.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                if sender.send(interrupt).await.is_err() {
                    break;
                }
            }
        });
    }
    Ok(receiver)
}

/// Listens for Ctrl-C from here on. Call it inside a runtime.
///
/// # Errors
/// When the operating system refuses a handler.
#[cfg(not(unix))]
pub fn listen() -> std::io::Result<mpsc::Receiver<Interrupt>> {
    let (sender, receiver) = mpsc::channel(8);
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            if sender.send(Interrupt::End(INT)).await.is_err() {
                break;
            }
        }
    });
    Ok(receiver)
}
