//! The forecast of a run: tokens, money and time of its rows.

use std::collections::BTreeMap;

use super::history::History;
use super::sizes::{Basis, Counts, Sizes, sizes};
use super::time::{RunTime, Setting, Timing};
use super::totals::{Totals, totals};
use crate::catalog::Catalog;
use crate::domain::RunForecast;
use crate::plan::Load;

/// What a forecast is made from.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// The rows to be sent.
    pub load: &'a Load,
    /// Earlier results.
    pub history: &'a History,
    /// Token counts of some rows.
    pub counts: &'a Counts,
    /// Models and prices.
    pub catalog: &'a Catalog,
    /// The settings under which the run is played.
    pub setting: &'a Setting<'a>,
}

/// The forecast of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// Tokens and money of all rows.
    pub totals: Totals,
    /// Tokens and money by model, in the order of the names.
    pub by_model: Vec<(String, Totals)>,
    /// How long the run takes.
    pub time: RunTime,
    /// What the rows' input and output rest on: for each basis, the number of rows.
    pub input_basis: BTreeMap<Basis, u64>,
    /// See `input_basis`.
    pub output_basis: BTreeMap<Basis, u64>,
    /// The lengths of earlier answers that were cut by `max_tokens`, as a share of all earlier answers to these
    /// templates, from 0 to 1; `None` without earlier answers.
    pub truncated_share: Option<f64>,
}

impl<'a> Question<'a> {
    /// Returns the forecast.
    pub fn forecast(&self) -> Forecast {
        let sizes = self.sizes();
        let groups = self.load.groups();
        let answers = self.history.count();
        let mut by_model: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        groups.iter().enumerate().for_each(|(at, group)| by_model.entry(&group.model).or_default().push(at));
        let of_model = |(model, places): (&str, Vec<usize>)| {
            let places = places.into_iter().map(|at| (&groups[at], &sizes[at]));
            (model.to_owned(), totals(places, answers))
        };
        let (mut input_basis, mut output_basis) = (BTreeMap::new(), BTreeMap::new());
        for (group, sizes) in groups.iter().zip(&sizes) {
            *input_basis.entry(sizes.input.basis).or_default() += group.rows;
            *output_basis.entry(sizes.output.basis).or_default() += group.rows;
        }
        Forecast {
            totals: totals(groups.iter().zip(&sizes), answers),
            by_model: by_model.into_iter().map(of_model).collect(),
            time: self.timing(&sizes).time(),
            input_basis,
            output_basis,
            truncated_share: self.truncated_share(),
        }
    }

    pub(super) fn sizes(&self) -> Vec<Sizes> {
        sizes(self.load, self.history, self.counts, self.catalog)
    }

    pub(super) fn timing<'s>(&'s self, sizes: &'s [Sizes]) -> Timing<'s> {
        let Self { load, history, catalog, setting, .. } = *self;
        Timing { load, sizes, history, catalog, setting }
    }

    fn truncated_share(&self) -> Option<f64> {
        let of_templates = self.load.groups().iter().filter_map(|group| self.history.of_template(group.template?));
        let (mut all, mut truncated) = (0_u64, 0_u64);
        for seen in of_templates.flat_map(|answers| &answers.kept) {
            all += 1;
            truncated += u64::from(seen.is_truncated);
        }
        (all > 0).then(|| truncated as f64 / all as f64)
    }
}

impl Forecast {
    /// Returns the figures that the reports of a run need.
    pub fn of_run(&self) -> RunForecast {
        RunForecast {
            rows: self.totals.rows,
            cost: self.totals.cost,
            at_most: self.totals.at_most,
            time: (self.totals.rows > 0).then_some(self.time.time),
        }
    }
}
