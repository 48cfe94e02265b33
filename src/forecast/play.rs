//! Plays a run, which means that it simulates the run on virtual time. A plain loop passes the calls of the real
//! scheduler to the simulated API.
//!
//! A simulated run has no requests, no replies and no tasks. A call is only a set of sizes and times. The scheduler
//! gets the same kinds of headers and usage as in a real run, and learns from them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::clock::Instant;
use crate::domain::{
    Ask, Cost, Failure, Identity, Interval, Job, JobId, JobKey, LimitKind, Message, ModelClass, Origin, Params,
    Planned, PoolId, Purpose, Quality, RateLimits, RateSignals, Reason, Request, RowId, Speed, Terms, Usage, Verdict,
};
use crate::scheduler::{Config, Next, Scheduler, Step, Ticket};
use crate::sim::config::{Bursts, Latency, SimConfig, SimModel};
use crate::sim::model::{Ending, Model, SizedArrival, SizedCall, Ticket as ServerTicket};
use crate::sim::presets;

/// A row of the simulated run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// The position of the row's pool in [`Server::pools`].
    pub(super) pool: usize,
    /// The row's template.
    pub(super) template: u64,
    /// The row's estimated input tokens, which the scheduler knows.
    pub(super) estimated: u32,
    /// The row's real sizes and times, which the scheduler does not know.
    pub(super) call: SizedCall,
}

/// The simulated server: its limits, and the bursts that it accepts.
#[derive(Clone, Debug)]
pub(super) struct Server {
    /// The pools (model classes that share limits), with the limits of each pool.
    pub(super) pools: Vec<(Arc<PoolId>, RateLimits)>,
    /// The part of each limit that can be used in one burst.
    pub(super) bursts: Bursts,
}

/// The result of a simulated run.
#[derive(Clone, Debug)]
pub(super) struct Played {
    /// The time from the start of the run to the end of its last row.
    pub(super) time: Duration,
    /// The pool and the end time of each row. The row that ended first comes first.
    pub(super) ends: Vec<(usize, Instant)>,
    /// The reasons that delayed the run, with their shares of the time.
    pub(super) reasons: Vec<(Reason, f64)>,
    /// The largest number of calls that were in flight at once.
    pub(super) max_in_flight: usize,
    /// How many calls the server rejected.
    #[cfg(test)]
    pub(super) refused: u64,
}

/// Simulates a run with these rows.
pub(super) fn play(rows: &[Row], server: &Server, config: Config) -> Played {
    let mut game = Game::new(rows, server, config);
    game.offer_rows();
    loop {
        match game.scheduler.poll(game.now) {
            Step::Dispatch { ticket, stream } => game.send(ticket, stream),
            // The simulated server has no faults, so the scheduler never sends a canary (a request that tests the
            // endpoint).
            Step::Canary { ticket } => game.end(ticket, Verdict::Aborted),
            Step::Wait { until, .. } => {
                if !game.wait(until) {
                    break;
                }
                game.offer_rows();
            }
            Step::Drained => break,
        }
    }
    Played {
        time: game.ends.last().map_or(Duration::ZERO, |(_, at)| at.since(Instant::ZERO)),
        reasons: game.scheduler.reasons(),
        max_in_flight: game.scheduler.max_in_flight(),
        ends: game.ends,
        #[cfg(test)]
        refused: game.refused,
    }
}

/// How long the server takes to reject a call.
const REFUSED_AFTER: Duration = Duration::from_millis(60);

/// Something that will happen in the simulated run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Head(Ticket),
    End(Ticket, ServerTicket),
    Refusal(Ticket, Duration),
}

struct Game<'a> {
    rows: &'a [Row],
    offered: usize,
    pools: &'a [(Arc<PoolId>, RateLimits)],
    /// For each pool, the position of its model class in the simulated server.
    classes: Vec<usize>,
    /// A row without sizes. Each simulated row is a changed copy of this row.
    blank: Planned,
    scheduler: Scheduler,
    model: Model,
    events: BinaryHeap<Reverse<(Instant, u64, Event)>>,
    events_so_far: u64,
    ends: Vec<(usize, Instant)>,
    #[cfg(test)]
    refused: u64,
    now: Instant,
}

impl<'a> Game<'a> {
    fn new(rows: &'a [Row], server: &'a Server, config: Config) -> Self {
        let model = Model::new(sim_config(server));
        let class = |pool: &PoolId| model.class_index(&sim_model(pool, RateLimits::NONE).class);
        let classes = server.pools.iter().map(|(pool, _)| class(pool).expect("every pool has a model")).collect();
        Self {
            rows,
            offered: 0,
            pools: &server.pools,
            classes,
            blank: blank(),
            scheduler: Scheduler::new(config),
            model,
            events: BinaryHeap::new(),
            events_so_far: 0,
            ends: Vec::with_capacity(rows.len()),
            #[cfg(test)]
            refused: 0,
            now: Instant::ZERO,
        }
    }

    fn offer_rows(&mut self) {
        for _ in 0..self.scheduler.wants() {
            let Some(row) = self.rows.get(self.offered) else { break };
            let mut planned = self.blank.clone();
            planned.job.id = JobId(self.offered as u64);
            let ask = &mut planned.ask;
            ask.pool = self.pools[row.pool].0.clone();
            ask.cost.input_tokens = row.estimated;
            ask.max_tokens = u32::try_from(row.call.max_tokens).unwrap_or(u32::MAX);
            ask.cost.output_tokens = ask.max_tokens;
            ask.template = row.template;
            ask.body_bytes = row.estimated.saturating_mul(4);
            self.scheduler.offer(planned, self.now);
            self.offered += 1;
        }
        if self.offered == self.rows.len() {
            self.scheduler.close_input();
        }
    }

    fn send(&mut self, ticket: Ticket, stream: bool) {
        let row = &self.rows[self.row_of(ticket)];
        let call = SizedCall { is_stream: stream, ..row.call };
        match self.model.arrive_sized(self.classes[row.pool], call, self.now) {
            SizedArrival::Admitted { ticket: server, head_at, end_at } => {
                self.schedule(head_at, Event::Head(ticket));
                self.schedule(end_at, Event::End(ticket, server));
            }
            SizedArrival::Refused { at, retry_after } => {
                #[cfg(test)]
                {
                    self.refused += 1;
                }
                self.schedule(at, Event::Refusal(ticket, retry_after));
            }
        }
    }

    fn row_of(&self, ticket: Ticket) -> usize {
        self.scheduler.sent(ticket).job.id.0 as usize
    }

    fn schedule(&mut self, at: Instant, event: Event) {
        self.events_so_far += 1;
        self.events.push(Reverse((at, self.events_so_far, event)));
    }

    /// Waits for the next event, but no longer than until the time `until`. Returns `false` if there is nothing to wait
    /// for.
    fn wait(&mut self, until: Instant) -> bool {
        let next = self.events.peek().map_or(Instant::NEVER, |Reverse((at, ..))| *at);
        let at = until.min(next);
        if at == Instant::NEVER {
            return false;
        }
        self.now = self.now.max(at);
        while let Some(Reverse((at, _, event))) = self.events.peek().copied()
            && at <= self.now
        {
            self.events.pop();
            self.happen(event);
        }
        true
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Head(ticket) => self.head(ticket, 200, None),
            Event::Refusal(ticket, retry_after) => {
                self.head(ticket, 429, Some(retry_after));
                let (kind, retry_after) = (LimitKind::Rate, Some(retry_after));
                self.end(ticket, Verdict::Limited { kind, retry_after, failure: Failure::default() });
            }
            Event::End(ticket, server) => {
                self.model.finish(server, Ending::Played, self.now);
                let row = &self.rows[self.row_of(ticket)];
                let usage = Usage {
                    input_tokens: row.call.input_tokens,
                    output_tokens: row.call.output_tokens,
                    ..Usage::default()
                };
                let message = Message { json: Bytes::new(), content: 0..0, usage, quality: Quality::Ok };
                self.end(ticket, Verdict::Answered(message));
            }
        }
    }
    fn head(&mut self, ticket: Ticket, status: u16, retry_after: Option<Duration>) {
        let class = self.classes[self.rows[self.row_of(ticket)].pool];
        let signals = RateSignals { retry_after, ..self.model.signals(class, self.now) };
        self.scheduler.on_head(ticket, status, &signals, None, self.now);
    }

    fn end(&mut self, ticket: Ticket, verdict: Verdict) {
        match self.scheduler.on_end(ticket, verdict, self.now) {
            Next::Finished(outcome) => {
                let row = outcome.job.id.0 as usize;
                self.ends.push((self.rows[row].pool, self.now));
            }
            Next::Again { .. } | Next::More { .. } | Next::FollowUp { .. } | Next::Pending { .. } | Next::NoRow => {}
        }
        // Nobody reads the events of a simulated run.
        drop(self.scheduler.take_events());
    }
}

/// Returns the configuration of a simulated server that has a model class for each pool.
fn sim_config(server: &Server) -> SimConfig {
    let models = server.pools.iter().map(|(pool, limits)| sim_model(pool, *limits)).collect();
    let mut config = SimConfig::new(models).with_latency(Latency { error: REFUSED_AFTER, ..Latency::ZERO });
    config.bursts = server.bursts;
    config
}

fn sim_model(pool: &PoolId, limits: RateLimits) -> SimModel {
    let name = pool.to_string();
    let any = presets::models().into_iter().next().expect("the simulator has models");
    SimModel { id: name.as_str().into(), aliases: Vec::new(), class: ModelClass(name.as_str().into()), limits, ..any }
}

fn blank() -> Planned {
    let request = Request::of(&Params::default());
    let pool = PoolId { provider: "".into(), account: "".into(), class: ModelClass("".into()), speed: Speed::Standard };
    Planned {
        job: Box::new(Job {
            id: JobId(0),
            custom_id: String::new(),
            key: JobKey([0; 16]),
            identity: Identity::Named,
            row: RowId::named("", None),
            request: request.clone(),
            extra: Params::default(),
            origin: Origin { source: "forecast".into(), line: 0 },
            index: 0,
        }),
        ask: Ask {
            request,
            model: "".into(),
            terms: Terms::default(),
            pool: Arc::new(pool),
            cost: Cost { requests: 1, ..Cost::default() },
            input_tokens: Interval::default(),
            expense: None,
            max_tokens: 0,
            template: 0,
            body_bytes: 0,
            purpose: Purpose::First,
            base: None,
            schema_method: None,
            prefixes: None,
            has_own_marks: false,
        },
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::sim::config::Burst;

    /// Returns a simulated server with one pool.
    pub(in crate::forecast) fn server(limits: RateLimits, burst: Burst) -> Server {
        let pool = PoolId {
            provider: "anthropic".into(),
            account: "".into(),
            class: ModelClass("haiku-4.5".into()),
            speed: Speed::Standard,
        };
        let bursts = Bursts { requests: burst, input_tokens: burst, output_tokens: burst };
        Server { pools: vec![(Arc::new(pool), limits)], bursts }
    }

    pub(in crate::forecast) fn config(server: &Server) -> Config {
        let pools = server.pools.clone();
        Config {
            limits_of: Box::new(move |pool| {
                pools.iter().find(|(known, _)| **known == *pool).map_or(RateLimits::NONE, |(_, limits)| *limits)
            }),
            headroom: crate::limiter::Headroom::Auto,
            window: crate::scheduler::Window::auto(1_000),
            ..crate::scheduler::tests::config(RateLimits::NONE, 1)
        }
    }

    fn rows(count: usize, input_tokens: u32, output_tokens: u64) -> Vec<Row> {
        let call = SizedCall {
            input_tokens: input_tokens.into(),
            output_tokens,
            max_tokens: 1_024,
            first_token: Duration::from_millis(600),
            production: Duration::from_millis(output_tokens * 8),
            is_stream: false,
        };
        vec![Row { pool: 0, template: 1, estimated: input_tokens, call }; count]
    }

    #[test]
    fn a_played_run_takes_as_long_as_its_limits_demand() {
        let limits = RateLimits::new(1_000, 450_000, 90_000);
        for (burst, minutes) in [(Burst::Minute, 4.0), (Burst::Time(Duration::from_secs(1)), 5.0)] {
            let server = server(limits, burst);

            let played = play(&rows(5_000, 100, 50), &server, config(&server));

            let share = played.time.as_secs_f64() / (60.0 * minutes);
            assert!((0.98..1.06).contains(&share), "{burst:?}: {share}");
            assert_eq!(played.ends.len(), 5_000);
            assert_eq!(played.reasons[0].0, Reason::Limit(crate::domain::Dimension::Requests));
        }
    }

    #[test]
    fn the_scheduler_meets_few_refusals_although_it_does_not_know_the_sizes() {
        let server = server(RateLimits::new(1_000, 100_000, 20_000), Burst::Time(Duration::from_secs(5)));
        let mut rows = rows(3_000, 200, 90);
        rows.iter_mut().for_each(|row| row.estimated = 140);

        let played = play(&rows, &server, config(&server));

        assert!(played.refused < 60, "{}", played.refused);
        let share = played.time.as_secs_f64() / (60.0 * 3_000.0 * 90.0 / 20_000.0);
        assert!((0.97..1.05).contains(&share), "{share}");
    }

    /// A run whose rows have different sizes.
    struct Scattered {
        limits: RateLimits,
        burst_secs: u64,
        rows: usize,
        /// The mean number of input tokens, and the spread of the logarithm of this number.
        input: (f64, f64),
        /// The mean number of output tokens.
        output: f64,
        /// The ratio of the real input to the estimated input.
        too_low: f64,
    }

    impl Scattered {
        /// Simulates the run. Returns two numbers: the run's time divided by the shortest time that the limits allow,
        /// and the share of rejected calls.
        fn play(&self, seed: u64) -> (f64, f64) {
            let mut rng = fastrand::Rng::with_seed(seed);
            let rows: Vec<Row> = (0..self.rows).map(|_| self.row(&mut rng)).collect();
            let server = server(self.limits, Burst::Time(Duration::from_secs(self.burst_secs)));

            let played = play(&rows, &server, config(&server));

            let minutes = |used: u64, limit: Option<u32>| used as f64 / f64::from(limit.unwrap_or(u32::MAX));
            let demanded = minutes(rows.len() as u64, self.limits.rpm)
                .max(minutes(rows.iter().map(|row| row.call.input_tokens).sum(), self.limits.itpm))
                .max(minutes(rows.iter().map(|row| row.call.output_tokens).sum(), self.limits.otpm));
            (played.time.as_secs_f64() / (60.0 * demanded), played.refused as f64 / rows.len() as f64)
        }

        fn row(&self, rng: &mut fastrand::Rng) -> Row {
            let mut scattered = |(mean, sigma): (f64, f64)| {
                let normal = (-2.0 * (1.0 - rng.f64()).ln()).sqrt() * (std::f64::consts::TAU * rng.f64()).cos();
                (mean * (sigma * normal - sigma * sigma / 2.0).exp()).max(1.0)
            };
            let (input, output) = (scattered(self.input), scattered((self.output, 0.3)));
            let call = SizedCall {
                input_tokens: input as u64,
                output_tokens: output as u64,
                max_tokens: 4_096,
                first_token: Duration::from_millis(1_600),
                production: Duration::from_millis((output * 11.0) as u64),
                is_stream: false,
            };
            Row { pool: 0, template: 1, estimated: (input / self.too_low) as u32, call }
        }
    }

    const TIER_1: RateLimits = RateLimits::new(50, 30_000, 8_000);
    const TIER_2: RateLimits = RateLimits::new(1_000, 450_000, 90_000);

    #[test]
    fn a_small_burst_of_the_server_does_not_slow_down_a_run() {
        let cases = [
            // Each case is (limits, burst, rows, input, output, estimates).
            (TIER_1, 5, 1_000, (2_500.0, 0.5), 20.0, 1.0),
            (TIER_1, 5, 1_000, (2_500.0, 0.5), 20.0, 1.4),
            (TIER_1, 1, 1_000, (2_500.0, 0.5), 20.0, 1.0),
            (TIER_1, 1, 1_000, (2_500.0, 0.5), 20.0, 1.4),
            (TIER_1, 1, 1_000, (2_500.0, 0.0), 20.0, 1.0),
            (TIER_1, 5, 1_000, (2_700.0, 0.0), 20.0, 1.0),
            (TIER_1, 1, 1_000, (800.0, 0.2), 20.0, 1.0),
            (TIER_2, 5, 6_000, (900.0, 0.5), 400.0, 1.0),
            (TIER_2, 1, 6_000, (900.0, 0.5), 400.0, 1.0),
            (TIER_2, 1, 6_000, (900.0, 0.5), 400.0, 1.3),
            (TIER_2, 5, 6_000, (3_000.0, 0.9), 50.0, 1.0),
            (TIER_2, 1, 6_000, (3_000.0, 0.9), 50.0, 1.0),
            (RateLimits::new(5_000, 5_000_000, 1_000_000), 1, 6_000, (6_000.0, 0.2), 60.0, 0.8),
        ];
        let mut missed = Vec::new();
        for (limits, burst_secs, rows, input, output, too_low) in cases {
            let case = Scattered { limits, burst_secs, rows, input, output, too_low };
            for seed in 1..=3 {
                let (ratio, refused) = case.play(seed);
                if ratio > 1.05 || refused > 0.02 {
                    missed.push(format!(
                        "{limits:?}, burst of {burst_secs} s, rows of {input:?} and {output}, estimates {too_low} times \
                         too low, seed {seed}: {ratio:.3} of the demanded time, {refused:.3} refused"
                    ));
                }
            }
        }

        assert!(missed.is_empty(), "{}", missed.join("\n"));
    }
}
