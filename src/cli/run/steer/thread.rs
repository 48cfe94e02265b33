//! The thread that changes, pauses or stops a run in progress.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::mpsc as channel;

use super::current::CurrentSettings;
use crate::cli::args::steered::Change;
use crate::domain::{SteeredBy, causes};
use crate::journal::DiskFailure;
use crate::runner::signals::OnReread;
use crate::runner::{Applied, Interrupt, Order, Steer};
use crate::watch::ctl::{Mailbox, Request, Verb};

/// How often the thread looks for a request of `ctl`.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often the thread looks at the clock, for `--schedule`.
const CLOCK_EVERY: Duration = Duration::from_secs(1);

/// A message to the steering thread.
enum Told {
    /// The signal USR2 has arrived: the thread reads the settings again.
    Reread,
    /// The loop has handled a request.
    Applied { id: String, result: Result<String, String> },
    /// The loop has ended.
    End,
}

/// A handle of the steering thread.
pub(crate) struct SteeringThread {
    thread: JoinHandle<()>,
    tell: Sender<Told>,
}

impl SteeringThread {
    /// Starts the steering thread. Also returns a function that makes the thread read the settings again.
    ///
    /// # Errors
    /// Fails if the operating system can't start the thread.
    pub(super) fn start(
        settings: CurrentSettings,
        mailbox: Option<Mailbox>,
        interrupts: channel::Sender<Interrupt>,
    ) -> io::Result<(Self, OnReread)> {
        let (tell, told) = mpsc::channel();
        let (reread, answers) = (tell.clone(), tell.clone());
        let mut steering = SteeringRun { settings, mailbox, interrupts, answers, open: Vec::new() };
        let thread = Builder::new().name("steer".to_owned()).spawn(move || steering.run(&told))?;
        // Sending fails only after the thread has ended. The steering thread ends only when the run ends.
        let on_reread = Box::new(move || drop(reread.send(Told::Reread)));
        Ok((Self { thread, tell }, on_reread))
    }

    /// Ends the steering thread, after the loop has ended. The thread answers all requests that are still open.
    pub(crate) fn end(self) {
        // Sending fails only if the thread has panicked.
        let _ = self.tell.send(Told::End);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    }
}

struct SteeringRun {
    settings: CurrentSettings,
    mailbox: Option<Mailbox>,
    interrupts: channel::Sender<Interrupt>,
    answers: Sender<Told>,
    /// The ids of the requests that the loop has not handled.
    open: Vec<String>,
}

impl SteeringRun {
    fn run(&mut self, told: &mpsc::Receiver<Told>) {
        let mut clock_at = Instant::now() + CLOCK_EVERY;
        loop {
            match told.recv_timeout(LOOK_EVERY) {
                Ok(Told::Reread) => {
                    let turn = self.settings.reread();
                    self.send(turn.map(Interrupt::Steer).unwrap_or_else(Interrupt::Refused));
                }
                Ok(Told::Applied { id, result }) => self.answer(&id, result),
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Told::End) | Err(RecvTimeoutError::Disconnected) => break,
            }
            self.look();
            if Instant::now() >= clock_at {
                clock_at = Instant::now() + CLOCK_EVERY;
                for turn in self.settings.follow_clock(local_time()) {
                    self.send(turn.map(Interrupt::Steer).unwrap_or_else(Interrupt::Refused));
                }
            }
        }
        self.close();
    }

    /// Looks for a request of `ctl`, and passes it to the loop.
    fn look(&mut self) {
        let Some(mailbox) = &mut self.mailbox else { return };
        match mailbox.next() {
            Ok(Some(request)) => self.obey(request),
            Ok(None) => {}
            Err(failure) => self.tell(&failure),
        }
    }

    fn obey(&mut self, request: Request) {
        let order = match (request.verb, &request.setting) {
            (Verb::Pause, _) => Ok((Order::Pause, String::new())),
            (Verb::Resume, _) => Ok((Order::Resume, String::new())),
            (Verb::Drain, _) => Ok((Order::Drain, String::new())),
            (Verb::Stop, _) => Ok((Order::Stop, String::new())),
            (Verb::Set, Some((name, value))) => Change::of(name, value)
                .and_then(|change| self.settings.set(&[change], SteeredBy::Ctl))
                .map(|steer| (steer.order, steer.message)),
            (Verb::Set, None) => Err("the name of a setting is missing".to_owned()),
        };
        match order {
            Ok((order, message)) => {
                let (answers, id) = (self.answers.clone(), request.id.clone());
                let applied = Applied::tell(move |result| drop(answers.send(Told::Applied { id, result })));
                self.open.push(request.id);
                self.send(Interrupt::Steer(Steer { order, by: SteeredBy::Ctl, message, applied }));
            }
            Err(why) => self.answer(&request.id, Err(why)),
        }
    }

    fn answer(&mut self, id: &str, result: Result<String, String>) {
        self.open.retain(|open| open != id);
        let Some(mailbox) = &mut self.mailbox else { return };
        if let Err(failure) = mailbox.answer(id, result) {
            self.tell(&failure);
        }
    }

    /// Prints a warning: `ctl` possibly can't reach this run, because the mailbox can't be used.
    fn tell(&self, failure: &DiskFailure) {
        self.send(Interrupt::Refused(format!("ctl possibly can't reach this run: {}", causes(failure))));
    }

    fn send(&self, interrupt: Interrupt) {
        // Sending fails only if the loop has ended. After the end of the loop, `close` answers the requests that the
        // loop did not handle.
        let _ = self.interrupts.blocking_send(interrupt);
    }

    /// Answers the requests that were not handled before the end of the run, and closes the mailbox.
    fn close(&mut self) {
        let Some(mut mailbox) = self.mailbox.take() else { return };
        let last = mailbox.next().ok().flatten().map(|request| request.id);
        for id in std::mem::take(&mut self.open).into_iter().chain(last) {
            // A failure is ignored, because the run has ended and can't report it.
            let _ = mailbox.answer(&id, Err("the run ended before it carried out this command".to_owned()));
        }
        mailbox.close();
    }
}

/// Returns the local time of the system's clock.
pub(super) fn local_time() -> jiff::civil::DateTime {
    jiff::ZonedDateTime::now().datetime()
}
