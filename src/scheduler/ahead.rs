//! How many rows the scheduler reads ahead.
//!
//! The scheduler asks for more rows until enough rows wait. With one pool, the wanted number of waiting rows is at
//! least twice the window (the number of requests allowed in flight). With several pools, the wanted number of waiting
//! rows is several thousand, so that every pool has rows of its own. Rows can be large, so their total size in bytes is
//! limited as well. Together, all rows that wait or are in flight have at most [`MOST_BYTES`] bytes plus the size of
//! one row. Small rows never reach the limit on bytes.
//!
//! The scheduler stops asking for rows when its rows have [`MOST_BYTES`] bytes or more. For this reason, one row always
//! fits, even if the row has more bytes than the limit. If a policy replaces the request of a row, the bytes of the new
//! request are counted too. These bytes can exceed the limit.
//!
//! All pools share one limit on the bytes of rows. If a pool must wait or has low limits, its rows can use up all the
//! bytes that the pools share. If all the bytes are used up, no more rows are read. A pool whose rows come later in the
//! input then has nothing to send. Reading starts again by itself. Sooner or later, each row is answered, fails, or
//! loses its endpoint to a halt. Then another row is read. If the rows of one pool all come before the rows of another
//! pool, the input is read from several places in turn (`order`). Rows of both pools then alternate.
//!
//! One design was rejected: giving each pool a share of the bytes. The reader reads rows in the order of the input, so
//! it can't skip the rows of one pool to reach another pool.

use crate::domain::Planned;

use super::entry::Entry;
use super::state::Scheduler;

/// If the run has one pool, the scheduler wants at least this many waiting rows.
const LOOKAHEAD: usize = 64;
/// The smallest number of waiting rows that the scheduler wants with several pools.
const LOOKAHEAD_OF_MANY_POOLS: usize = 4096;
/// Rows behind gates (`gate`) wait until another row has written their prefix to the prompt cache. At most this many
/// rows behind gates are left out of the count of waiting rows.
const MOST_BEHIND_GATES: usize = 8192;
/// The number of rows that the scheduler keeps ready to probe (test) an endpoint that fails. Only rows that have not
/// failed are counted.
const PROBES: usize = 4;
/// Once the waiting rows and the rows in flight together have `MOST_BYTES` bytes, no more rows are read. The reader of
/// the input can hold more rows, up to a third of `MOST_BYTES`, so all rows together have up to 64 MiB. For example, 48
/// MiB are enough for 250 rows of 200 kB each, which are 12 million tokens. These 12 million tokens are more than twice
/// the uncached input that the highest tier accepts in a minute.
const MOST_BYTES: usize = 48 << 20;

impl Scheduler {
    /// Returns how many more rows the scheduler wants. Callers can offer more rows than the result says, but the
    /// additional rows cost memory.
    pub(crate) fn wants(&self) -> usize {
        if self.is_input_closed || self.halted.is_some() || self.is_full() {
            return 0;
        }
        let window = self.window_size();
        let lookahead = match self.pools.len() {
            0 | 1 => (2 * window).max(LOOKAHEAD),
            _ => LOOKAHEAD_OF_MANY_POOLS.max(2 * window),
        };
        // Rows behind gates wait for a prefix and can't be sent yet, so other rows are read in their place.
        let behind_gates = self.gates.waiting();
        let wanted = lookahead.saturating_sub(self.waiting() - behind_gates.min(MOST_BEHIND_GATES));
        let is_failing = self.endpoints.iter().any(|endpoint| endpoint.health.is_failing());
        if is_failing { wanted.max(self.probes_wanted()) } else { wanted }
    }

    /// Returns how many more rows are needed to probe (test) an endpoint that fails. Only rows that have not failed can
    /// be used as probes.
    fn probes_wanted(&self) -> usize {
        let ready = self.pools.iter().flat_map(|state| &state.ready);
        PROBES.saturating_sub(ready.filter(|entry| entry.turns == 0).count())
    }

    /// Returns whether callers can offer rows that do not come from the input.
    pub(crate) fn has_room(&self) -> bool {
        self.halted.is_none() && !self.is_full() && self.waiting() < LOOKAHEAD_OF_MANY_POOLS
    }

    /// Returns whether the scheduler has rows that wait or are in flight.
    pub(crate) fn holds_rows(&self) -> bool {
        self.waiting() + self.in_flight() > 0
    }

    /// Returns whether the rows in the scheduler use all the bytes that are available for rows.
    pub(super) fn is_full(&self) -> bool {
        self.row_bytes >= MOST_BYTES
    }

    /// Adds the bytes of a new row to the memory for rows, and returns the entry for the row.
    pub(super) fn count_in(&mut self, planned: Planned) -> Box<Entry> {
        let entry = Entry::new(planned);
        self.row_bytes += entry.bytes;
        entry
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::{answer, config, dispatched, limited, long};
    use super::super::{Config, Next, Step};
    use super::*;
    use crate::answer::{Decision, RequestResult};
    use crate::clock::Instant;
    use crate::domain::{
        Ask, Caching, ErrorClass, Failure, HaltReason, Level, MarkPlace, Money, PrefixId, Prefixes, Purpose,
        RateLimits, Reason, Verdict,
    };

    const LARGE: usize = 200_000;

    #[test]
    fn small_rows_are_read_ahead_by_their_number() {
        let mut one_pool = Scheduler::new(config(RateLimits::NONE, 100));
        let mut two_pools = Scheduler::new(config(RateLimits::NONE, 100));
        let row = long("one", 1_000);

        let taken = |scheduler: &mut Scheduler, rows: &mut dyn FnMut() -> Planned| {
            std::iter::from_fn(|| (scheduler.wants() > 0).then(|| scheduler.offer(rows(), Instant::ZERO))).count()
        };

        assert_eq!(taken(&mut one_pool, &mut || row.clone()), 200);
        assert_eq!(taken(&mut two_pools, &mut alternating(1_000)), 4_096);
    }

    #[test]
    fn large_rows_of_several_pools_are_read_ahead_by_their_bytes() {
        let mut scheduler = Scheduler::new(config(RateLimits::new(1, 50_000, 10_000), 100));
        let mut rows = alternating(LARGE);

        let mut taken = 0;
        while scheduler.wants() > 0 {
            scheduler.offer(rows(), Instant::ZERO);
            dispatched(&mut scheduler, Instant::ZERO);
            taken += 1;
        }

        assert!(scheduler.in_flight() > 0, "rows in flight count as well");
        assert_eq!(taken, MOST_BYTES.div_ceil(long("one", LARGE).bytes()));
    }

    #[test]
    fn a_row_larger_than_the_limit_on_bytes_is_sent_alone() {
        let mut scheduler = Scheduler::new(config(RateLimits::NONE, 100));
        let row = long("one", MOST_BYTES + 1);

        for second in 0..3 {
            assert_ne!(scheduler.wants(), 0);
            scheduler.offer(row.clone(), Instant::from_secs(second));
            assert_eq!(scheduler.wants(), 0);
            let sent = dispatched(&mut scheduler, Instant::from_secs(second));
            let step = scheduler.poll(Instant::from_secs(second));
            assert!(matches!(step, Step::Wait { reason: Reason::Memory, .. }), "{step:?}");
            sent.into_iter().for_each(|ticket| drop(scheduler.on_end(ticket, answer(), Instant::from_secs(second))));
        }

        assert!(!scheduler.holds_rows());
    }

    #[test]
    fn a_paused_pool_uses_up_the_bytes_and_stops_another_pool_only_until_the_pause_ends() {
        let mut scheduler = Scheduler::new(config(RateLimits::NONE, 4));
        let (mut rows, total) = (alternating(LARGE), 1_000);
        let (mut read, mut answered, mut most_held, mut during_the_hold) = (0, [0, 0], 0, 0);

        for second in 0..1_200 {
            let now = Instant::from_secs(second);
            loop {
                while scheduler.wants() > 0 && read < total {
                    scheduler.offer(rows(), now);
                    read += 1;
                }
                most_held = most_held.max(scheduler.row_bytes);
                let Step::Dispatch { ticket, .. } = scheduler.poll(now) else { break };
                let is_other = &*scheduler.sent(ticket).ask.pool.class.0 == "other";
                let is_refused = !is_other && second < 600;
                answered[usize::from(is_other)] += usize::from(!is_refused);
                scheduler.on_end(ticket, if is_refused { limited(Some(600 - second)) } else { answer() }, now);
            }
            if second < 600 {
                during_the_hold = answered[1];
            }
        }

        let fit = MOST_BYTES / LARGE;
        assert!((fit - 5..=fit + 5).contains(&during_the_hold), "{during_the_hold} of {fit}");
        assert_eq!(answered, [500, 500]);
        assert!(most_held <= MOST_BYTES + long("one", LARGE).bytes());
    }

    #[test]
    fn random_rows_use_at_most_the_allowed_bytes_plus_one_row_and_each_row_ends_once() {
        let classes = ["one", "other", "third"].into_iter().cycle();
        let rows: Vec<Planned> = (4..24).zip(classes).map(|(power, class)| long(class, 1 << power)).collect();
        for seed in 0..60 {
            let mut random = fastrand::Rng::with_seed(seed);
            let asks_more = random.bool();
            let mut scheduler = Scheduler::new(random_config(asks_more, &mut random));
            let total = random.usize(1..150);
            let (mut read, mut ended, mut largest) = (0, 0, 0);
            let mut in_flight = Vec::new();
            for second in 0.. {
                let now = Instant::from_secs(second);
                while scheduler.wants() > 0 && read < total {
                    let mut planned = rows[random.usize(0..rows.len())].clone();
                    largest = largest.max(planned.bytes());
                    if random.u8(0..3) == 0 {
                        planned = with_prefix(planned, random.u64(1..5));
                    }
                    scheduler.offer(planned, now);
                    read += 1;
                }
                if read >= total {
                    scheduler.close_input();
                }
                assert_eq!(scheduler.row_bytes, counted(&scheduler), "seed {seed}");
                // If a row gets a new request, the size of this request is added to the size of the row.
                assert!(scheduler.row_bytes <= MOST_BYTES + largest || asks_more, "seed {seed}");
                in_flight.extend(dispatched(&mut scheduler, now));
                random.shuffle(&mut in_flight);
                for ticket in in_flight.split_off(random.usize(0..=in_flight.len())) {
                    let next = scheduler.on_end(ticket, random_verdict(&mut random), now);
                    ended += usize::from(matches!(next, Next::Finished(_) | Next::Pending { .. }));
                }
                if second == 600 {
                    scheduler.halt(HaltReason::Signal(2));
                }
                ended += scheduler.take_set_aside().len();
                match scheduler.poll(now) {
                    Step::Dispatch { ticket, .. } | Step::Canary { ticket, .. } => in_flight.push(ticket),
                    Step::Wait { .. } => assert!(second < 1_200, "seed {seed}: the run does not end"),
                    Step::Drained => break,
                }
            }
            ended += scheduler.take_set_aside().len();

            assert_eq!((ended, scheduler.row_bytes, scheduler.holds_rows()), (read, 0, false), "seed {seed}");
        }
    }

    /// Returns random settings. If `asks_more` is true, the settings contain a policy. The further requests that this
    /// policy sends for a row differ in size from the row's first request.
    fn random_config(asks_more: bool, random: &mut fastrand::Rng) -> Config {
        let mut config = config(RateLimits::new(600, 400_000, 80_000), random.usize(1..50));
        config.retry_for = Duration::from_secs(random.u64(5..100));
        let repair = long("one", 100_000).ask.request;
        config.policy = Some(Box::new(move |_, ask: &Ask, came, attempts| match came {
            RequestResult::Answer(_) | RequestResult::Failure { .. } if asks_more && attempts.len() < 3 => {
                Decision::Ask(Box::new(Ask { request: repair.clone(), purpose: Purpose::Repair, ..ask.clone() }))
            }
            _ => Decision::Keep,
        }));
        config
    }

    fn random_verdict(random: &mut fastrand::Rng) -> Verdict {
        let failure = Failure { status: Some(500), ..Failure::default() };
        match random.u8(0..20) {
            0..2 => limited(Some(random.u64(0..10))),
            2..4 => {
                Verdict::Transient { class: ErrorClass::Server, retry_after: None, maybe_paid: random.bool(), failure }
            }
            4 => Verdict::Overloaded { retry_after: None, maybe_paid: false, failure },
            5 => Verdict::Rejected { class: ErrorClass::InvalidRequest, failure },
            6 if random.u8(0..10) == 0 => Verdict::NoModel(failure),
            7 if random.u8(0..50) == 0 => Verdict::Halt(HaltReason::Key(failure)),
            _ => answer(),
        }
    }

    /// Gives the row a prefix that other rows share, and returns the row.
    fn with_prefix(mut planned: Planned, prefix: u64) -> Planned {
        let level = Level {
            id: PrefixId(prefix),
            tokens: 2_000,
            place: MarkPlace::Block { brace: 0 },
            lifetime: Caching::FiveMinutes,
        };
        let prefixes = Prefixes { levels: vec![level], least_tokens: 1_024, extra_most: [Money::ZERO; 2] };
        planned.ask.prefixes = Some(prefixes.into());
        planned
    }

    fn counted(scheduler: &Scheduler) -> usize {
        let rows = scheduler.waiting_rows().chain(scheduler.flights.rows());
        rows.map(|entry| entry.planned.bytes()).sum()
    }

    fn alternating(bytes: usize) -> impl FnMut() -> Planned {
        let both = [long("one", bytes), long("other", bytes)];
        let mut turn = 0;
        move || {
            turn += 1;
            both[turn % 2].clone()
        }
    }
}
