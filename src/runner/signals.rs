//! Interrupts from the operating system.
//!
//! [`Signals`] are caught from the moment they are installed, before anything is read: the system's own answer to most
//! of them is to end the program. What comes while nobody listens is kept, each kind once. A hang-up that whoever started
//! the program wanted ignored, as `nohup` does, stays ignored where the system tells so.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::scheduler::Steering;

#[cfg(unix)]
use tokio::signal::unix::Signal;
#[cfg(windows)]
use tokio::signal::windows::CtrlC as Signal;

/// Number of the signal that Ctrl-C sends.
pub const INT: i32 = 2;
/// Number of the signal for a terminal that is gone.
#[cfg(unix)]
const HUP: i32 = 1;
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

/// What a signal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// End: INT, TERM or HUP, by its number.
    End(i32),
    /// Show the status: USR1.
    Status,
    /// Read the settings again: USR2.
    Steer,
}

/// The signals that are caught.
#[derive(Debug)]
pub struct Signals {
    caught: Vec<(Meaning, Signal)>,
    /// Whether somebody asked for the settings to be read again before they could be used.
    is_steering_due: bool,
}

impl Signals {
    /// Catches signals from here on. Call it inside a runtime; they are heard while that runs.
    ///
    /// # Errors
    /// When the operating system refuses a handler.
    #[cfg(unix)]
    pub fn install() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        // A limit on the size of files is a failed write, as any other, and not a death: catching the signal is enough.
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

    /// Catches Ctrl-C from here on. Call it inside a runtime; it is heard while that runs.
    ///
    /// # Errors
    /// When the operating system refuses a handler.
    #[cfg(windows)]
    pub fn install() -> io::Result<Self> {
        let ctrl_c = tokio::signal::windows::ctrl_c()?;
        Ok(Self { caught: vec![(Meaning::End(INT), ctrl_c)], is_steering_due: false })
    }

    /// Waits for the next signal.
    pub async fn next(&mut self) -> Meaning {
        poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Meaning> {
        let caught = self.caught.iter_mut();
        let mut heard = caught.filter_map(|(meaning, signal)| signal.poll_recv(context).is_ready().then_some(*meaning));
        heard.next().map_or(Poll::Pending, Poll::Ready)
    }

    /// Lets the settings be read again as soon as somebody can use them.
    pub fn steer_later(&mut self) {
        self.is_steering_due = true;
    }

    /// Returns interrupts as they come from here on. Call it inside a runtime. Without a way to read settings again,
    /// USR2 does nothing.
    pub fn interrupts(mut self, mut reread: Option<RereadSettings>) -> mpsc::Receiver<Interrupt> {
        let (sender, receiver) = mpsc::channel(8);
        tokio::spawn(async move {
            loop {
                let meaning = match std::mem::take(&mut self.is_steering_due) {
                    true => Meaning::Steer,
                    false => self.next().await,
                };
                let interrupt = match (meaning, &mut reread) {
                    (Meaning::End(number), _) => Interrupt::End(number),
                    (Meaning::Status, _) => Interrupt::Status,
                    (Meaning::Steer, Some(reread)) => Interrupt::Steer(reread()),
                    (Meaning::Steer, None) => continue,
                };
                if sender.send(interrupt).await.is_err() {
                    return;
                }
            }
        });
        receiver
    }
}

/// Returns whether a signal is ignored since the start of the program. Linux tells; elsewhere it counts as not ignored.
#[cfg(unix)]
fn is_ignored(number: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask & (1 << (number - 1)) != 0
}
