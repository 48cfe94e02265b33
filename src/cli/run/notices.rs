//! Prepares the notices of a run before the run, and waits for the last notices after the run.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::runtime::Builder;
use tokio::time::{Instant, sleep};

use super::super::config::NoticeTarget;
use super::super::say;
use super::new_run::NewRun;
use crate::domain::Money;
use crate::report::progress::can_redraw;
use crate::report::text::plural;
use crate::report::{ProgressKind, Report, Stats, Verbosity};
use crate::runner::{Meaning, Signals};
use crate::transport::http::NoticePoster;
use crate::transport::proxy_for;
use crate::watch::notices::{NoticeView, Outbox, RunFacts, Target, end_words};

/// The longest time that the program waits for the last notices. Three tries to send a notice take at most 18 s.
const MOST: Duration = Duration::from_secs(20);
/// If the wait is longer than this, a message says what the program waits for.
const SILENT: Duration = Duration::from_secs(1);
/// How often the program checks whether all notices are sent.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A run that takes at least this long shows a notification on the terminal at its end. After a run that is shorter
/// than this, the user is still at the terminal.
const LONG: Duration = Duration::from_secs(60);

impl NewRun<'_> {
    /// Prepares the notices of a run; returns `None` if nobody asked for them. `before` is the money that earlier runs
    /// have spent.
    ///
    /// # Errors
    /// Fails if the proxy or the certificates can't be used.
    pub(super) fn open_notices(&mut self, before: Money) -> Result<Option<NoticeView>> {
        let watch = &self.config.watch;
        if watch.notify.is_empty() {
            return Ok(None);
        }
        let targets = watch.notify.iter().map(|target| self.target(target)).collect::<Result<_>>()?;
        let outbox = Outbox::open(targets, watch.notify_secret.clone()).context("can't start a thread for notices")?;
        let outbox = Arc::new(outbox);
        let facts = RunFacts { before, ..self.facts() };
        let view = NoticeView::new(&watch.notify_on, facts, watch.notify_format, outbox.clone());
        self.outbox = Some(outbox);
        Ok(Some(view))
    }

    fn facts(&self) -> RunFacts {
        let results = self.paths.results.as_deref();
        let file_name = results.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        RunFacts {
            name: file_name.unwrap_or_else(|| self.input_names()),
            results: results.map(|path| path.display().to_string()),
            before: Money::ZERO,
            max_cost: self.config.max_cost,
            outside: self.part.outside,
        }
    }

    fn target(&self, target: &NoticeTarget) -> Result<Target> {
        Ok(match target {
            NoticeTarget::Command(command) => Target::Command(command.clone()),
            NoticeTarget::Url(url) => {
                let variable = |name: &str| self.world.variables.get(OsStr::new(name)).map(|value| value.as_os_str());
                let proxy = if self.config.no_proxy { None } else { proxy_for(url.base(), variable)? };
                let poster = NoticePoster::new(url.clone(), proxy.as_ref(), self.config.ca_pem.as_deref());
                Target::Url(Box::new(poster.with_context(|| format!("--notify {}", url.shown()))?))
            }
        })
    }

    /// Shows a terminal notification that the run is over, and waits until the last notices are sent.
    pub(super) fn end_notices(&self, report: &mut Report) {
        self.ring(report.stats());
        if let Some(outbox) = &self.outbox {
            outbox.close();
            if !outbox.is_done() {
                self.wait_for(outbox);
            }
            let left = outbox.give_up();
            if left > 0 {
                let left = plural(left as u64, "notice was", "notices were");
                self.warn(&[format!("{left} not sent in time; this does not change the run")]);
            }
        }
        self.warn(&report.take_warnings());
    }

    /// Waits until all notices are sent, but no longer than `MOST`. A signal such as Ctrl-C ends the wait.
    fn wait_for(&self, outbox: &Outbox) {
        let Ok(runtime) = Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(async {
            let Ok(mut signals) = Signals::install() else { return };
            let (begun, mut is_told) = (Instant::now(), false);
            while !outbox.is_done() && begun.elapsed() < MOST {
                tokio::select! {
                    meaning = signals.next() => if matches!(meaning, Meaning::End(_)) { return },
                    () = sleep(LOOK_EVERY) => {}
                }
                if begun.elapsed() > SILENT && !std::mem::replace(&mut is_told, true) {
                    self.note(&["the run is complete; waiting until the last notices are sent (Ctrl-C ends the wait)"
                        .to_owned()]);
                }
            }
        });
        runtime.shutdown_background();
    }

    /// Shows a terminal notification at the end of a long run.
    fn ring(&self, stats: &Stats) {
        let is_live = matches!(self.config.progress, ProgressKind::Auto | ProgressKind::Tty);
        let may_ring = is_live && self.config.is_terminal && self.config.verbosity != Verbosity::Quiet && can_redraw();
        if may_ring && stats.elapsed() >= LONG {
            say::notify_terminal(&end_words(stats, &self.facts()));
        }
    }
}
