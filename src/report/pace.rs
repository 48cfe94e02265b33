//! The pace of a run: how fast rows finish, and how long the remaining rows will take.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::{Dimension, PoolStatus, Reason, Usage};

/// The recently finished rows and their tokens, grouped by the second in which the rows finished.
///
/// "Recently" means the last minute. If fewer than 20 rows finished in the last minute, "recently" means the time in
/// which the last 20 rows finished. A mean over the whole run would stay wrong for hours after a change of a limit. A
/// fixed minute would be too short for rows that take several minutes.
///
/// The mean size of a row is computed over the whole run, because limits don't change the size of rows. By chance
/// alone, a mean over a single minute would vary by a tenth. If a token limit slows the run down, the number of tokens
/// per minute is steady. So the time left is computed from the recent tokens and the mean size of a row.
#[derive(Clone, Debug, Default)]
pub(super) struct Pace {
    slots: VecDeque<Slot>,
    pub(super) rows: u64,
    /// The tokens of the recent rows: input tokens that count against the limits, and output tokens.
    tokens: [u64; 2],
    /// The number of finished rows of the whole run.
    all_rows: u64,
    all_tokens: [u64; 2],
    /// The end of the last dropped slot. A slot is the record of the rows that finished in one second.
    dropped_at: Option<Timestamp>,
    /// The sum of the latencies of all answers, and the number of answers.
    latencies: (Duration, u32),
    /// The longest latency of an answer.
    pub(super) longest: Duration,
    /// The last known number of requests in flight, and when this number was noted.
    in_flight: Option<(Timestamp, usize)>,
    /// The time that each request was in flight, added up over all requests, in seconds.
    request_seconds: f64,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    last_at: Timestamp,
    second: i64,
    rows: u64,
    tokens: [u64; 2],
}

impl Pace {
    const SPAN: Duration = Duration::from_secs(60);
    const ROWS: u64 = 20;

    /// Adds a finished row.
    pub(super) fn note(&mut self, at: Timestamp, usage: Usage) {
        let tokens = [usage.limited_input_tokens(), usage.output_tokens];
        self.rows += 1;
        self.tokens = [self.tokens[0] + tokens[0], self.tokens[1] + tokens[1]];
        self.all_rows += 1;
        self.all_tokens = [self.all_tokens[0] + tokens[0], self.all_tokens[1] + tokens[1]];
        match self.slots.back_mut() {
            Some(slot) if slot.second == at.as_second() => {
                slot.rows += 1;
                slot.tokens = [slot.tokens[0] + tokens[0], slot.tokens[1] + tokens[1]];
                slot.last_at = at;
            }
            _ => self.slots.push_back(Slot { last_at: at, second: at.as_second(), rows: 1, tokens }),
        }
        while let Some(oldest) = self.slots.front() {
            if between(oldest.last_at, at) <= Self::SPAN || self.rows - oldest.rows < Self::ROWS {
                break;
            }
            self.rows -= oldest.rows;
            self.tokens = [self.tokens[0] - oldest.tokens[0], self.tokens[1] - oldest.tokens[1]];
            self.dropped_at = Some(oldest.last_at);
            self.slots.pop_front();
        }
    }

    /// Returns the mean size of the recent rows, divided by the mean size of all rows of the run. The size of a row is
    /// the number of its tokens that count against one limit: the limit that slows the run down. If no token limit
    /// slows the run down, the result is 1. Multiply the result by the number of recent rows to get how many rows of
    /// mean size would have finished in the same time.
    pub(super) fn size_of_last(&self, reason: Option<Reason>) -> f64 {
        let of = |at: usize| {
            let (last, all) =
                (self.tokens[at] as f64 / self.rows as f64, self.all_tokens[at] as f64 / self.all_rows as f64);
            last / all
        };
        let size = match reason {
            Some(Reason::Limit(Dimension::InputTokens)) => of(0),
            Some(Reason::Limit(Dimension::OutputTokens)) => of(1),
            _ => 1.0,
        };
        if size.is_finite() && size > 0.0 { size } else { 1.0 }
    }

    /// Returns the shortest time, in seconds, in which `rows` rows can be sent within the limits of these pools. `size`
    /// is the mean number of tokens of these rows, divided by the mean number of tokens of the finished rows.
    ///
    /// Each pool has limits of its own, and the result is the time of the slowest pool. The rows are assumed to be
    /// spread over the pools in the same proportion as the rows that are ready to send.
    pub(super) fn seconds_by_limits(&self, rows: u64, size: f64, pools: &[PoolStatus]) -> f64 {
        let tokens = self.all_tokens.map(|sum| size * sum as f64 / self.all_rows.max(1) as f64);
        let needs = [1.0, tokens[0], tokens[1]];
        let ready: usize = pools.iter().map(|pool| pool.ready).sum();
        let time = |pool: &PoolStatus, dimension: Dimension| {
            let Some(per_minute) = pool.limits.of(dimension).map(f64::from) else { return 0.0 };
            let share = if ready == 0 { 1.0 / pools.len() as f64 } else { pool.ready as f64 / ready as f64 };
            let there = pool.level[dimension.index()].unwrap_or(0.0) * per_minute;
            (rows as f64 * share * needs[dimension.index()] - there).max(0.0) * 60.0 / per_minute
        };
        let of_pool = |pool| Dimension::ALL.map(|dimension| time(pool, dimension)).into_iter().fold(0.0, f64::max);
        pools.iter().map(of_pool).fold(0.0, f64::max)
    }

    /// Records the latency of an answer, counted from the first request of its row.
    pub(super) fn note_latency(&mut self, latency: Duration) {
        self.latencies = (self.latencies.0.saturating_add(latency), self.latencies.1.saturating_add(1));
        self.longest = self.longest.max(latency);
    }

    /// Records how many requests are in flight at this time.
    pub(super) fn note_in_flight(&mut self, at: Timestamp, requests: usize) {
        if let Some((since, requests)) = self.in_flight {
            self.request_seconds += requests as f64 * between(since, at).as_secs_f64();
        }
        self.in_flight = Some((at, requests));
    }

    /// Returns the factor by which the remaining answers will take longer than the answers so far. The factor is at
    /// least 1. The remaining answers take longer, because long answers come last. This effect is largest at the start
    /// of a run.
    ///
    /// The estimate of the mean latency is the time that all requests together were in flight, divided by the number of
    /// answers. Assumption: from now on, a request in flight needs this mean latency, however long the request has
    /// already taken.
    pub(super) fn longer_than_seen(&self, left: u64) -> f64 {
        let (latencies, answers) = self.latencies;
        let of_all = self.request_seconds / latencies.as_secs_f64();
        let factor = of_all + (of_all - 1.0) * f64::from(answers) / left.max(1) as f64;
        if factor.is_finite() { factor.max(1.0) } else { 1.0 }
    }

    /// Returns the time when the last row finished.
    pub(super) fn last_at(&self) -> Option<Timestamp> {
        self.slots.back().map(|slot| slot.last_at)
    }

    /// Returns the longest normal time between two finished rows. The result is three times the mean time between two
    /// finished rows. Rows that are sent together finish together, so the result is at least one and a half times the
    /// mean latency. `start` is the start of the run.
    pub(super) fn patience(&self, start: Timestamp) -> Duration {
        let between_two = self.last_at().and_then(|last| self.per_second(start, last)).map_or(0.0, |rate| 3.0 / rate);
        let (latencies, answers) = self.latencies;
        let answer = (latencies / answers.max(1)).as_secs_f64() * 1.5;
        Duration::try_from_secs_f64(between_two.max(answer)).unwrap_or(Duration::MAX)
    }

    /// Returns the recent rate in rows per second, up to `now`. `start` is the start of the run.
    pub(super) fn per_second(&self, start: Timestamp, now: Timestamp) -> Option<f64> {
        let secs = between(self.dropped_at.unwrap_or(start), now).as_secs_f64();
        (self.rows > 0 && secs > 0.0).then(|| self.rows as f64 / secs)
    }
}

pub(super) fn between(earlier: Timestamp, later: Timestamp) -> Duration {
    Duration::try_from(later.duration_since(earlier)).unwrap_or(Duration::ZERO)
}
