//! Reads an input group by group: the rows that share a prefix are read one after the other.
//!
//! An entry of the prompt cache lives only for minutes. If rows of very many prefixes are mixed, nearly every row would
//! have to write its prefix to the cache again. For this reason, an input with very many prefixes is read three times.
//! The second reading finds the place and the prefixes of each row. The third reading takes one prefix after the other,
//! and reads all rows that have this prefix. The prefixes are in the order of their first rows. So the new order
//! differs as little as possible from the order of the input.
//!
//! The place of a row takes 24 bytes of memory. Rows of one group that are next to each other in the file are read
//! together.

use std::collections::HashMap;

use crate::plan::Planner;
use crate::source::{Position, SourceError};

use super::planned_rows::{PlannedRows, RowDecision, Step};
use super::reading::{Reading, RowPlace};
use super::{Earlier, InputPlan};

/// Three prefixes of a row decide the row's place in the order: the two shortest prefixes and the longest prefix.
const LEVELS: usize = 3;

/// The path of a row. For each prefix that decides the row's place in the order, the path contains the index of the
/// first row with this prefix.
type Path = [u32; LEVELS];

/// The order in which the rows of an input are read.
pub(super) struct GroupOrder {
    rows: Vec<OrderedRow>,
    /// The number of rows that an earlier run has finished. These rows are not read again.
    pub(super) done: u64,
    /// The damage at which the input ends; `None` if the input is not damaged.
    pub(super) damage: Option<SourceError>,
}

/// The place of one row in the input.
struct OrderedRow {
    byte_offset: u64,
    line: u32,
    index: u32,
    /// The index of the row's path in the list of all paths; `NO_PATH` if the row shares no prefix.
    path: u32,
    input: u32,
}

const NO_PATH: u32 = u32::MAX;

impl GroupOrder {
    /// Finds the order of the rows. `planner` finds which prefixes get cache marks. `count` is the number of rows, if
    /// it is known; otherwise 0.
    pub(super) fn find(
        plan: &InputPlan,
        planner: &mut Planner,
        earlier: &Earlier,
        count: u64,
    ) -> Result<Self, SourceError> {
        // The list has its full length from the start, because a list that grows needs up to three times its memory.
        let rows = Vec::with_capacity(usize::try_from(count).unwrap_or_default());
        let mut order = Self { rows, done: 0, damage: None };
        let mut paths: Vec<Path> = Vec::new();
        let mut known_paths: HashMap<Path, u32> = HashMap::new();
        let mut first_rows: HashMap<u64, u32> = HashMap::new();
        let mut rows = PlannedRows::new(Reading::whole(plan), plan.skip);
        loop {
            let Step { row, place, .. } = match rows.next(planner, earlier) {
                Ok(Some(step)) => step,
                Ok(None) => break,
                Err(damage @ SourceError::Damaged { .. }) => {
                    order.damage = Some(damage);
                    break;
                }
                Err(error) => return Err(error),
            };
            let (Some(row), Some(place)) = (row, place) else { continue };
            let prefixes = match &row {
                RowDecision::Submitted(_) => continue,
                RowDecision::Done(_) => {
                    order.done += 1;
                    continue;
                }
                RowDecision::Planned(_, planned, _) => planned.ask.prefixes.as_ref(),
                RowDecision::Rejected(_) | RowDecision::Broken(_) => None,
            };
            let index = u32::try_from(place.index).unwrap_or(u32::MAX);
            let path = prefixes.map(|prefixes| {
                let firsts = prefixes.levels.iter().map(|level| *first_rows.entry(level.id.0).or_insert(index));
                let firsts: Vec<u32> = firsts.collect();
                let last = firsts.last().copied().unwrap_or(index);
                let mut path = [last; LEVELS];
                path.iter_mut().zip(&firsts).take(LEVELS - 1).for_each(|(own, first)| *own = *first);
                path
            });
            let path = path.map_or(NO_PATH, |path| {
                *known_paths.entry(path).or_insert_with(|| {
                    paths.push(path);
                    paths.len() as u32 - 1
                })
            });
            let Position { byte_offset, line } = place.position;
            order.rows.push(OrderedRow {
                byte_offset,
                line: u32::try_from(line).unwrap_or(u32::MAX),
                index,
                path,
                input: place.input as u32,
            });
        }
        drop((known_paths, first_rows));
        order.rows.sort_unstable_by_key(|row| {
            let path = paths.get(row.path as usize).copied().unwrap_or([row.index; LEVELS]);
            (path, row.index)
        });
        Ok(order)
    }

    /// Returns the readings that give the rows in this order. Each reading comes with its number of rows.
    pub(super) fn readings<'a>(&'a self, plan: &'a InputPlan) -> impl Iterator<Item = (Reading, usize)> {
        let neighbours = |one: &OrderedRow, next: &OrderedRow| one.input == next.input && one.index + 1 == next.index;
        self.rows.chunk_by(neighbours).map(|rows| {
            let first = &rows[0];
            let position = Position { byte_offset: first.byte_offset, line: first.line.into() };
            let place = RowPlace { input: first.input as usize, index: first.index.into(), position };
            (Reading::between(plan, Some(place), None), rows.len())
        })
    }
}
