//! The current settings of a run, and changes to these settings.

use std::sync::Arc;

use anyhow::{Result, bail};
use jiff::civil::DateTime;

use super::settings;
use crate::catalog::Catalog;
use crate::cli::args::steered::{Change, Setting};
use crate::cli::config::Config;
use crate::cli::parts;
use crate::domain::{SteeredBy, causes};
use crate::report::text::escape;
use crate::runner::input::Survey;
use crate::runner::{Applied, Order, Steer};
use crate::scheduler::Steering;
use crate::watch::schedule::Schedule;

/// A function that reads the settings from the flags, the environment and the files.
type Reread = Box<dyn Fn() -> Result<Config> + Send>;

/// An order for the loop, or the reason why a change was rejected.
pub(super) type SteerResult = Result<Steer, String>;

/// The current settings of a run.
pub(super) struct CurrentSettings {
    /// The settings from the flags, the environment and the files, as the program last read them.
    base: Config,
    /// The settings that the run uses now.
    current: Config,
    reread: Reread,
    catalog: Arc<Catalog>,
    /// The number of open files that a request in flight needs.
    files: usize,
    /// A model that occurs in the rows and has no price. The inner `None` means that all models have a price. The outer
    /// `None` means that the rows are not known, because the input is a pipe.
    unpriced: Option<Option<Arc<str>>>,
    /// The windows of `--schedule` (periods with other settings). The `bool` says whether the window was open when the
    /// thread last looked at the clock.
    windows: Vec<(Schedule<Change>, bool)>,
}

impl CurrentSettings {
    /// Returns the settings at the start of a run. Until the thread first looks at the clock, all windows of the
    /// schedule count as closed.
    pub(super) fn new(
        config: Config,
        reread: Reread,
        catalog: Arc<Catalog>,
        files: usize,
        survey: Option<&Survey>,
    ) -> Self {
        let unpriced =
            |survey: &Survey| survey.models.iter().find(|(_, sum)| sum.unpriced > 0).map(|(model, _)| model.clone());
        let windows = config.watch.schedule.iter().map(|window| (window.clone(), false)).collect();
        let (base, current) = (config.clone(), config);
        Self { base, current, reread, catalog, files, unpriced: survey.map(unpriced), windows }
    }

    /// Changes settings.
    ///
    /// # Errors
    /// If the changes are rejected, returns the reason and leaves all settings unchanged.
    pub(super) fn set(&mut self, changes: &[Change], by: SteeredBy) -> SteerResult {
        let settings: Vec<Setting> = changes.iter().filter_map(|change| self.wanted(*change, by)).collect();
        match self.adopt(&settings) {
            Ok((steering, told)) => Ok(order(Order::Set(steering), by, told)),
            Err(error) => Err(format!("the run keeps its settings: {}", causes(error.as_ref()))),
        }
    }

    /// Reads the files with settings again. Changes a setting only if its value in a file is different from the value
    /// at the last reading.
    pub(super) fn reread(&mut self) -> SteerResult {
        self.try_reread().map_err(|error| {
            format!("the run keeps its settings, because they can't be read again: {}", causes(error.as_ref()))
        })
    }

    /// Compares the windows of the schedule with the time `at`. Returns what the run must change because windows have
    /// opened or closed since the last call.
    pub(super) fn follow_clock(&mut self, at: DateTime) -> Vec<SteerResult> {
        let states: Vec<bool> = self.windows.iter().map(|(window, _)| window.is_open(at)).collect();
        let is_moved = |(place, is_open): (usize, &bool)| (self.windows[place].1 != *is_open).then_some(place);
        let moved: Vec<usize> = states.iter().enumerate().filter_map(is_moved).collect();
        self.windows.iter_mut().zip(states).for_each(|((_, was_open), is_open)| *was_open = is_open);
        let mut changes: Vec<Change> = Vec::new();
        for change in moved.iter().flat_map(|place| &self.windows[*place].0.settings) {
            let change = self.of_schedule(change.name);
            changes.retain(|earlier| earlier.name != change.name);
            changes.push(change);
        }
        let mut turns = Vec::new();
        if !changes.is_empty() {
            turns.push(self.set(&changes, SteeredBy::Schedule));
        }
        if moved.iter().any(|place| self.windows[*place].0.is_pause) {
            let is_pause = self.windows.iter().any(|(window, is_open)| *is_open && window.is_pause);
            let pause_or_resume = if is_pause { Order::Pause } else { Order::Resume };
            turns.push(Ok(order(pause_or_resume, SteeredBy::Schedule, String::new())));
        }
        turns
    }

    /// Returns the value that this setting has now in the schedule. If several open windows contain the setting, the
    /// last window on the command line counts. If no open window contains the setting, the field `to` of the result is
    /// `None`. `None` means that the value from flags and files is used.
    fn of_schedule(&self, name: &'static str) -> Change {
        let open = self.windows.iter().rev().filter(|(_, is_open)| *is_open);
        let found = open.flat_map(|(window, _)| &window.settings).find(|change| change.name == name);
        found.copied().unwrap_or(Change { name, to: None })
    }

    fn wanted(&self, change: Change, by: SteeredBy) -> Option<Setting> {
        match change.to {
            Some(setting) if by == SteeredBy::Schedule => Some(settings::capped(setting, &self.base)),
            Some(setting) => Some(setting),
            None => settings::named(&self.base, change.name),
        }
    }

    fn try_reread(&mut self) -> Result<Steer> {
        let read = (self.reread)()?;
        let pairs = settings::of(&self.base).into_iter().zip(settings::of(&read));
        let changed: Vec<Setting> = pairs.filter(|(before, after)| before != after).map(|(_, after)| after).collect();
        let (steering, told) = self.adopt(&changed)?;
        self.base = read;
        let message = match changed.is_empty() {
            true => "settings read again: limits, concurrency and budget are as before".to_owned(),
            false => format!("settings read again: {told}"),
        };
        Ok(order(Order::Set(steering), SteeredBy::Signal, message))
    }

    /// Checks the changed settings, and makes them the current settings. Returns all current settings for the
    /// scheduler, and words that describe the change.
    fn adopt(&mut self, changed: &[Setting]) -> Result<(Box<Steering>, String)> {
        let mut wanted = self.current.clone();
        changed.iter().for_each(|setting| settings::put(*setting, &mut wanted));
        check_prices(&wanted, self.unpriced.as_ref(), self.current.max_cost.is_some())?;
        let steering = Steering {
            limits_of: parts::limits_of(&wanted, &self.catalog),
            by_hand: wanted.limits,
            headroom: parts::headroom(&wanted),
            window: parts::window(&wanted, self.files)?,
            max_cost: wanted.max_cost,
            max_requests: wanted.max_requests,
            max_time: wanted.max_time,
        };
        let told = changed.iter().map(|setting| told(*setting, &self.current)).collect::<Vec<_>>().join(", ");
        self.current = wanted;
        Ok((Box::new(steering), told))
    }
}

fn order(order: Order, by: SteeredBy, message: String) -> Steer {
    Steer { order, by, message, applied: Applied::ignored() }
}

/// Returns the value of a setting and its earlier value, in words.
fn told(setting: Setting, before: &Config) -> String {
    let (name, shown) = (setting.name(), settings::shown(setting));
    match settings::named(before, name).map(settings::shown) {
        Some(before) if before != shown => format!("{name} is {shown} (was {before})"),
        Some(_) | None => format!("{name} is {shown}, as before"),
    }
}

/// Rejects a new budget if a model has no price. `unpriced` is a model without a price. If the input is a pipe,
/// `unpriced` is `None`, because the rows of a pipe are not known.
fn check_prices(config: &Config, unpriced: Option<&Option<Arc<str>>>, was_bounded: bool) -> Result<()> {
    if config.max_cost.is_none() || was_bounded {
        return Ok(());
    }
    let Some(unpriced) = unpriced else {
        bail!(
            "max-cost can't be set during a run whose rows come from a pipe, because their price can be unknown; give \
             --max-cost when you start the run"
        );
    };
    match unpriced {
        Some(model) => bail!("max-cost needs a price for {}; give it with --prices", escape(model)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
