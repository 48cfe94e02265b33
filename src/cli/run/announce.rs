//! What is said before a run: where requests go, what they are, what they may cost, and whether to go on.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use super::super::{columns, say};
use super::NewRun;
use crate::catalog::Catalog;
use crate::domain::{Money, PoolId, RateLimits, Usage};
use crate::report::text::{count, escape, plural};
use crate::runner::input::{ModelSum, Places, Survey};

/// A run on a terminal that may cost more than this asks first.
const ASK_ABOVE: Money = Money(50 * 1_000_000_000_000);
/// Output that an estimate expects of a row about which nothing is known.
const EXPECTED_OUTPUT: u64 = 256;

/// How often it is looked whether somebody interrupts the question.
const EVERY: Duration = Duration::from_millis(50);

impl NewRun<'_> {
    /// Says where requests go, what they are and what they may cost.
    pub(super) fn announce(&self, origin: &str, survey: Option<&Survey>, catalog: &Catalog) {
        let origin = self.way.words(origin);
        let Some(survey) = survey else {
            let model = self.config.request.model.as_deref().unwrap_or(catalog.default_model());
            self.say(&format!("{origin}, {}: rows from a pipe, cost unknown until they come", escape(model)));
            if self.paths.results.is_none() {
                self.say(&format!(
                    "results go to standard output, so this run can't be continued; with -o FILE it could. Rows without \
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
            let first = survey.unusable_shown.first().map(|text| escape(text)).unwrap_or_default();
            let rows = plural(survey.unusable, "row", "rows");
            self.say(&format!("{rows} can't be sent and will be in the error log; the first: {first}"));
        }
        if survey.to_send > 1 && survey.same == survey.to_send {
            self.say(&format!("warning: all {} rows ask the same", count(survey.to_send)));
        }
        let system = self.config.request.system.as_deref();
        columns::notes(&self.plan, system).iter().for_each(|text| self.say(text));
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
                "note: tier {} has no published limits for {}; beginning with its strictest ({rpm} requests, {itpm} \
                 input, {otpm} output tokens a minute) until the API tells",
                self.config.tier.name(),
                escape(&model)
            ));
        }
    }

    /// Returns the places to read from in turn, where that gains time under the limits that the run begins with.
    pub(super) fn places(&self, survey: &Survey, catalog: &Catalog) -> Option<Places> {
        let limits_of = |pool: &PoolId| self.config.limits.or(catalog.limits(self.config.tier, &pool.class).limits);
        survey.layout.advise(&survey.repeats, &limits_of)
    }

    fn substituted(&self, survey: &Survey, catalog: &Catalog) -> Vec<(String, RateLimits)> {
        let limits = |model: &str| catalog.limits(self.config.tier, &catalog.class_of(model));
        let models = survey.models.keys().map(|model| (model.to_string(), limits(model)));
        models.filter(|(_, limits)| limits.substituted).map(|(model, limits)| (model, limits.limits)).collect()
    }

    /// Announces a dear run without earlier results and asks before any file is made. Returns whether it did.
    pub(super) fn ask_first(&self, origin: &str, survey: Option<&Survey>, catalog: &Catalog) -> Result<bool> {
        let is_new = self.paths.results.as_ref().is_some_and(|results| !results.exists());
        if !is_new || !self.must_ask(survey, catalog) {
            return Ok(false);
        }
        self.announce(origin, survey, catalog);
        self.ask(survey, catalog).map(|()| true)
    }

    fn must_ask(&self, survey: Option<&Survey>, catalog: &Catalog) -> bool {
        // A bound that a file in the working folder sets answers no question.
        let is_excused = self.config.dry_run || self.config.yes || self.config.has_own_max_cost || self.config.simulate;
        let can_answer = self.config.is_terminal && std::io::stdin().is_terminal();
        let about = survey.and_then(|survey| estimate(&survey.models, catalog));
        !is_excused && can_answer && about.is_some_and(|(about, _)| about > ASK_ABOVE)
    }

    /// Asks before a dear run, where somebody can answer.
    pub(super) fn ask(&self, survey: Option<&Survey>, catalog: &Catalog) -> Result<()> {
        let about = survey.and_then(|survey| estimate(&survey.models, catalog));
        let Some((about, _)) = about.filter(|_| self.must_ask(survey, catalog)) else { return Ok(()) };
        say::ask(&format!("This run may cost about {about}. Go on? [y/N] "));
        let answer = self.answer()?;
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(anyhow!("not started; --yes starts without asking, --max-cost sets a bound")),
        }
    }

    /// Reads an answer, and listens for an interrupt meanwhile.
    fn answer(&self) -> Result<String> {
        let (give, answer) = mpsc::channel();
        std::thread::Builder::new().name("answer".to_owned()).spawn(move || {
            let mut line = String::new();
            let read = std::io::stdin().read_line(&mut line).map(|_| line);
            // Nobody waits for it any more.
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

/// Returns what rows may cost: about, and at most; `None` when a model has no price.
fn estimate(models: &BTreeMap<Arc<str>, ModelSum>, catalog: &Catalog) -> Option<(Money, Money)> {
    let mut about = Money::ZERO;
    let mut most = Money::ZERO;
    for (model, sum) in models {
        let expected = (sum.rows * EXPECTED_OUTPUT).min(sum.max_output_tokens);
        about += catalog.worst_cost(model, 0, expected)?;
        most += catalog.worst_cost(model, 0, sum.max_output_tokens)?;
        let usage = Usage { input_tokens: sum.input_tokens / sum.rows.max(1), ..Default::default() };
        let input = catalog.cost(model, &usage)?.times(sum.rows);
        about += input;
        most += input;
    }
    Some((about, most))
}

fn cost_words(models: &BTreeMap<Arc<str>, ModelSum>, catalog: &Catalog) -> String {
    match estimate(models, catalog) {
        Some((about, most)) => format!("about {about}, at most {most} (prices of {})", catalog.price_date()),
        None => "cost unknown: a model has no price (--prices gives one)".to_owned(),
    }
}
