//! Handles signals during the preparation of a run. The preparation reads the input for the first time, opens the
//! files, and fetches the key.
//!
//! The preparation runs on the program's main thread. From time to time, the preparation checks whether it should end
//! ([`Progress`]). Meanwhile, another thread receives the signals. This thread runs the runtime that the loop will use
//! later. The signals have the same meaning as during the run. When the first signal asks the program to stop, the
//! preparation ends at the next row, because no request is in flight. A second stop signal, or the end of the grace
//! period (the time allowed for ending), ends the program immediately.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::LoopThread;
use super::signals::{GRACE, INT, Meaning, Signals};

/// The progress of a survey (the first reading of the input), and whether the survey should end.
#[derive(Debug, Default)]
pub struct Progress {
    rows: AtomicU64,
    /// The number of the signal that asked the survey to end; 0 if there is no such signal.
    ended_by: AtomicI32,
}

impl Progress {
    /// Counts a row, and returns whether the survey should continue.
    pub(crate) fn on_row(&self) -> bool {
        self.rows.fetch_add(1, Ordering::Relaxed);
        self.ended_by().is_none()
    }

    /// Returns the number of rows that the survey has read.
    pub(crate) fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Returns the number of the signal that asked the survey to end; `None` if there is no such signal.
    pub(crate) fn ended_by(&self) -> Option<i32> {
        Some(self.ended_by.load(Ordering::Acquire)).filter(|signal| *signal != 0)
    }

    /// Asks the survey to end at the next row.
    pub(crate) fn end(&self, signal: i32) {
        self.ended_by.store(signal, Ordering::Release);
    }
}

/// The meaning of a signal that comes before a run has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Show the status.
    Status,
    /// Read the settings again when the run begins.
    Steer,
    /// End the program immediately because of this signal. Either the signal came twice, or the grace period (the time
    /// allowed for ending) is over.
    EndNow(i32),
}

/// The thread that receives signals before a run begins. The thread ends when this value is dropped.
pub(crate) struct EarlySignals {
    release: oneshot::Sender<()>,
    thread: JoinHandle<(LoopThread, Signals)>,
}

impl EarlySignals {
    /// Starts to catch signals. After a signal, the preparation must end within the time `grace`. If `grace` is `None`,
    /// the kind of signal decides how much time the preparation has. The first signal that asks for an end is recorded
    /// in `progress`. `on_heard` is called for all other signals.
    ///
    /// # Errors
    /// Returns the operating system's error if a signal handler can't be installed or a thread can't be started.
    pub(crate) fn start(
        grace: Option<Duration>,
        progress: Arc<Progress>,
        on_heard: impl FnMut(Heard) + Send + 'static,
    ) -> io::Result<Self> {
        let thread = LoopThread::new()?;
        let signals = {
            let _entered = thread.enter();
            Signals::install()?
        };
        let (release, released) = oneshot::channel();
        let hearing = hear(signals, progress, grace, released, on_heard);
        let run = move || {
            let signals = thread.run(hearing);
            (thread, signals)
        };
        let thread = std::thread::Builder::new().name("signals".to_owned()).spawn(run)?;
        Ok(Self { release, thread })
    }

    /// Ends the thread that receives signals. Returns the runtime of the thread, and the signals. If a signal has asked
    /// for an end, the signal is recorded in the progress.
    pub(crate) fn release(self) -> (LoopThread, Signals) {
        // Sending fails only if the other thread has panicked.
        let _ = self.release.send(());
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

async fn hear(
    mut signals: Signals,
    progress: Arc<Progress>,
    grace: Option<Duration>,
    mut released: oneshot::Receiver<()>,
    mut on_heard: impl FnMut(Heard),
) -> Signals {
    let mut cut_at = None;
    loop {
        let overdue = async {
            match cut_at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let meaning = tokio::select! {
            // The preparation is over when `released` gets a message, or when its sender is dropped.
            _ = &mut released => return signals,
            meaning = signals.next() => meaning,
            () = overdue => {
                cut_at = None;
                progress.ended_by().into_iter().for_each(|signal| on_heard(Heard::EndNow(signal)));
                continue;
            }
        };
        match (meaning, progress.ended_by()) {
            (Meaning::Status, _) => on_heard(Heard::Status),
            (Meaning::Steer, _) => {
                signals.steer_later();
                on_heard(Heard::Steer);
            }
            (Meaning::End(_), Some(first)) => on_heard(Heard::EndNow(first)),
            (Meaning::End(signal), None) => {
                progress.end(signal);
                let grace = grace.or((signal != INT).then_some(GRACE));
                cut_at = grace.map(|grace| Instant::now() + grace);
            }
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::sync::mpsc;

    use rustix::process::{Signal, getpid, kill_process};

    use super::*;

    /// This module has only one test, because a signal is sent to the whole process.
    #[test]
    fn signals_have_the_same_meaning_before_a_run_and_during_it() {
        let (heard_in, heard) = mpsc::channel();
        let progress = Arc::new(Progress::default());
        let on_heard = move |heard| heard_in.send(heard).expect("it is read");
        let early = EarlySignals::start(Some(Duration::from_secs(3_600)), progress.clone(), on_heard)
            .expect("handlers can be installed");
        let send = |signal| kill_process(getpid(), signal).expect("it is caught");

        send(Signal::USR1);
        let status = heard.recv();
        send(Signal::USR2);
        let steer = heard.recv();
        let goes_on = progress.on_row();
        send(Signal::TERM);
        while progress.on_row() {
            std::thread::yield_now();
        }
        let ended_by = progress.ended_by();
        send(Signal::TERM);
        let cut = heard.recv();
        let (thread, signals) = early.release();
        let (interrupts, _kept) = crate::runner::signals::channel();
        let (asked_in, mut asked) = tokio::sync::mpsc::unbounded_channel();
        {
            let _entered = thread.enter();
            signals.send_to(interrupts, Box::new(move || asked_in.send(()).expect("it is read")));
        }
        let reread = thread.run(async move { asked.recv().await });

        assert_eq!((status, steer, goes_on), (Ok(Heard::Status), Ok(Heard::Steer), true));
        assert_eq!((ended_by, cut), (Some(15), Ok(Heard::EndNow(15))));
        assert_eq!(reread, Some(()), "when the run begins, it does what was asked for earlier");
    }
}
