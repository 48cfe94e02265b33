//! The settings for watching and steering a run.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};
use secrecy::{ExposeSecret, SecretString};

use super::world::{NOTIFY_SECRET, SECRET_VARIABLES, World};
use crate::cli::args::groups::WatchArgs;
use crate::cli::args::steered::Change;
use crate::cli::args::values::Notify;
use crate::report::text::escape;
use crate::transport::{NoticeUrl, parse_notice_url};
use crate::watch::notices::{CommandTarget, NoticeForm, NoticeRule, SHORTEST_SECRET};
use crate::watch::schedule::Schedule;

/// A target of notices. The `Debug` form of a target shows no address and no arguments.
#[derive(Clone, Debug)]
pub enum NoticeTarget {
    /// An address that gets each notice by HTTP.
    Url(NoticeUrl),
    /// A program that is run for each notice.
    Command(CommandTarget),
}

/// The settings for watching a run and changing its settings while it runs.
#[derive(Clone, Debug, Default)]
pub struct WatchConfig {
    /// The targets of notices; empty for commands that do not run rows, because they send no notices.
    pub notify: Vec<NoticeTarget>,
    /// The events that cause notices.
    pub notify_on: Vec<NoticeRule>,
    /// The form of the notices that are sent to addresses.
    pub notify_format: NoticeForm,
    /// The secret that signs the notices that are sent to addresses.
    pub notify_secret: Option<SecretString>,
    /// The changes that `--schedule` makes to settings at certain times.
    pub schedule: Vec<Schedule<Change>>,
    /// The file to which each event is written.
    pub log: Option<PathBuf>,
    asked: Vec<Notify>,
}

impl WatchConfig {
    pub(super) fn of(args: WatchArgs) -> Self {
        let WatchArgs { notify, notify_on, notify_format, schedule, log } = args;
        Self {
            notify: Vec::new(),
            notify_on: if notify_on.is_empty() { NoticeRule::DEFAULT.into() } else { notify_on },
            notify_format: notify_format.unwrap_or_default(),
            notify_secret: None,
            schedule,
            log,
            asked: notify,
        }
    }

    /// Reads each address that is in an environment variable, and checks all addresses. `key_variables` are removed
    /// from the environment of the programs that get notices. Returns warnings.
    ///
    /// # Errors
    /// Fails if an address can't be used, or if its variable is missing. The message does not show the address.
    pub(super) fn find_targets(
        &mut self,
        has_budget: bool,
        allow_http: bool,
        key_variables: &[String],
        world: &World,
    ) -> Result<Vec<String>> {
        let asked = std::mem::take(&mut self.asked);
        let without: Vec<String> = SECRET_VARIABLES
            .into_iter()
            .chain(key_variables.iter().map(String::as_str))
            .chain(asked.iter().filter_map(|asked| match asked {
                Notify::Variable(name) => Some(name.as_str()),
                Notify::Url(_) | Notify::Command(_) => None,
            }))
            .map(str::to_owned)
            .collect();
        let find = |asked: &Notify| target(asked, &without, allow_http, world);
        self.notify = asked.iter().map(find).collect::<Result<_>>()?;
        if self.notify.is_empty() {
            return Ok(Vec::new());
        }
        let secret = world.variable(NOTIFY_SECRET)?;
        self.notify_secret = secret.map(SecretString::from);
        let is_short = secret.is_some_and(|secret| secret.chars().count() < SHORTEST_SECRET);
        let short = is_short.then(|| {
            format!(
                "{NOTIFY_SECRET} has fewer than {SHORTEST_SECRET} characters, so others can guess it; use a longer \
                 secret"
            )
        });
        let asks_for_budget = self.notify_on.iter().any(|rule| matches!(rule, NoticeRule::Budget(_)));
        let budget = (asks_for_budget && !has_budget).then(|| {
            "--notify-on budget=… has no effect without --max-cost; add --max-cost, or leave out budget=…".to_owned()
        });
        Ok(short.into_iter().chain(budget).collect())
    }

    /// Returns the parts of the settings that must not be shown.
    pub(crate) fn secrets(&self) -> Vec<SecretString> {
        let addresses = self.notify.iter().filter_map(|target| match target {
            NoticeTarget::Url(url) => Some(url.secret()),
            NoticeTarget::Command(_) => None,
        });
        addresses.chain(self.notify_secret.clone()).collect()
    }
}

fn target(asked: &Notify, without: &[String], allow_http: bool, world: &World) -> Result<NoticeTarget> {
    match asked {
        Notify::Url(url) => {
            let url = parse_notice_url(url.expose_secret(), allow_http);
            url.map(NoticeTarget::Url).map_err(|error| anyhow!("--notify: {error}"))
        }
        Notify::Variable(name) => {
            let shown = escape(name);
            let value = world.variable(name).with_context(|| format!("--notify env:{shown}"))?;
            let Some(value) = value else {
                bail!("--notify env:{shown}: the variable {shown} is not set or is empty; set it to the address")
            };
            let url = parse_notice_url(value, allow_http);
            url.map(NoticeTarget::Url).map_err(|error| anyhow!("--notify env:{shown}: {error}"))
        }
        Notify::Command(command) => Ok(NoticeTarget::Command(CommandTarget {
            words: command.split_whitespace().map(str::to_owned).collect(),
            folder: world.working_folder.clone(),
            without: without.to_vec(),
        })),
    }
}
