//! Announces a run: where its requests are sent, what they contain, and how much they will probably cost. Before an
//! expensive run, asks the user whether to start it.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use jiff::ZonedDateTime;

use super::super::plan::{batch_time_words, cost_words, deadline_words, rows_within, time_words};
use super::super::purse::Purse;
use super::super::{answer_notes, caching, columns, faults, models, say};
use super::new_run::NewRun;
use crate::catalog::Catalog;
use crate::domain::{Lane, Money, PoolId, ProviderKind, RateLimits};
use crate::forecast::Forecast;
use crate::journal::Start;
use crate::plan::UnknownModel;
use crate::report::text::{count, escape, plural};
use crate::runner::input::{Places, Survey};

/// If a run at a terminal will probably cost more than this, the user is asked first.
const ASK_ABOVE: Money = Money(50 * 1_000_000_000_000);

/// The time between two checks of whether a signal has interrupted the question.
const EVERY: Duration = Duration::from_millis(50);

impl NewRun<'_> {
    /// Returns the servers as text: the first server, and the names of the fallback providers.
    fn servers(&self) -> String {
        let first = self.connection.words(&self.origin);
        let is_usual = *self.config.provider.name == *ProviderKind::Anthropic.name();
        let first = if is_usual { first } else { format!("{} at {first}", escape(&self.config.provider.name)) };
        let others: Vec<_> =
            self.config.providers().skip(1).map(|provider| escape(&provider.name).into_owned()).collect();
        if others.is_empty() { first } else { format!("{first}, then {}", others.join(", then ")) }
    }

    /// If results go to standard output, says that the run can't be resumed. A `resume` to standard output records
    /// which rows are answered, so it can be resumed.
    fn note_standard_output(&self) {
        if self.paths.results.is_some() || self.start == Start::Resume {
            return;
        }
        self.say(&format!(
            "results go to standard output, so this run can't be resumed; name a results file with -o to be able to \
             resume it. Rows without an answer will be in {}",
            escape(&self.paths.errors.display().to_string())
        ));
    }

    /// Prints where requests are sent, what they contain and what they will probably cost.
    ///
    /// `purse` is the money that earlier runs with this results file have spent, or that is kept back.
    pub(super) fn announce(
        &self,
        survey: Option<&Survey>,
        forecast: Option<&Forecast>,
        catalog: &Catalog,
        purse: Purse,
    ) {
        let origin = self.servers();
        let (Some(survey), Some(forecast)) = (survey, forecast) else {
            let model = self.config.request.model.as_deref().unwrap_or(catalog.default_model());
            self.say(&format!("{origin}, {}: rows from a pipe, whose cost is not known yet", escape(model)));
            models::notes_of_pipe(&self.config).iter().for_each(|text| self.say(text));
            columns::of_templates(&self.plan).iter().for_each(|text| self.say(text));
            self.note_answers(std::iter::once(model), catalog, Money::ZERO);
            let in_batches = self.config.lane.uses_batches();
            caching::note_of_pipe(self.prompt_cache(), in_batches).iter().for_each(|text| self.say(text));
            self.note_standard_output();
            return;
        };
        let models: Vec<_> = survey.models.keys().map(|model| escape(model).into_owned()).collect();
        let models = if models.is_empty() { String::new() } else { format!(", {}", models.join(", ")) };
        let not_sent = Self::not_sent_words(survey);
        let expected = match survey.to_send {
            0 if !not_sent.is_empty() => String::new(),
            _ => format!(", {}", forecast_words(forecast, catalog)),
        };
        let rows = plural(survey.to_send, "row", "rows");
        self.say(&format!("{origin}{models}: {rows} to send{not_sent}{expected}"));
        self.note_estimated_provider();
        if survey.to_send > 0 {
            self.note_standard_output();
        }
        if let Some(deadline) = self.config.deadline.filter(|_| survey.to_send > 0) {
            self.say(&deadline_words(forecast.time.time, deadline, &ZonedDateTime::now()));
        }
        if self.stored.as_ref().is_some_and(|stored| !stored.is_empty()) && survey.reused + survey.done == 0 {
            self.say("note: --reuse: these results have no answers to the requests of this run, so all rows are sent");
        }
        if let Some(words) = self.budget_words(forecast, purse) {
            self.say(&words);
        }
        if survey.to_send > 0 {
            let known = forecast.totals.follow_ups;
            self.note_answers(survey.models.keys().map(|model| &**model), catalog, known);
        }
        if survey.unusable > 0 {
            faults::before_a_run(survey).iter().for_each(|line| self.say(line));
        }
        if let Some(damage) = &survey.damage {
            self.say(&format!("warning: {}; the rows before this place are sent", escape(damage)));
        }
        let cost_of_share = |share: f64| {
            let cost = forecast.totals.cost.filter(|_| forecast.totals.unpriced == 0)?;
            Some(Money::from_dollars(cost.likely.dollars() * share).rounded_up().to_string())
        };
        self.equal_words(survey, cost_of_share).iter().for_each(|text| self.say(text));
        if self.start != Start::Resume {
            let system = self.config.request.system_text();
            columns::lines(&self.plan, survey, system).iter().for_each(|text| self.say(text));
        }
        if forecast.lane == Lane::Online || survey.caching.prefixes > 0 {
            let real_input = caching::real_input(&survey.load, forecast);
            caching::notes(survey, self.prompt_cache(), real_input, catalog).iter().for_each(|text| self.say(text));
        }
        if let Some(places) = self.places(survey, catalog) {
            self.say(&format!(
                "note: at each place in the input, the rows use mainly one of the limits. So rows are read from {} \
                 places in turn, which should take {:.0} % less time than the order of the file",
                places.count(),
                100.0 * places.share_saved()
            ));
        }
        self.note_substituted(survey, catalog);
    }

    /// Prints how a schema is sent, and how many extra requests the rules for answers can cause per row.
    /// `known` is the part of the expected cost that is for follow-ups.
    fn note_answers<'m>(&self, models: impl Iterator<Item = &'m str>, catalog: &Catalog, known: Money) {
        let notes = answer_notes::notes(
            &self.config.answers,
            &self.config.request.params,
            models,
            catalog,
            self.config.provider.features,
            known,
        );
        notes.iter().for_each(|text| self.say(text));
    }

    /// Prints which models have no published limits in the tier.
    pub(super) fn note_substituted(&self, survey: &Survey, catalog: &Catalog) {
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

    /// The run can read the input at several positions in turn: a part at the first position, then a part at the second
    /// position, and so on. Returns these positions. If reading at several positions saves no time under the limits at
    /// the start of the run, returns `None`.
    pub(super) fn places(&self, survey: &Survey, catalog: &Catalog) -> Option<Places> {
        survey.places(&|pool: &PoolId| self.limits_at_start(pool, catalog))
    }

    fn substituted(&self, survey: &Survey, catalog: &Catalog) -> Vec<(String, RateLimits)> {
        let limits = |model: &str| catalog.limits(self.config.tier, &catalog.class_of(model));
        // An unknown model is left out, because the warning about this model also says that it has no published limits.
        let known = survey.models.keys().filter(|model| UnknownModel::find(catalog, model).is_none());
        let models = known.map(|model| (model.to_string(), limits(model)));
        models.filter(|(_, limits)| limits.substituted).map(|(model, limits)| (model, limits.limits)).collect()
    }

    /// Returns a warning if `--max-cost` will probably stop the run.
    fn budget_words(&self, forecast: &Forecast, purse: Purse) -> Option<String> {
        let (most, cost) = (self.config.max_cost?, forecast.totals.cost?);
        let (left, kept) = (purse.left_of(most), purse.kept_words());
        let rows = forecast.totals.rows;
        (cost.likely > left).then(|| {
            format!(
                "warning: {left} of --max-cost {most} is left{kept}, which is below the likely cost: the run will stop after \
                 about {} of {} rows; to continue the run, use the same command with a higher --max-cost",
                count(rows_within(rows, left, cost.likely)),
                count(rows)
            )
        })
    }

    /// If the run is expensive and has no earlier results, announces the run, and asks the user before any file is
    /// created. Returns the forecast; `None` if the user was not asked.
    pub(super) fn ask_before_files(&self, survey: Option<&Survey>, catalog: &Arc<Catalog>) -> Result<Option<Forecast>> {
        let is_new = self.paths.results.as_ref().is_some_and(|results| !results.exists());
        let may_ask = is_new && self.planning.is_none() && self.may_ask();
        let Some(survey) = survey.filter(|_| may_ask) else { return Ok(None) };
        let forecast = self.forecast(survey, catalog, None);
        if !is_expensive(&forecast) {
            return Ok(None);
        }
        self.announce(Some(survey), Some(&forecast), catalog, Purse::default());
        self.ask(Some(&forecast))?;
        Ok(Some(forecast))
    }

    /// Returns whether the program must ask the user before an expensive run, and is able to ask.
    fn may_ask(&self) -> bool {
        // A `max-cost` in a file in the working folder does not replace the question, because the user may not know the
        // limit in that file.
        let is_excused = self.config.dry_run || self.config.yes || self.config.has_own_max_cost || self.config.simulate;
        !is_excused && self.config.is_terminal && std::io::stdin().is_terminal()
    }

    /// Asks the user before an expensive run. Does nothing if the program does not run at a terminal.
    pub(super) fn ask(&self, forecast: Option<&Forecast>) -> Result<()> {
        let Some(forecast) = forecast.filter(|forecast| self.may_ask() && is_expensive(forecast)) else {
            return Ok(());
        };
        let cost = cost_words(&forecast.of_run(), forecast.totals.unpriced);
        say::ask(&format!("This run can cost {cost}. Continue? [y/N] "));
        let answer = self.answer()?;
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(anyhow!("not started; add --yes to start without asking first, or set a limit with --max-cost")),
        }
    }

    /// Reads the user's answer. A signal ends the wait.
    pub(super) fn answer(&self) -> Result<String> {
        let (give, answer) = mpsc::channel();
        std::thread::Builder::new().name("answer".to_owned()).spawn(move || {
            let mut line = String::new();
            let read = std::io::stdin().read_line(&mut line).map(|_| line);
            // Sending fails if the program no longer waits for the answer.
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

fn is_expensive(forecast: &Forecast) -> bool {
    forecast.totals.cost.is_some_and(|cost| cost.likely > ASK_ABOVE)
}

/// Returns a text that says what a run will probably cost and how long it will take.
fn forecast_words(forecast: &Forecast, catalog: &Catalog) -> String {
    let now = ZonedDateTime::now();
    let cost = cost_words(&forecast.of_run(), forecast.totals.unpriced);
    let (lane, time) = match forecast.lane {
        Lane::Online => ("", time_words(forecast.time.time, now.timestamp(), now.time_zone())),
        Lane::Batch => ("half price in batches; ", batch_time_words(forecast.time.time)),
    };
    format!("{cost} ({lane}prices of {}); {time}", catalog.price_date())
}
