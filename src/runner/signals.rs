//! Interrupts from the operating system (signals).
//!
//! The program calls [`Signals::install`] before it reads its input, and catches signals from then on. Most signals end
//! a program that does not catch them. If several signals of one kind come before the run receives the first of them,
//! only one of them is kept. If the hang-up signal was already ignored when the program started, for example because of
//! `nohup`, it stays ignored. If the operating system does not show which signals are ignored, the program can't
//! recognize an ignored signal.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::mpsc;

use super::orders::Steer;

#[cfg(unix)]
use tokio::signal::unix::Signal;
#[cfg(windows)]
use tokio::signal::windows::CtrlC as Signal;

/// The number of the signal that Ctrl-C sends.
pub(crate) const INT: i32 = 2;
/// The number of the signal that is sent when the terminal is closed.
#[cfg(unix)]
const HUP: i32 = 1;
/// How long requests in flight can continue after TERM or HUP.
pub(crate) const GRACE: Duration = Duration::from_secs(30);

/// A request to the run from outside.
#[derive(Debug)]
pub enum Interrupt {
    /// The run must end. The value is the number of the signal: INT, TERM or HUP.
    End(i32),
    /// Show the status (signal USR1).
    Status,
    /// An order from the user: to change settings, or to pause, continue or end the run.
    Steer(Steer),
    /// Show this warning to the user, because settings could not be changed.
    Refused(String),
}

/// The function to call when the settings should be read again (signal USR2). The function must return without delay.
pub(crate) type OnReread = Box<dyn FnMut() + Send>;

/// The meaning of a signal for the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The program must end. The value is the number of the signal: INT, TERM or HUP.
    End(i32),
    /// Show the status (signal USR1).
    Status,
    /// Read the settings again (signal USR2).
    Steer,
}

/// The signals that the program catches.
#[derive(Debug)]
pub(crate) struct Signals {
    caught: Vec<(Meaning, Signal)>,
    /// Whether the settings must be read again when the run begins.
    is_steering_due: bool,
}

impl Signals {
    /// Starts to catch signals. Call this inside a runtime. Signals are received as long as that runtime runs.
    ///
    /// # Errors
    /// Returns the operating system's error if a signal handler can't be installed.
    #[cfg(unix)]
    pub(crate) fn install() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        // Without a handler, the signal XFSZ would end the program when a write exceeds the limit on file sizes. If the
        // signal has a handler, a write above this limit returns an error.
        drop(signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?);
        let wanted = [
            (Meaning::End(INT), SignalKind::interrupt()),
            (Meaning::End(15), SignalKind::terminate()),
            (Meaning::End(HUP), SignalKind::hangup()),
            (Meaning::Status, SignalKind::user_defined1()),
            (Meaning::Steer, SignalKind::user_defined2()),
        ];
        let wanted = wanted.into_iter().filter(|(meaning, _)| *meaning != Meaning::End(HUP) || !is_ignored(HUP));
        let caught = wanted.map(|(meaning, kind)| Ok((meaning, signal(kind)?)));
        Ok(Self { caught: caught.collect::<io::Result<_>>()?, is_steering_due: false })
    }

    /// Starts to catch Ctrl-C. Call this inside a runtime. Ctrl-C is received as long as that runtime runs.
    ///
    /// # Errors
    /// Returns the operating system's error if the signal handler can't be installed.
    #[cfg(windows)]
    pub(crate) fn install() -> io::Result<Self> {
        let ctrl_c = tokio::signal::windows::ctrl_c()?;
        Ok(Self { caught: vec![(Meaning::End(INT), ctrl_c)], is_steering_due: false })
    }

    /// Waits for the next signal.
    pub(crate) async fn next(&mut self) -> Meaning {
        poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Meaning> {
        let caught = self.caught.iter_mut();
        let mut heard = caught.filter_map(|(meaning, signal)| signal.poll_recv(context).is_ready().then_some(*meaning));
        heard.next().map_or(Poll::Pending, Poll::Ready)
    }

    /// Makes the run reread its settings as soon as the run begins.
    pub(crate) fn steer_later(&mut self) {
        self.is_steering_due = true;
    }

    /// Starts a task that sends an interrupt to `sender` for each signal. Call this inside a runtime.
    pub(crate) fn send_to(mut self, sender: mpsc::Sender<Interrupt>, mut on_reread: OnReread) {
        tokio::spawn(async move {
            loop {
                let meaning = match std::mem::take(&mut self.is_steering_due) {
                    true => Meaning::Steer,
                    false => self.next().await,
                };
                let interrupt = match meaning {
                    Meaning::End(number) => Interrupt::End(number),
                    Meaning::Status => Interrupt::Status,
                    Meaning::Steer => {
                        on_reread();
                        continue;
                    }
                };
                if sender.send(interrupt).await.is_err() {
                    return;
                }
            }
        });
    }
}

/// Returns a channel for interrupts.
pub(crate) fn channel() -> (mpsc::Sender<Interrupt>, mpsc::Receiver<Interrupt>) {
    mpsc::channel(8)
}

/// Returns whether the signal `number` was ignored when the program started. Only Linux shows which signals are
/// ignored. On systems other than Linux, the result is `false`.
#[cfg(unix)]
fn is_ignored(number: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask & (1 << (number - 1)) != 0
}
