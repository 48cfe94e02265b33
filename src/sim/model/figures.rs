//! The simulator's statistics: its counts, and how much of each limit was used.

use crate::clock::Instant;
use crate::domain::Dimension;

use super::books::Books;
use super::bucket::TOKEN;
use super::state::Model;

/// The statistics of a period of time.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Stats {
    /// The length of the period, in seconds.
    pub seconds: f64,
    /// What the simulator counted in the period.
    #[serde(flatten)]
    pub books: Books,
    /// How much of each limit was used in the period.
    pub limits: Vec<Utilisation>,
}

/// How much of one limit was used in a period of time.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Utilisation {
    /// The number that identifies the organization; 0 if there is only one organization.
    pub organization: u64,
    /// The model class that has this limit.
    pub class: String,
    /// What is limited: requests, input tokens or output tokens.
    pub dimension: &'static str,
    /// The limit on requests or tokens per minute.
    pub limit: u32,
    /// How many requests or tokens were used in the period.
    pub used: u64,
    /// The level of the bucket, in tokens.
    pub level: f64,
    /// The used amount, divided by the amount that the limit allowed in the period.
    pub share: f64,
}

impl Model {
    /// Returns the statistics since the start or the last reset.
    pub fn stats(&mut self, now: Instant) -> Stats {
        let limits = self.utilisation(now);
        let seconds = self.now.since(self.books_since).as_secs_f64();
        Stats { seconds, books: self.books.figures(), limits }
    }

    /// Returns the level of a limit at `now`, in tokens; `None` if there is no such limit. The simulated API must have
    /// only one organization.
    pub fn level(&mut self, model: &str, dimension: Dimension, now: Instant) -> Option<f64> {
        self.advance(now);
        let class = self.class_of[*self.models.get(model)?];
        let limits = self.account((0, class));
        limits.level(dimension).map(|units| units as f64 / TOKEN as f64)
    }

    /// Returns how many tokens the bursts of other clients have taken from a limit so far. The simulated API must have
    /// only one organization.
    pub fn taken_by_others(&self, model: &str, dimension: Dimension) -> f64 {
        let class = self.models.get(model).map(|&at| self.class_of[at]);
        let account = class.and_then(|class| self.accounts.get(&(0, class)));
        account.map_or(0.0, |limits| limits.taken[dimension.index()] as f64 / TOKEN as f64)
    }

    /// Returns how much of each limit was used since the start or the last reset. The list is sorted by organization
    /// and class.
    pub(crate) fn utilisation(&mut self, now: Instant) -> Vec<Utilisation> {
        self.advance(now);
        let elapsed = self.now.since(self.books_since).as_secs_f64() / 60.0;
        let classes = &self.classes;
        let mut all: Vec<Utilisation> = self
            .accounts
            .iter()
            .flat_map(|((organization, class), limits)| {
                Dimension::ALL.into_iter().filter_map(move |dimension| {
                    let limit = limits.limit(dimension)?;
                    let used = limits.used[dimension.index()];
                    let level = limits.level(dimension)? as f64 / TOKEN as f64;
                    let share = if elapsed > 0.0 { used as f64 / (f64::from(limit) * elapsed) } else { 0.0 };
                    let class = classes[*class].name.0.to_string();
                    let organization = *organization;
                    Some(Utilisation { organization, class, dimension: dimension.name(), limit, used, level, share })
                })
            })
            .collect();
        all.sort_by(|a, b| (a.organization, &a.class, a.dimension).cmp(&(b.organization, &b.class, b.dimension)));
        all
    }
}
