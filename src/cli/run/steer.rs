//! Reads settings again during a run.
//!
//! Flags and environment keep the values from the start of the program. Only files can have changed. Only limits,
//! concurrency and budget take effect. All other settings stay as they were when the run began.

use std::num::NonZeroUsize;
use std::sync::Arc;

use anyhow::{Result, bail};

use super::super::args::values::Concurrency;
use super::super::config::Config;
use super::super::parts;
use super::new_run::NewRun;
use crate::catalog::Catalog;
use crate::domain::causes;
use crate::report::text::{count, escape};
use crate::runner::input::Survey;
use crate::runner::signals::RereadSettings;
use crate::scheduler::Steering;

impl NewRun<'_> {
    /// Returns a function that reads the settings again.
    pub(super) fn reread_settings(&mut self, catalog: &Arc<Catalog>, survey: Option<&Survey>) -> RereadSettings {
        let files = self.files_of_request();
        let reread =
            std::mem::replace(&mut self.reread, Box::new(|| bail!("the settings are already being read again")));
        let unpriced =
            |survey: &Survey| survey.models.iter().find(|(_, sum)| sum.unpriced > 0).map(|(model, _)| model.clone());
        let unpriced = survey.map(unpriced);
        let mut current = self.config.clone();
        let catalog = catalog.clone();
        Box::new(move || {
            let steered = reread().and_then(|config| {
                check_prices(&config, unpriced.as_ref(), current.max_cost.is_some())?;
                Ok((Box::new(steering(&config, &catalog, files)?), config))
            });
            match steered {
                Ok((steering, config)) => {
                    let message = changes(&current, &config);
                    current = config;
                    Ok((steering, message))
                }
                Err(error) => Err(format!(
                    "the run keeps its settings, since they can't be read again: {}",
                    causes(error.as_ref())
                )),
            }
        })
    }
}

fn steering(config: &Config, catalog: &Arc<Catalog>, files: usize) -> Result<Steering> {
    Ok(Steering {
        limits_of: parts::limits_of(config, catalog),
        by_hand: config.limits,
        window: parts::window(config, files)?,
        max_cost: config.max_cost,
        max_requests: config.max_requests,
        max_time: config.max_time,
    })
}

/// Refuses a new budget if a model has no price. `unpriced` is `None` for a pipe, because its rows are not known yet.
fn check_prices(config: &Config, unpriced: Option<&Option<Arc<str>>>, was_bounded: bool) -> Result<()> {
    if config.max_cost.is_none() || was_bounded {
        return Ok(());
    }
    let Some(unpriced) = unpriced else {
        bail!(
            "if the rows come from a pipe, max-cost must be given at the start of the run: their price may be unknown"
        );
    };
    match unpriced {
        Some(model) => bail!("max-cost needs a price for {}: give it with --prices", escape(model)),
        None => Ok(()),
    }
}

/// Returns which settings changed, by their names.
fn changes(before: &Config, after: &Config) -> String {
    let pairs = shown(before).into_iter().zip(shown(after));
    let changed: Vec<_> = pairs
        .filter(|((_, before), (_, after))| before != after)
        .map(|((name, before), (_, after))| format!("{name} is {after} (was {before})"))
        .collect();
    match changed.is_empty() {
        true => "settings read again: limits, concurrency and budget are as before".to_owned(),
        false => format!("settings read again: {}", changed.join(", ")),
    }
}

fn shown(config: &Config) -> [(&'static str, String); 8] {
    let or_none = |shown: Option<String>| shown.unwrap_or_else(|| "not set".to_owned());
    let number = |limit: Option<u32>| or_none(limit.map(|limit| count(limit.into())));
    let concurrency = match config.concurrency {
        Concurrency::Auto => "auto".to_owned(),
        Concurrency::Fixed(most) => count(NonZeroUsize::get(most) as u64),
    };
    [
        ("tier", config.tier.name().to_owned()),
        ("rpm", number(config.limits.rpm)),
        ("itpm", number(config.limits.itpm)),
        ("otpm", number(config.limits.otpm)),
        ("concurrency", concurrency),
        ("max-cost", or_none(config.max_cost.map(|most| most.to_string()))),
        ("max-requests", or_none(config.max_requests.map(count))),
        ("max-time", or_none(config.max_time.map(|most| format!("{most:?}")))),
    ]
}
