//! Uses the mix of models in a run to compare the cost of the remaining rows with the cost of the finished rows. The
//! two costs differ if the remaining rows are for other models than the finished rows.
//!
//! Each model has its own limits, so the rows of one model can be done long before the rows of other models. The cost
//! of one model's rows says little about the cost of other models' rows.

use std::collections::BTreeMap;
use std::sync::Arc;

/// The planned and finished rows of each model.
#[derive(Clone, Debug, Default)]
pub(super) struct Mix {
    models: BTreeMap<Arc<str>, Rows>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Rows {
    planned: u64,
    finished: u64,
    /// The cost of the finished rows, in dollars.
    cost: f64,
}

impl Mix {
    /// Returns the mix of a run that sends these numbers of rows to these models.
    pub(super) fn of(planned: &[(Arc<str>, u64)]) -> Self {
        let rows = |planned: u64| Rows { planned, ..Rows::default() };
        Self { models: planned.iter().map(|(model, planned)| (model.clone(), rows(*planned))).collect() }
    }

    /// Adds a row that this model has answered at this cost, in dollars.
    pub(super) fn add(&mut self, model: &Arc<str>, cost: f64) {
        let rows = self.models.entry(model.clone()).or_default();
        rows.finished += 1;
        rows.cost += cost;
    }

    /// Returns the mean cost of the remaining rows, divided by the mean cost of the finished rows; 1 if nothing is
    /// known. All rows of a model are assumed to cost the same.
    pub(super) fn left_to_finished(&self) -> f64 {
        factor(self.mean(Rows::left), self.mean(|rows| rows.finished))
    }

    /// Returns the mean cost of the remaining rows, divided by the mean cost of all rows.
    pub(super) fn left_to_all(&self) -> f64 {
        factor(self.mean(Rows::left), self.mean(|rows| rows.planned))
    }

    /// Returns the mean cost of a group of rows. `rows_of` returns how many rows of a model are in this group.
    fn mean(&self, rows_of: impl Fn(&Rows) -> u64) -> f64 {
        let finished: u64 = self.models.values().map(|rows| rows.finished).sum();
        let of_all = self.models.values().map(|rows| rows.cost).sum::<f64>() / finished.max(1) as f64;
        let (cost, rows) = self.models.values().fold((0.0, 0), |(cost, sum), rows| {
            // If no row of a model has finished yet, each of its rows is assumed to have the mean cost of all finished
            // rows.
            let each = if rows.finished == 0 { of_all } else { rows.cost / rows.finished as f64 };
            (cost + rows_of(rows) as f64 * each, sum + rows_of(rows))
        });
        cost / rows as f64
    }
}

impl Rows {
    fn left(&self) -> u64 {
        self.planned.saturating_sub(self.finished)
    }
}

fn factor(one: f64, other: f64) -> f64 {
    let factor = one / other;
    if factor.is_finite() && factor > 0.0 { factor } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_an_expensive_model_that_is_done_do_not_count_for_the_remaining_rows() {
        let (dear, cheap): (Arc<str>, Arc<str>) = ("dear".into(), "cheap".into());
        let mut mix = Mix::of(&[(dear.clone(), 10), (cheap.clone(), 90)]);
        (0..10).for_each(|_| mix.add(&dear, 0.1));
        (0..10).for_each(|_| mix.add(&cheap, 0.01));

        // The finished rows cost 5.5 cents on average, all rows cost 1.9 cents on average, and each remaining row costs
        // one cent.
        assert!((mix.left_to_finished() - 1.0 / 5.5).abs() < 1e-9, "{}", mix.left_to_finished());
        assert!((mix.left_to_all() - 1.0 / 1.9).abs() < 1e-9, "{}", mix.left_to_all());
    }

    #[test]
    fn a_single_model_or_no_plan_changes_nothing() {
        let model: Arc<str> = "one".into();
        let (mut single, mut unplanned) = (Mix::of(&[(model.clone(), 9)]), Mix::default());
        [&mut single, &mut unplanned].into_iter().for_each(|mix| mix.add(&model, 0.5));

        let of = |mix: &Mix| (mix.left_to_finished(), mix.left_to_all());
        assert_eq!([of(&Mix::default()), of(&single), of(&unplanned)], [(1.0, 1.0); 3]);
    }
}
