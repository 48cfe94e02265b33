//! Interrupts from the operating system.

use std::time::Duration;

use tokio::sync::mpsc;

use crate::scheduler::Steering;

/// Number of the signal that Ctrl-C sends.
pub const INT: i32 = 2;
/// How long requests in flight may go on after TERM or HUP.
pub const GRACE: Duration = Duration::from_secs(30);

/// What somebody outside asks for.
#[derive(Debug)]
pub enum Interrupt {
    /// End: INT, TERM or HUP, by its number.
    End(i32),
    /// Show the status: USR1.
    Status,
    /// Go on with settings that were read again: USR2.
    Steer(Reread),
}

/// What came of reading the settings again, and what to say about it.
pub type Reread = Result<(Box<Steering>, String), String>;
/// Reads the settings again.
pub type RereadSettings = Box<dyn FnMut() -> Reread + Send>;

/// Listens for signals from here on. Call it inside a runtime. Without a way to read settings again, USR2 is left to
/// the system.
///
/// # Errors
/// When the operating system refuses a handler.
#[cfg(unix)]
pub fn listen(reread: Option<RereadSettings>) -> std::io::Result<mpsc::Receiver<Interrupt>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (sender, receiver) = mpsc::channel(8);
    type Meaning = Box<dyn FnMut() -> Interrupt + Send>;
    let end = |number| -> Meaning { Box::new(move || Interrupt::End(number)) };
    let mut wanted: Vec<(SignalKind, Meaning)> = vec![
        (SignalKind::interrupt(), end(INT)),
        (SignalKind::terminate(), end(15)),
        (SignalKind::hangup(), end(1)),
        (SignalKind::user_defined1(), Box::new(|| Interrupt::Status)),
    ];
    if let Some(mut reread) = reread {
        wanted.push((SignalKind::user_defined2(), Box::new(move || Interrupt::Steer(reread()))));
    }
    // A limit on the size of files is a failed write, as any other, and not a death: catching the signal is enough.
    drop(signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?);
    for (kind, mut meaning) in wanted {
        let mut signals = signal(kind)?;
        let sender = sender.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                if sender.send(meaning()).await.is_err() {
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
pub fn listen(_reread: Option<RereadSettings>) -> std::io::Result<mpsc::Receiver<Interrupt>> {
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
