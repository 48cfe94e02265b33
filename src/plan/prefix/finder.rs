//! Finds the prefixes of rows. The survey needs all prefixes, and the run needs only the marked prefixes.

use std::sync::Arc;

use super::super::estimate::Estimate;
use super::super::walk::Part;
use super::decide::CachePlan;
use super::levels::{FixedStarts, LevelFinder};
use crate::domain::{Caching, Merged, Money, Prefixes};

/// Finds the prefixes of rows.
#[derive(Debug, Default)]
pub(in crate::plan) struct PrefixFinder {
    wanted: Wanted,
    levels: LevelFinder,
}

/// Which prefixes the finder returns.
#[derive(Debug, Default)]
enum Wanted {
    /// No prefixes.
    #[default]
    Nothing,
    /// All prefixes.
    All,
    /// The prefixes that get marks in this plan.
    Chosen(Arc<CachePlan>),
}

/// The prefixes of a row.
pub(in crate::plan) struct Found {
    prefixes: Prefixes,
    /// The caching that the request asks for: the longest lifetime of its cache marks.
    caching: Caching,
}

impl PrefixFinder {
    /// Returns a finder of all prefixes of each row.
    pub(in crate::plan) fn of_survey(fixed_starts: &[String]) -> Self {
        Self { wanted: Wanted::All, levels: LevelFinder::new(FixedStarts::of(fixed_starts)) }
    }

    /// Returns a finder of the prefixes that the plan marks.
    pub(in crate::plan) fn of_run(plan: Arc<CachePlan>, fixed_starts: &[String]) -> Self {
        let wanted = if plan.is_empty() { Wanted::Nothing } else { Wanted::Chosen(plan) };
        Self { wanted, levels: LevelFinder::new(FixedStarts::of(fixed_starts)) }
    }

    /// Returns whether the finder can return a prefix.
    pub(in crate::plan) fn is_wanted(&self) -> bool {
        !matches!(self.wanted, Wanted::Nothing)
    }

    /// Returns the wanted prefixes of a request; `None` if the request has no wanted prefix. The arguments are the same
    /// as for [`LevelFinder::find`]. `is_online_only` says whether batches do not accept the request.
    pub(in crate::plan) fn find(
        &mut self,
        params: Merged<'_>,
        parts: Vec<Part>,
        estimate: &Estimate,
        least: u32,
        is_online_only: bool,
    ) -> Option<Found> {
        let mut prefixes = self.levels.find(params, parts, estimate, least)?;
        let Wanted::Chosen(plan) = &self.wanted else { return Some(Found { prefixes, caching: Caching::None }) };
        let are_own = prefixes.are_own();
        plan.keep_chosen(&mut prefixes, is_online_only);
        let longest = prefixes.levels.iter().map(|level| level.lifetime).max()?;
        Some(Found { prefixes, caching: if are_own { Caching::None } else { longest } })
    }
}

impl Found {
    /// Returns the prefixes and the caching that the request asks for. The returned prefixes also say how much each
    /// kind of mark (five-minute or one-hour) raises the highest cost of an answer. `most_if` takes the longest
    /// lifetime of the marks and returns the highest cost of an answer.
    pub(in crate::plan) fn priced(self, most_if: &dyn Fn(Caching) -> Money) -> (Prefixes, Caching) {
        let plain = most_if(Caching::None);
        let extra_most = [Caching::FiveMinutes, Caching::Hour].map(|caching| most_if(caching).less(plain));
        (Prefixes { extra_most, ..self.prefixes }, self.caching)
    }
}
