//! Announces a run: where its requests go, what they contain and what they may cost. Before an expensive run, asks
//! whether to start it.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use super::super::{columns, faults, models, say};
use super::new_run::NewRun;
use crate::catalog::Catalog;
use crate::domain::{Expense, Money, PoolId, RateLimits};
use crate::journal::Start;
use crate::report::text::{count, escape, plural};
use crate::runner::input::{ModelSum, Places, Survey};

/// If a run on a terminal may cost more than this, the user is asked first.
const ASK_ABOVE: Money = Money(50 * 1_000_000_000_000);

/// How often to check whether the question was interrupted.
const EVERY: Duration = Duration::from_millis(50);

impl NewRun<'_> {
    /// Prints where requests go, what they contain and what they may cost.
    pub(super) fn announce(&self, survey: Option<&Survey>, catalog: &Catalog) {
        let origin = self.way.words(&self.origin);
        let Some(survey) = survey else {
            let model = self.config.request.model.as_deref().unwrap_or(catalog.default_model());
            self.say(&format!("{origin}, {}: rows from a pipe, whose cost is not known yet", escape(model)));
            models::notes_of_pipe(&self.config).iter().for_each(|text| self.say(text));
            columns::of_templates(&self.plan).iter().for_each(|text| self.say(text));
            if self.paths.results.is_none() {
                self.say(&format!(
                    "results go to standard output, so this run can't be resumed; with -o FILE it could. Rows without \
                     an answer will be in {}",
                    escape(&self.paths.errors.display().to_string())
                ));
            }
            return;
        };
        let models: Vec<_> = survey.models.keys().map(|model| escape(model).into_owned()).collect();
        let models = if models.is_empty() { String::new() } else { format!(", {}", models.join(", ")) };
        let done = match survey.done {
            0 => String::new(),
            rows => format!(" ({} done by earlier runs)", count(rows)),
        };
        self.say(&format!(
            "{origin}{models}: {} to send{done}, {}",
            plural(survey.to_send, "row", "rows"),
            cost_words(&survey.models, catalog)
        ));
        if survey.unusable > 0 {
            faults::before_a_run(survey).iter().for_each(|line| self.say(line));
        }
        if let Some(damage) = &survey.damage {
            self.say(&format!("warning: {}; the rows before it are sent", escape(damage)));
        }
        if survey.to_send > 1 && survey.same == survey.to_send {
            self.say(&format!("warning: all {} rows have the same request", count(survey.to_send)));
        }
        if self.start != Start::Resume {
            let system = self.config.request.system.as_deref();
            columns::lines(&self.plan, survey, system).iter().for_each(|text| self.say(text));
        }
        if let Some(places) = self.places(survey, catalog) {
            self.say(&format!(
                "note: the rows come in phases that use one limit at a time: they are read from {} places in turn, which \
                 should take {:.0} % less time than the order of the file",
                places.count(),
                100.0 * places.share_saved()
            ));
        }
        for (model, limits) in self.substituted(survey, catalog) {
            let RateLimits { rpm, itpm, otpm } = limits;
            let [rpm, itpm, otpm] = [rpm, itpm, otpm].map(|limit| count(limit.unwrap_or(0).into()));
            self.say(&format!(
                "note: tier {} has no published limits for {}; the run begins with its strictest limits ({rpm} requests, {itpm} \
                 input, {otpm} output tokens per minute) until the API reports others",
                self.config.tier.name(),
                escape(&model)
            ));
        }
    }

    /// Returns the places in the input from which the run reads in turn. Returns `None` if reading in turn saves no time
    /// under the limits at the start of the run.
    pub(super) fn places(&self, survey: &Survey, catalog: &Catalog) -> Option<Places> {
        let limits_of = |pool: &PoolId| self.config.limits.or(catalog.limits(self.config.tier, &pool.class).limits);
        survey.layout.advise(&survey.repeats, &limits_of)
    }

    fn substituted(&self, survey: &Survey, catalog: &Catalog) -> Vec<(String, RateLimits)> {
        let limits = |model: &str| catalog.limits(self.config.tier, &catalog.class_of(model));
        let models = survey.models.keys().map(|model| (model.to_string(), limits(model)));
        models.filter(|(_, limits)| limits.substituted).map(|(model, limits)| (model, limits.limits)).collect()
    }

    /// If there are no earlier results and the run is expensive, announces it and asks the user before any file is
    /// created. Returns whether it asked.
    pub(super) fn ask_before_files(&self, survey: Option<&Survey>, catalog: &Catalog) -> Result<bool> {
        let is_new = self.paths.results.as_ref().is_some_and(|results| !results.exists());
        if !is_new || !self.must_ask(survey) {
            return Ok(false);
        }
        self.announce(survey, catalog);
        self.ask(survey).map(|()| true)
    }

    fn must_ask(&self, survey: Option<&Survey>) -> bool {
        // The user is asked even if a file in the working folder sets a cost limit.
        let is_excused = self.config.dry_run || self.config.yes || self.config.has_own_max_cost || self.config.simulate;
        let can_answer = self.config.is_terminal && std::io::stdin().is_terminal();
        let expense = survey.and_then(|survey| expense(&survey.models));
        !is_excused && can_answer && expense.is_some_and(|expense| expense.about > ASK_ABOVE)
    }

    /// Asks before an expensive run, if there is somebody to answer.
    pub(super) fn ask(&self, survey: Option<&Survey>) -> Result<()> {
        let expense = survey.and_then(|survey| expense(&survey.models));
        let Some(Expense { about, most }) = expense.filter(|_| self.must_ask(survey)) else { return Ok(()) };
        say::ask(&format!("This run may cost {}. Continue? [y/N] ", amounts(about, most)));
        let answer = self.answer()?;
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(anyhow!("not started; --yes starts without asking, --max-cost sets a limit")),
        }
    }

    /// Reads the user's answer. An interrupt ends the waiting.
    fn answer(&self) -> Result<String> {
        let (give, answer) = mpsc::channel();
        std::thread::Builder::new().name("answer".to_owned()).spawn(move || {
            let mut line = String::new();
            let read = std::io::stdin().read_line(&mut line).map(|_| line);
            // This fails if nobody waits for the answer any more.
            let _ = give.send(read);
        })?;
        loop {
            match answer.recv_timeout(EVERY) {
                Ok(line) => return line.context("can't read the answer"),
                Err(RecvTimeoutError::Timeout) => self.check_interrupted()?,
                Err(RecvTimeoutError::Disconnected) => return Err(anyhow!("can't read the answer")),
            }
        }
    }
}

/// Returns what the rows cost; `None` if one of them has no price.
fn expense(models: &BTreeMap<Arc<str>, ModelSum>) -> Option<Expense> {
    let mut expense = Expense::default();
    for sum in models.values() {
        if sum.unpriced > 0 {
            return None;
        }
        expense += sum.expense;
    }
    Some(expense)
}

fn cost_words(models: &BTreeMap<Arc<str>, ModelSum>, catalog: &Catalog) -> String {
    match expense(models) {
        Some(Expense { about, most }) => format!("{} (prices of {})", amounts(about, most), catalog.price_date()),
        None => "cost unknown: a model has no price (--prices gives one)".to_owned(),
    }
}

/// Returns the expected and the highest amount as text, or only one if both look the same.
fn amounts(about: Money, most: Money) -> String {
    let (about, most) = (about.to_string(), most.rounded_up().to_string());
    if about == most { format!("at most {most}") } else { format!("about {about}, at most {most}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_amounts_that_look_the_same_are_one() {
        let amounts = |about, most| amounts(Money::from_dollars(about), Money::from_dollars(most));

        assert_eq!(amounts(1.0, 3.021), "about $1.00, at most $3.03");
        assert_eq!(amounts(0.034_45, 0.034_5), "at most $0.0345");
        assert_eq!(amounts(0.000_01, 0.000_1), "about <$0.0001, at most $0.0001");
        assert_eq!(amounts(0.0, 0.0), "at most $0.00");
    }

    #[test]
    fn the_cost_is_unknown_when_one_row_has_no_price() {
        let sum = |dollars, unpriced| {
            let money = Money::from_dollars(dollars);
            ModelSum {
                rows: 9,
                unpriced,
                expense: Expense { about: money, most: money + money },
                ..ModelSum::default()
            }
        };
        let models = |unpriced| BTreeMap::from([("a".into(), sum(1.0, 0)), ("b".into(), sum(0.5, unpriced))]);
        let catalog = Catalog::builtin();

        let priced = cost_words(&models(0), &catalog);
        let unknown = cost_words(&models(1), &catalog);

        assert_eq!(priced, format!("about $1.50, at most $3.00 (prices of {})", catalog.price_date()));
        assert_eq!(unknown, "cost unknown: a model has no price (--prices gives one)");
    }
}
