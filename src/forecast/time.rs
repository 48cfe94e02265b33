//! Estimates how long a run takes: rows with likely sizes are sent to the simulated API on virtual time. In the code,
//! this simulation is called "playing" the rows.
//!
//! # Method
//! Only some rows, drawn at random, are simulated: enough rows for [`PLAYED_MINUTES`] minutes at the limits, and at
//! most [`Setting::most_rows`] rows. The time of the rows that are not simulated is computed from the steady part of
//! the simulated run. The steady part begins when half of the rows have ended, and ends when 95 % of the rows have
//! ended. A time is computed for each pool (a model class with its own limits). The time of the slowest pool is the
//! time of the run. The steady rate comes from thousands of rows, so its error is about one percent. The assumptions
//! about sizes, speeds and bursts cause larger errors than the steady rate. So the run is simulated two more times:
//! once with the lowest sizes, and once with the highest sizes. The times of these two runs give the interval.
//!
//! The largest burst that the server accepts is not published. If earlier runs have not found this burst, the run is
//! simulated twice: once with a burst of a whole minute, and once with a burst of a second. The likely time is the mean
//! of both times.
//!
//! The simulation leaves out four things: other clients of the same organization, faults and overloads of the API,
//! limits on growth (acceleration), and prompt caches.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::history::History;
use super::play::{Played, Row, Server, play};
use super::prior::{self, Speed};
use super::sizes::{Basis, Sizes};
use super::statistics;
use crate::catalog::Catalog;
use crate::clock::Instant;
use crate::domain::{Dimension, Interval, LearnedPool, PoolId, RateLimits, Reason};
use crate::plan::{Load, Sampled};
use crate::scheduler::{Config, LimitsOf};
use crate::sim::config::{Burst, Bursts};
use crate::sim::model::SizedCall;

/// How many minutes the simulated rows take at the speed that the limits allow.
const PLAYED_MINUTES: f64 = 5.0;
/// At least this many rows are simulated, unless the load has fewer rows.
const LEAST_ROWS: usize = 3_000;
/// Each end of the interval is moved outwards by this share, because a real server differs from the simulated server.
/// Source: the results in `benches/PLAN.md`.
const MARGIN: f64 = 0.03;
/// The error of an assumed speed: if no speed is known, the real speed can be higher or lower by up to this factor.
const SPEED_FACTOR: f64 = 2.0;

/// The settings for simulating a run.
pub struct Setting<'a> {
    /// The limits of each pool.
    pub limits_of: &'a dyn Fn(&PoolId) -> RateLimits,
    /// Makes the settings of the scheduler from the limits that the scheduler knows at the start.
    pub scheduler: &'a dyn Fn(LimitsOf) -> Config,
    /// The part of each limit that can be used in one burst; `None` if earlier runs have not found these parts.
    pub bursts: Option<Bursts>,
    /// The highest number of rows that are simulated.
    pub most_rows: usize,
}

/// Returns the bursts that earlier runs have found. The size of a burst is given as the time that the limit takes to
/// refill after the burst. Returns `None` if earlier runs have not found the bursts of the pool with the most rows.
pub fn known_bursts(learned: &[LearnedPool], load: &Load) -> Option<Bursts> {
    /// If a burst is at least this share of a minute's limit, it counts as a burst of a whole minute. This share is
    /// below 1 because the numbers of tokens in response headers are rounded.
    const NEARLY: f64 = 0.97;
    let largest = load.groups().iter().max_by_key(|group| group.rows)?;
    let found = learned.iter().find(|known| known.is_of(&largest.pool))?;
    let burst = |dimension: Dimension| {
        let (limit, burst) = (f64::from(found.limits.of(dimension)?), f64::from(found.bursts[dimension.index()]?));
        let share = burst / limit.max(1.0);
        Some(if share >= NEARLY { Burst::Minute } else { Burst::Time(Duration::from_secs_f64(60.0 * share)) })
    };
    let [requests, input_tokens, output_tokens] = Dimension::ALL.map(burst);
    let known = [requests, input_tokens, output_tokens].into_iter().flatten().next()?;
    // The server is assumed to treat all its limits alike.
    let or_known = |burst: Option<Burst>| burst.unwrap_or(known);
    Some(Bursts {
        requests: or_known(requests),
        input_tokens: or_known(input_tokens),
        output_tokens: or_known(output_tokens),
    })
}

/// The time of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunTime {
    /// The interval of the run's time.
    pub time: Interval<Duration>,
    /// The reasons that delay the run, with their shares of the time, from 0 to 1. The largest share comes first.
    pub bound_by: Vec<(Reason, f64)>,
    /// The number of rows that were simulated.
    pub played_rows: u64,
    /// The largest number of requests that were in flight at once in the simulation.
    pub max_in_flight: u64,
}

/// The sizes and speeds with which the rows are simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    Low,
    Likely,
    High,
}

/// The data from which a forecast of the time is made.
pub(super) struct Timing<'a> {
    pub(super) load: &'a Load,
    pub(super) sizes: &'a [Sizes],
    pub(super) history: &'a History,
    pub(super) catalog: &'a Catalog,
    pub(super) setting: &'a Setting<'a>,
}

const MINUTE: Bursts = Bursts { requests: Burst::Minute, input_tokens: Burst::Minute, output_tokens: Burst::Minute };
const SECOND: Burst = Burst::Time(Duration::from_secs(1));
const SHORT: Bursts = Bursts { requests: SECOND, input_tokens: SECOND, output_tokens: SECOND };

impl Timing<'_> {
    /// Returns the estimated time of the run.
    pub(super) fn time(&self) -> RunTime {
        let pools = Pools::of(self.load, self.setting.limits_of);
        let rows = self.rows_to_play(&pools);
        let (longest, shortest) = match self.setting.bursts {
            Some(bursts) => (bursts, bursts),
            None => (MINUTE, SHORT),
        };
        let play = |case, bursts| self.play(&pools, &rows, case, bursts);
        let quick = play(Case::Likely, longest);
        let slow = if self.setting.bursts.is_some() { quick.clone() } else { play(Case::Likely, shortest) };
        let likely = (quick.time + slow.time) / 2;
        let (best, worst) = (play(Case::Low, longest), play(Case::High, shortest));
        let low = best.time.mul_f64(1.0 - MARGIN).min(likely);
        let high = worst.time.mul_f64(1.0 + MARGIN).max(likely);
        let in_flight = [&quick, &slow, &best, &worst].map(|played| played.max_in_flight);
        RunTime {
            time: Interval { low, likely, high },
            max_in_flight: in_flight.into_iter().max().unwrap_or_default() as u64,
            bound_by: slow.reasons,
            played_rows: rows.len() as u64,
        }
    }

    /// Returns only the likely time of the run, for comparisons.
    pub(super) fn likely_time(&self) -> Duration {
        let pools = Pools::of(self.load, self.setting.limits_of);
        let rows = self.rows_to_play(&pools);
        let play = |bursts| self.play(&pools, &rows, Case::Likely, bursts).time;
        match self.setting.bursts {
            Some(bursts) => play(bursts),
            None => (play(MINUTE) + play(SHORT)) / 2,
        }
    }

    /// Returns a part of the rows. This part is large enough for a steady rate in the slowest pool.
    fn rows_to_play(&self, pools: &Pools) -> Vec<Sampled> {
        let minutes = |pool: usize| {
            let needs = self.needs_of(pool, pools);
            let limits = pools.list[pool].1;
            let of = |dimension: Dimension| {
                limits.of(dimension).map_or(0.0, |limit| needs[dimension.index()] / f64::from(limit))
            };
            Dimension::ALL.map(of).into_iter().fold(0.0, f64::max)
        };
        let slowest = (0..pools.list.len()).map(minutes).fold(0.0, f64::max);
        let share = if slowest > 0.0 { PLAYED_MINUTES / slowest } else { 1.0 };
        let wanted = (self.load.rows() as f64 * share) as usize;
        let mut rows = self.load.part_of_sample(wanted.max(LEAST_ROWS).min(self.setting.most_rows));
        if (rows.len() as u64) < self.load.rows() {
            // The rows are shuffled, because the steady part of the simulated run must not depend on the order of the
            // input.
            rows.sort_unstable_by_key(|row| row.hash.rotate_left(32));
        }
        rows
    }

    /// Returns how many requests, input tokens and output tokens all rows of a pool need.
    fn needs_of(&self, pool: usize, pools: &Pools) -> [f64; 3] {
        let groups = self.load.groups().iter().zip(self.sizes).zip(&pools.of_group);
        let mut needs = [0.0; 3];
        for ((group, sizes), _) in groups.filter(|(_, of)| **of == pool) {
            needs[0] += group.rows as f64;
            needs[1] += group.input_tokens.likely as f64 * sizes.input.mean * sizes.limited_share;
            needs[2] += group.rows as f64 * sizes.output.mean;
        }
        needs
    }

    /// Plays rows. Returns how long all rows of the load take, and what delays these rows.
    fn play(&self, pools: &Pools, rows: &[Sampled], case: Case, bursts: Bursts) -> Played {
        let speeds = self.speeds();
        let call = |row: &Sampled| self.row(row, pools.of_group[row.group as usize], case, &speeds);
        let calls: Vec<Row> = rows.iter().map(call).collect();
        let server = Server { pools: pools.list.clone(), bursts };
        let known: HashMap<PoolId, RateLimits> =
            pools.list.iter().map(|(pool, limits)| (PoolId::clone(pool), *limits)).collect();
        let limits_of: LimitsOf = Box::new(move |pool| known.get(pool).copied().unwrap_or(RateLimits::NONE));
        let played = play(&calls, &server, (self.setting.scheduler)(limits_of));
        let mut of_pools = vec![0; pools.list.len()];
        for (group, pool) in self.load.groups().iter().zip(&pools.of_group) {
            of_pools[*pool] += group.rows;
        }
        whole_run(played, &of_pools)
    }

    /// Returns the speed of each model.
    fn speeds(&self) -> HashMap<&str, (Speed, Basis)> {
        let speed = |name: &str| {
            let model = self.catalog.model(name);
            let answers = self.history.of_model(model.map_or(name, |model| &model.id));
            let timed = answers.into_iter().flat_map(|answers| &answers.kept).filter(|seen| seen.latency_ms > 0);
            let pairs: Vec<_> = timed.map(|seen| (f64::from(seen.output), f64::from(seen.latency_ms) / 1e3)).collect();
            match statistics::line(&pairs) {
                Some((start, slope, spread)) => {
                    let seconds = |seconds: f64| Duration::from_secs_f64(seconds.clamp(0.0, 3_600.0));
                    (Speed { first_token: seconds(start), token: seconds(slope), spread }, Basis::Model)
                }
                None => (prior::speed(model.map(|model| model.line)), Basis::Assumption),
            }
        };
        self.load.groups().iter().map(|group| (&*group.model, speed(&group.model))).collect()
    }

    /// Returns a row for the simulation.
    fn row(&self, row: &Sampled, pool: usize, case: Case, speeds: &HashMap<&str, (Speed, Basis)>) -> Row {
        let (group, sizes) = (&self.load.groups()[row.group as usize], &self.sizes[row.group as usize]);
        let of = |mean: f64, (below, above): (f64, f64)| match case {
            Case::Low => mean - below,
            Case::Likely => mean,
            Case::High => mean + above,
        };
        let estimated = f64::from(row.input_tokens);
        let prompt = estimated * of(sizes.input.mean, sizes.input.errors);
        let mut random = fastrand::Rng::with_seed(row.hash);
        let slope = sizes.output_slope * (estimated - sizes.mean_estimated);
        let mean = (of(sizes.output.mean, sizes.output.errors) + slope).max(1.0);
        let is_end_of_assumption = sizes.output.basis == Basis::Assumption && case != Case::Likely;
        let length = match sizes.lengths.as_slice() {
            _ if is_end_of_assumption => 1.0,
            [] => (prior::SPREAD * normal(&mut random) - prior::SPREAD.powi(2) / 2.0).exp(),
            lengths => f64::from(lengths[random.usize(0..lengths.len())]),
        };
        let output = (mean * length).round().clamp(1.0, f64::from(row.max_tokens.max(1)));
        let (speed, basis) = speeds[&*group.model];
        let factor = match (case, basis) {
            (Case::Low, Basis::Assumption) => 1.0 / SPEED_FACTOR,
            (Case::High, Basis::Assumption) => SPEED_FACTOR,
            _ => 1.0,
        };
        // For a variable x with a normal distribution, the mean of |x| is 0.8 times the standard deviation.
        let swing = (speed.spread / 0.8 * normal(&mut random)).exp() * factor;
        Row {
            pool,
            template: group.template.unwrap_or(0),
            estimated: row.input_tokens,
            call: SizedCall {
                input_tokens: (prompt * sizes.limited_share).round().max(1.0) as u64,
                output_tokens: output as u64,
                max_tokens: row.max_tokens.into(),
                first_token: speed.first_token.mul_f64(swing),
                production: speed.token.mul_f64(output * factor),
                is_stream: false,
            },
        }
    }
}

/// The pools of a load (the model classes that its rows use).
struct Pools {
    list: Vec<(Arc<PoolId>, RateLimits)>,
    /// For each group, the index of its pool in `list`.
    of_group: Vec<usize>,
}

impl Pools {
    fn of(load: &Load, limits_of: &dyn Fn(&PoolId) -> RateLimits) -> Self {
        let mut list: Vec<(Arc<PoolId>, RateLimits)> = Vec::new();
        let place = |pool: &Arc<PoolId>| {
            list.iter().position(|(known, _)| known == pool).unwrap_or_else(|| {
                list.push((pool.clone(), limits_of(pool)));
                list.len() - 1
            })
        };
        let of_group = load.groups().iter().map(|group| &group.pool).map(place).collect();
        Self { list, of_group }
    }
}

/// Estimates the run of all rows from the simulated run of some of these rows. `rows` has the number of rows of each
/// pool.
fn whole_run(played: Played, rows: &[u64]) -> Played {
    let mut time = played.time;
    for (pool, &all) in rows.iter().enumerate() {
        let ends: Vec<Instant> = played.ends.iter().filter(|(of, _)| *of == pool).map(|(_, at)| *at).collect();
        let (Some(last), count) = (ends.last(), ends.len()) else { continue };
        let missing = all.saturating_sub(count as u64) as f64;
        if missing <= 0.0 {
            continue;
        }
        let (from, until) = (count / 2, count * 19 / 20);
        let span = ends[until].since(ends[from]).as_secs_f64();
        let a_row = match until > from && span > 0.0 {
            true => span / (until - from) as f64,
            false => last.as_secs_f64() / count as f64,
        };
        time = time.max(last.since(Instant::ZERO) + Duration::from_secs_f64(missing * a_row));
    }
    let mut reasons = played.reasons.clone();
    let steady = reasons.iter().filter(|(reason, _)| *reason != Reason::Draining);
    let steady = steady.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(reason, _)| *reason);
    if let Some(steady) = steady.filter(|_| time > played.time) {
        // Assumption: the rows that were not simulated wait for the same reason as most of the simulated rows.
        let part = played.time.as_secs_f64() / time.as_secs_f64();
        reasons.iter_mut().for_each(|(_, share)| *share *= part);
        reasons.iter_mut().filter(|(reason, _)| *reason == steady).for_each(|(_, share)| *share += 1.0 - part);
        reasons.sort_by(|a, b| b.1.total_cmp(&a.1));
    }
    Played { time, reasons, ..played }
}

/// Returns a normally distributed random number (the method of Box and Muller).
fn normal(random: &mut fastrand::Rng) -> f64 {
    (-2.0 * (1.0 - random.f64()).ln()).sqrt() * (std::f64::consts::TAU * random.f64()).cos()
}
