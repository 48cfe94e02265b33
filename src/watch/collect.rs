//! Collects the events of each second for the timeline. This code runs in the main loop of the run, so it only counts
//! and never reads or writes files.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::timeline::{Note, Point, PoolUse};
use crate::domain::{
    Dimension, ErrorClass, EventBody, Money, PoolId, PoolStatus, RateLimits, RunEvent, Usage, shortened,
};
use crate::report::histogram::Histogram;
use crate::report::json::rounded;
use crate::report::notes::limit_name;
use crate::report::text::{count, duration, percent};
use crate::report::words::{diverted_words, fault_words, halt_words, returned_words, stopped_words};

/// The largest number of notes in one interval of the timeline. Only a fault that occurs again and again would cause
/// more notes than this number.
const MOST_NOTES: usize = 20;
/// The largest number of pools in one interval. Only a run with models that are not in the catalog can have more pools.
const MOST_POOLS: usize = 20;

/// The events of one time interval, as sums and notes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Tick {
    /// The sums of the interval. `point.uses` is empty, because the field `uses` of this struct takes its place.
    pub(crate) point: Point,
    /// For each pool (by name), how much of the pool's limits was used.
    pub(crate) uses: BTreeMap<String, PoolUse>,
    /// Notes: texts about important events in the interval.
    pub(crate) notes: Vec<Note>,
    /// The durations from sending a request to receiving the status line and headers of its response.
    pub(crate) first_byte: Histogram,
    /// The durations from a row's first request to its answer.
    pub(crate) latency: Histogram,
}

impl Tick {
    /// Adds the next time interval to this time interval.
    pub(crate) fn absorb(&mut self, next: Self) {
        self.point.absorb(&next.point);
        next.uses.iter().for_each(|(pool, used)| self.uses.entry(pool.clone()).or_default().absorb(used));
        self.notes.extend(next.notes.into_iter().take(MOST_NOTES.saturating_sub(self.notes.len())));
        self.first_byte.merge(&next.first_byte);
        self.latency.merge(&next.latency);
    }
}

/// Collects the events of the current time interval.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    tick: Tick,
    cost: Money,
    bound: BTreeMap<&'static str, f64>,
    /// How long each request was in flight in this interval, in seconds, summed over all requests.
    in_flight: f64,
    /// The start of the current interval. `last_at` is the time of the last status event.
    begun_at: Option<Timestamp>,
    last_at: Option<Timestamp>,
    pools: Vec<Sums>,
    has_outage: bool,
    /// Whether the run has several providers. With several providers, each pool name and each note contains the name of
    /// its provider.
    has_several: bool,
}

/// The sums of a pool at two moments: at the last status event, and at the end of the last interval.
#[derive(Debug)]
struct Sums {
    pool: PoolId,
    name: String,
    now: ([u64; 3], [Option<u64>; 3]),
    before: ([u64; 3], [Option<u64>; 3]),
}

impl Collector {
    /// Adds an event. `now` is the time of the event, but never earlier than in the last call, even if the clock was
    /// set back.
    pub(crate) fn on_event(&mut self, event: &RunEvent, now: Timestamp) {
        self.begun_at.get_or_insert(now);
        let point = &mut self.tick.point;
        match &event.body {
            EventBody::Sent { .. } => point.sent += 1,
            EventBody::Retried { class: ErrorClass::RateLimit, .. } => point.refused += 1,
            EventBody::Retried { .. } => point.retried += 1,
            EventBody::Succeeded { usage, cost, latency, first_byte, .. } => {
                point.ok += 1;
                first_byte.iter().for_each(|time| self.tick.first_byte.add(*time));
                latency.iter().for_each(|time| self.tick.latency.add(*time));
                self.add(*usage, *cost);
            }
            EventBody::Mending { usage, cost, .. } => self.add(*usage, *cost),
            EventBody::Taken { .. } => point.ok += 1,
            EventBody::Failed { usage, cost, .. } => {
                point.failed += 1;
                self.add(*usage, *cost);
            }
            EventBody::Status { in_flight, reason, pools, .. } => {
                let seconds = seconds_between(self.last_at.or(self.begun_at), now);
                self.last_at = Some(now);
                *self.bound.entry(reason.name()).or_default() += seconds;
                self.in_flight += *in_flight as f64 * seconds;
                pools.iter().for_each(|status| self.note_pool(status));
            }
            other => self.note(other, now),
        }
    }

    /// Returns the current interval, which ends now, and begins the next interval.
    pub(crate) fn take(&mut self, now: Timestamp) -> Tick {
        let begun_at = self.begun_at.replace(now).unwrap_or(now);
        let mut tick = std::mem::take(&mut self.tick);
        let point = &mut tick.point;
        (point.at, point.s) = (begun_at, rounded(seconds_between(Some(begun_at), now)));
        point.usd = std::mem::take(&mut self.cost).dollars();
        let in_flight = std::mem::take(&mut self.in_flight);
        point.in_flight = if point.s > 0.0 { rounded(in_flight / point.s) } else { 0.0 };
        let bound = std::mem::take(&mut self.bound);
        point.bound = bound.into_iter().map(|(reason, seconds)| (reason.to_owned(), rounded(seconds))).collect();
        tick.uses = self.pools.iter_mut().filter_map(|sums| Some((sums.name.clone(), sums.take()?))).collect();
        tick
    }

    fn add(&mut self, usage: Usage, cost: Option<Money>) {
        let point = &mut self.tick.point;
        point.input += usage.limited_input_tokens();
        point.cached += usage.cache_read_tokens;
        point.output += usage.output_tokens;
        self.cost += cost.unwrap_or(Money::ZERO);
    }

    fn note_pool(&mut self, status: &PoolStatus) {
        let now = (status.counted, status.allowed);
        if let Some(sums) = self.pools.iter_mut().find(|sums| sums.pool == status.pool) {
            sums.now = now;
        } else if self.pools.len() < MOST_POOLS {
            let name = shortened(&status.pool.named(self.has_several)).into_owned();
            self.pools.push(Sums { pool: status.pool.clone(), name, now, before: Default::default() });
        }
    }

    /// Adds a note about an event that changes the course of the run.
    fn note(&mut self, body: &EventBody, now: Timestamp) {
        let (kind, text) = match body {
            EventBody::Providers(names) => {
                self.has_several = names.len() > 1;
                return;
            }
            EventBody::Diverted { from, to, why } => ("provider", diverted_words(from, to, *why)),
            EventBody::ProviderStopped { provider, reason } => ("provider", stopped_words(provider, reason)),
            EventBody::Returned { to } => ("provider", returned_words(to)),
            EventBody::Held { pool, wait, kind, dimension } => {
                let pool = pool.named(self.has_several);
                let bucket = dimension.map(|dimension| format!(" on {}", dimension.name())).unwrap_or_default();
                ("held", format!("{pool} must wait {}: {}{bucket}", duration(*wait), limit_name(*kind)))
            }
            EventBody::LimitsChanged { pool, limits } => {
                ("limits", format!("{}: {}", pool.named(self.has_several), limits_words(limits)))
            }
            EventBody::Parked { model, message } => ("warning", format!("model {model} was not found: {message}")),
            EventBody::Crossed(crossing) => {
                let verb = if crossing.is_above { "rose above" } else { "fell below" };
                let (pool, dimension) = (crossing.pool.named(self.has_several), crossing.dimension.name());
                let (threshold, share) = (crossing.threshold, percent(crossing.share));
                ("crossed", format!("{pool}: the use of {dimension} {verb} {threshold}%: {share} in five minutes"))
            }
            EventBody::Steered { by, message, .. } => ("steered", format!("{message} (by {})", by.name())),
            EventBody::Warned(message) => ("warning", message.clone()),
            EventBody::Outage(outage) => match (outage, std::mem::replace(&mut self.has_outage, outage.is_some())) {
                (Some(outage), false) => {
                    let of = if self.has_several { format!("{}: ", outage.provider) } else { String::new() };
                    ("outage", format!("{of}{}", fault_words(&outage.fault)))
                }
                (None, true) => ("outage", "the endpoint works again".to_owned()),
                (Some(_), true) | (None, false) => return,
            },
            EventBody::Draining { reason: Some(reason), .. } => ("draining", halt_words(reason).into_owned()),
            EventBody::Started { .. }
            | EventBody::Forecast(_)
            | EventBody::Models(_)
            | EventBody::Skipped
            | EventBody::Sent { .. }
            | EventBody::Retried { .. }
            | EventBody::Succeeded { .. }
            | EventBody::Mending { .. }
            | EventBody::Taken { .. }
            | EventBody::Failed { .. }
            | EventBody::Status { .. }
            | EventBody::Batches(_)
            | EventBody::InputBroke
            | EventBody::Noted(_)
            | EventBody::Draining { reason: None, .. }
            | EventBody::Ended { .. } => return,
        };
        if self.tick.notes.len() < MOST_NOTES {
            let text = shortened(&text).into_owned();
            self.tick.notes.push(Note { at: now, kind: kind.to_owned(), text });
        }
    }
}

impl Sums {
    /// For each limit, returns two amounts since the last call: what the run used, and what the limit allowed. Returns
    /// `None` if all amounts are zero.
    fn take(&mut self) -> Option<PoolUse> {
        let (counted, allowed) = self.now;
        let (counted_before, allowed_before) = std::mem::replace(&mut self.before, self.now);
        let used = PoolUse {
            counted: Dimension::ALL.map(|at| counted[at.index()].saturating_sub(counted_before[at.index()])),
            allowed: Dimension::ALL.map(|at| {
                let before = allowed_before[at.index()].unwrap_or(0);
                allowed[at.index()].map(|allowed| allowed.saturating_sub(before) as f64)
            }),
        };
        (used.counted != [0; 3] || used.allowed.iter().flatten().any(|allowed| *allowed > 0.0)).then_some(used)
    }
}

fn limits_words(limits: &RateLimits) -> String {
    let shown = Dimension::ALL.into_iter().filter_map(|dimension| {
        limits.of(dimension).map(|limit| format!("{} {}", count(limit.into()), dimension.name()))
    });
    let shown = shown.collect::<Vec<_>>().join(", ");
    if shown.is_empty() { "there is no limit".to_owned() } else { format!("{shown} per minute") }
}

fn seconds_between(begin: Option<Timestamp>, end: Timestamp) -> f64 {
    begin.map_or(0.0, |begin| end.duration_since(begin).as_secs_f64().max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Quality, Reason};
    use crate::report::stats::tests::{at, failed, pool, retried, sent, status, succeeded};

    #[test]
    fn a_piece_has_the_sums_of_its_time() {
        let mut collector = Collector::default();
        let used = |counted, allowed| PoolStatus {
            counted: [counted, 0, 0],
            allowed: [Some(allowed), None, None],
            ..pool("haiku-4.5", [None; 3])
        };
        let limited =
            EventBody::Retried { row: retried(), class: ErrorClass::RateLimit, limit: None, maybe_paid: false };
        let mut add = |second, body| {
            let event = at(second, body);
            collector.on_event(&event, event.at);
        };

        add(0, sent());
        add(1, succeeded(Quality::Ok));
        add(1, limited);
        add(1, status(Reason::Window, vec![used(5, 10)]));
        add(3, failed(ErrorClass::Server));
        add(4, status(Reason::Hold, vec![used(9, 40)]));
        let now = |second| at(second, sent()).at;
        let first = collector.take(now(4));
        collector.on_event(&at(5, status(Reason::Hold, vec![used(9, 50)])), now(5));
        let second = collector.take(now(5));

        let Point { sent, ok, failed, refused, s, in_flight, bound, .. } = first.point;
        assert_eq!((sent, ok, failed, refused, s, in_flight), (1, 1, 1, 1, 4.0, 3.0));
        assert_eq!(
            bound.into_iter().collect::<Vec<_>>(),
            [("concurrency".to_owned(), 1.0), ("holds after 429".to_owned(), 3.0)]
        );
        let use_of = |tick: &BTreeMap<String, PoolUse>| (tick["haiku-4.5"].counted[0], tick["haiku-4.5"].allowed[0]);
        assert_eq!(use_of(&first.uses), (9, Some(40.0)));
        assert_eq!(use_of(&second.uses), (0, Some(10.0)));
        assert_eq!((first.latency.count(), second.point.ok), (1, 0));
    }
}
