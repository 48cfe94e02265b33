//! Steers a run in progress: changes its settings, pauses the run, or stops the run.
//!
//! The settings of a run can change for three reasons: the command `ctl`, the signal USR2, and `--schedule`. If a
//! setting was changed several times, the latest change is used. One thread ([`thread`]) handles all changes, so no
//! locks are needed. The thread owns the current settings ([`current`]). The thread sends its orders to the loop
//! through the channel of interrupts.

mod current;
mod settings;
mod thread;

use anyhow::{Result, bail};

use super::new_run::NewRun;
use super::send::Known;
use crate::journal::{DiskFailure, Owners, RealDisk};
use crate::runner::Interrupt;
use crate::runner::signals::OnReread;
use crate::watch::ctl::{Mailbox, random_id};

use tokio::sync::mpsc;

use current::CurrentSettings;
pub(super) use thread::SteeringThread;
use thread::local_time;

impl NewRun<'_> {
    /// Starts the thread that handles the requests of `ctl` and the times of `--schedule`. This function also sends the
    /// settings that the schedule has at the start of the run. Returns the thread, and a function for the signal USR2.
    pub(super) fn start_steering(
        &mut self,
        known: &Known,
        interrupts: mpsc::Sender<Interrupt>,
    ) -> Result<(SteeringThread, OnReread)> {
        let (catalog, _, survey) = known;
        let reread =
            std::mem::replace(&mut self.reread, Box::new(|| bail!("the settings are already being read again")));
        let files = self.files_of_request();
        let mut settings = CurrentSettings::new(self.config.clone(), reread, catalog.clone(), files, survey.as_ref());
        let mailbox = match self.open_mailbox() {
            Ok(mailbox) => mailbox,
            Err(why) => {
                // Sending can't fail, because the channel is still empty.
                let _ = interrupts.try_send(Interrupt::Refused(format!("ctl can't reach this run: {why}")));
                None
            }
        };
        for steer in settings.follow_clock(local_time()) {
            let _ = interrupts.try_send(match steer {
                Ok(steer) => Interrupt::Steer(steer),
                Err(message) => Interrupt::Refused(message),
            });
        }
        Ok(SteeringThread::start(settings, mailbox, interrupts)?)
    }

    /// Opens the mailbox for `ctl` in the run folder; `None` without a run folder.
    fn open_mailbox(&self) -> Result<Option<Mailbox>, String> {
        let Some(folder) = self.paths.folder() else { return Ok(None) };
        let process = random_id().ok_or("the system has no random numbers")?;
        // Even with --trust-owner, a file is accepted as a request only if it belongs to this user.
        let disk = std::sync::Arc::new(RealDisk::new(Owners::Own));
        let opened = Mailbox::open(disk, &folder, process);
        opened.map(Some).map_err(|failure: DiskFailure| crate::domain::causes(&failure))
    }
}
