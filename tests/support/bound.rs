//! Computes the least time that a run needs. In this time, the limits of the server allow exactly the amounts that the
//! run used.
//!
//! This file shares no code with the limiter and the scheduler.

use claude_batch::domain::{Dimension, Usage};

use super::scenario::Server;
use super::seen::Answer;

/// The requests, input tokens and output tokens that the rows of one pool used at the server.
pub struct Account<'a> {
    /// The settings of the server.
    pub server: &'a Server,
    /// The limits of the pool at the start of the run.
    pub limits: [u32; 3],
    /// The answers, in the order in which their requests were sent.
    pub in_order: Vec<&'a Answer>,
    /// How many requests, input tokens and output tokens the rows used in total.
    pub used: [f64; 3],
    /// The amounts that other clients used in bursts, up to the time of the last row.
    pub others: [f64; 3],
    /// The levels of the server's limits at the end of the run.
    pub levels: [f64; 3],
}

impl Account<'_> {
    /// Returns the least possible time, and the limit that decides this time: requests, input tokens or output tokens.
    ///
    /// Requests and input tokens are counted when the server accepts a row. The server therefore accepts a row only
    /// after the limits have allowed this row and all rows before it. A row ends one latency after the server has
    /// accepted it. Output tokens are counted while they are produced. When the run ends, the limits have allowed all
    /// output tokens except the debt that the server permits.
    pub fn least_time(&self) -> (f64, Dimension) {
        let time = |dimension: Dimension| {
            let total = self.used[dimension.index()];
            match dimension {
                Dimension::Requests | Dimension::InputTokens => {
                    self.latest(dimension).max(self.time_for(dimension, total))
                }
                Dimension::OutputTokens => self.time_for(dimension, total + self.levels[2].min(0.0)),
            }
        };
        let times = Dimension::ALL.map(|dimension| (time(dimension), dimension));
        times.into_iter().max_by(|a, b| a.0.total_cmp(&b.0)).expect("there are three dimensions")
    }

    fn latest(&self, dimension: Dimension) -> f64 {
        let mut used = 0.0;
        let ends = self.in_order.iter().map(|answer| {
            used += amount(answer.usage, dimension);
            self.time_for(dimension, used) + answer.latency
        });
        ends.fold(0.0, f64::max)
    }

    /// Returns how long it takes until the limits have allowed `used` requests or tokens.
    fn time_for(&self, dimension: Dimension, used: f64) -> f64 {
        let at = dimension.index();
        let rate = |limits: [u32; 3]| f64::from(limits[at]) / 60.0 * (1.0 - steady_share(self.server));
        let capacity = (f64::from(self.limits[at]) * self.server.burst_s[at] / 60.0).max(1.0);
        // Only the total of the bursts of other clients is known, so each row gets a proportional part of this total.
        let others = self.others[at] * used / self.used[at].max(1.0);
        let mut left = used + others - capacity;
        let (mut from, mut limits) = (0.0, self.limits);
        for change in &self.server.changes {
            let through = rate(limits) * (change.at_s - from);
            if left <= through {
                break;
            }
            left -= through;
            (from, limits) = (change.at_s, change.limits);
        }
        (from + left / rate(limits)).max(0.0)
    }
}

/// Returns the least time for `input_tokens` under the acceleration limit. In each minute, this limit allows `step`
/// tokens more than the run used in the minute before. `floor` tokens are always allowed.
///
/// Each minute uses all the tokens that the limit and the bucket allow. In the last minute, the remaining tokens are
/// used as soon as the bucket contains enough tokens.
pub fn ramp(server: &Server, input_tokens: f64) -> Option<f64> {
    let [floor, step] = server.acceleration?.map(|tokens| tokens as f64);
    let (limit, capacity) = (f64::from(server.limits[1]), f64::from(server.limits[1]) * server.burst_s[1] / 60.0);
    let (mut left, mut level, mut before, mut minute) = (input_tokens, capacity, 0.0, 0.0);
    loop {
        let may = f64::max(floor, before + step).min(level + limit);
        if left <= may {
            return Some(60.0 * (minute + (left - level).max(0.0) / limit));
        }
        left -= may;
        level = (level + limit - may).min(capacity);
        (before, minute) = (may, minute + 1.0);
    }
}

/// Returns the share of the limits (from 0 to 1) that other clients use at a constant rate.
fn steady_share(server: &Server) -> f64 {
    let steady = server.others.iter().filter(|other| other.every_s.is_none());
    f64::from(steady.map(|other| other.permille).sum::<u32>()) / 1000.0
}

/// Returns how many requests or tokens an answer used.
pub fn amount(usage: Usage, dimension: Dimension) -> f64 {
    used_of(1, usage)[dimension.index()]
}

/// Returns the requests, the input tokens and the output tokens, in this order.
pub fn used_of(requests: u64, usage: Usage) -> [f64; 3] {
    [requests as f64, usage.limited_input_tokens() as f64, usage.output_tokens as f64]
}
