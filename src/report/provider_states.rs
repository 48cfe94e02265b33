//! The current state of each provider of a run.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::providers::OfProvider;
use super::stats::Stats;
use super::text::{duration, escape};
use super::words::{case_words, outage_words, short_outage};
use crate::domain::{FallbackCase, Outage, PoolStatus};

/// The current state of a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The provider gets no requests for the rest of the run. The first field is the provider that gets the rows
    /// instead. The second field is the reason.
    Stopped(Arc<str>, Cow<'static, str>),
    /// All requests to the provider fail.
    Failing(Box<Outage>),
    /// The rows of the provider go to another provider for some time. The first field is the provider that gets the
    /// rows, and the second field is the reason.
    Diverted(Arc<str>, FallbackCase),
    /// All active pools of the provider wait after a 429. The value is the time until the first of these pools sends
    /// again.
    Held(Duration),
    /// The provider gets requests.
    Sending,
    /// The provider has no rows to answer.
    Idle,
}

impl State {
    /// Returns the state of a provider of this run.
    pub(crate) fn of(own: &OfProvider, stats: &Stats) -> Self {
        let outage = stats.outage.as_ref().filter(|outage| outage.provider == own.name);
        let held = || pools(own, stats).map(|pool| pool.held_for);
        match (&own.diverted, outage) {
            (Some((to, why @ FallbackCase::Account)), _) => {
                Self::Stopped(to.clone(), own.stopped.clone().unwrap_or(case_words(*why).into()))
            }
            (_, Some(outage)) => Self::Failing(Box::new(outage.clone())),
            (Some((to, why)), None) => Self::Diverted(to.clone(), *why),
            (None, None) => match held().collect::<Option<Vec<_>>>() {
                None => Self::Sending,
                Some(held) => held.into_iter().min().map_or(Self::Idle, Self::Held),
            },
        }
    }

    /// Returns the name that scripts use for the state.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Stopped(..) => "stopped",
            Self::Failing(_) => "failing",
            Self::Diverted(..) => "diverted",
            Self::Held(_) => "held",
            Self::Sending => "sending",
            Self::Idle => "idle",
        }
    }

    /// Returns the state as text, such as `stopped: key, credit or spend limit; rows go to bedrock`.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Stopped(to, why) => format!("stopped: {why}; rows go to {}", escape(to)),
            Self::Failing(outage) => outage_words(outage),
            Self::Diverted(to, why) => format!("rows go to {} ({})", escape(to), case_words(*why)),
            Self::Held(wait) => format!("held {}", duration(*wait)),
            Self::Sending | Self::Idle => self.name().to_owned(),
        }
    }

    /// Returns the state as a short text.
    pub(super) fn short_words(&self) -> String {
        match self {
            Self::Failing(outage) => short_outage(outage),
            Self::Diverted(to, _) => format!("rows go to {}", escape(to)),
            Self::Held(wait) => format!("held {}", duration(*wait)),
            Self::Stopped(..) | Self::Sending | Self::Idle => self.name().to_owned(),
        }
    }

    /// Returns the other provider that gets this provider's rows, and the reason for that. Returns `None` if this
    /// provider's rows are not sent to another provider.
    pub(crate) fn diverted(&self) -> Option<(&str, FallbackCase)> {
        match self {
            Self::Stopped(to, _) => Some((to, FallbackCase::Account)),
            Self::Diverted(to, why) => Some((to, *why)),
            Self::Failing(_) | Self::Held(_) | Self::Sending | Self::Idle => None,
        }
    }
}

/// Returns the active pools of a provider: the pools that have rows to send or have requests in flight.
pub(super) fn pools<'a>(own: &'a OfProvider, stats: &'a Stats) -> impl Iterator<Item = &'a PoolStatus> {
    let standing = stats.standing.iter().flat_map(|standing| &standing.pools);
    standing.filter(|status| status.pool.provider == own.name)
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::line::tests::lines;
    use super::super::notes::{Notes, Verbosity};
    use super::super::plain;
    use super::super::stats::tests::{at, failed, pool, retried, started, status, succeeded};
    use super::super::text::width;
    use super::*;
    use crate::domain::{ErrorClass, EventBody, Failure, LimitKind, PoolId, Quality, RateLimits, Reason, RetriedRow};

    #[test]
    fn each_provider_has_a_line_at_every_width() {
        let stats = chain();

        let shown = [120, 80, 40].map(|columns| lines(&stats, columns, false).join("\n")).join("\n\n");

        insta::assert_snapshot!(shown, @"
        rows      █░░░░░░░░░░░░░░░░░░░░░░░ 6% · 1,201 of 20,000 done · 1 failed · 601 rows/min
        time      2 min 00 s · about 31 min left (26–37 min)
        by        anthropic: 840 answered · stopped: key, credit or spend limit; rows go to openrouter
                  bedrock: 0 answered · 1,000 requests, 450,000 input tokens, 90,000 output tokens per minute · held 12 s
                  openrouter: 360 answered · 1,000 requests, 450,000 input tokens, 90,000 output tokens per minute · sending
        now       haiku-4.5 at bedrock held by the server (429), 12 s left · 3 of 16 in flight
        cost      $12.00 spent · $195–204 expected in total

        rows      ░░░░░░░░ 6% · 1,201 of 20,000 done · 1 failed · 601 rows/min
        time      2 min 00 s · about 31 min left (26–37 min)
        by        anthropic: 840 answered · stopped
                  bedrock: 0 answered · held 12 s
                  openrouter: 360 answered · sending
        now       haiku-4.5 at bedrock held by the server (429), 12 s left
        cost      $12.00 spent · $195–204 expected in total

        ░░░░░░░░ 6% · 1,201/20,000 · 1 failed
        2 min 00 s · about 31 min left
        anthropic: 840 answered · stopped
        bedrock: 0 answered · held 12 s
        openrouter: 360 answered · sending
        held, 12 s left
        $12.00 spent · $195–204 expected
        ");
        for columns in 1..250 {
            assert!(lines(&stats, columns, false).iter().all(|line| width(line) <= columns), "{columns} columns");
        }
    }

    #[test]
    fn the_plain_line_has_a_part_for_each_provider() {
        insta::assert_snapshot!(plain::line(&chain()), @"
        2 min 00 s: 1,201 of 20,000 rows done, 1 failed, 840 by anthropic (stopped: key, credit or spend limit; rows go to openrouter), 0 by bedrock (held 12 s), 360 by openrouter (sending), 601 rows/min, about 31 min left (26–37 min), haiku-4.5 at bedrock held by the server (429), 12 s left, 3 of 16 in flight, $12.00 spent, $195–204 expected in total
        ");
    }

    #[test]
    fn a_run_with_one_provider_has_no_lines_about_providers() {
        let mut stats = Stats::default();
        stats.fold(&at(0, started(Some(10), 0)));
        stats.fold(&at(1, at_provider("anthropic", succeeded(Quality::Ok))));
        stats.fold(&at(1, status(Reason::Window, vec![pool("haiku-4.5", [Some(0.5), None, None])])));

        assert!(stats.providers.several().is_empty());
        assert_eq!(lines(&stats, 120, false).iter().filter(|line| line.starts_with("by")).count(), 0);
        assert!(!plain::line(&stats).contains("anthropic"), "{}", plain::line(&stats));
    }

    #[test]
    fn a_stopped_account_stays_stopped_and_other_states_end() {
        let mut stats = chain();
        let state = |stats: &Stats, at: usize| State::of(&stats.providers.several()[at], stats);
        assert_eq!(state(&stats, 2), State::Sending);

        stats.fold(&at(121, diverted("bedrock", FallbackCase::Limit)));
        stats.fold(&at(121, diverted("anthropic", FallbackCase::Overload)));
        assert_eq!(state(&stats, 1), State::Diverted("openrouter".into(), FallbackCase::Limit));
        assert_eq!(state(&stats, 0), State::Stopped("openrouter".into(), "key, credit or spend limit".into()));

        stats.fold(&at(122, EventBody::Returned { to: "bedrock".into() }));
        stats.fold(&at(122, diverted("bedrock", FallbackCase::Refusal)));
        assert!(matches!(state(&stats, 1), State::Held(_)), "a refusal is about one row: {:?}", state(&stats, 1));

        let fault = Failure { status: Some(503), ..Failure::default() };
        let (lasted, next_try) = (Duration::from_secs(4), None);
        let outage = Outage { provider: "openrouter".into(), fault, lasted, next_try };
        stats.fold(&at(123, EventBody::Outage(Some(Box::new(outage)))));
        assert_eq!(state(&stats, 2).words(), "the endpoint fails (503) for 4 s, trying");
        assert_eq!(state(&stats, 1).name(), "held");
    }

    #[test]
    fn a_retried_row_counts_for_its_provider_only_if_a_limit_was_the_reason() {
        let mut stats = chain();
        for class in [ErrorClass::RateLimit, ErrorClass::Overloaded] {
            let pool = Arc::new(PoolId { provider: "bedrock".into(), ..pool("haiku-4.5", [None; 3]).pool });
            let row = Box::new(RetriedRow { pool, ..*retried() });
            stats.fold(&at(121, EventBody::Retried { row, class, limit: None, maybe_paid: false }));
        }

        assert_eq!(stats.providers.several().iter().map(|own| own.limited).collect::<Vec<_>>(), [0, 1, 0]);
    }

    #[test]
    fn notes_name_the_provider_if_there_are_several() {
        let mut notes = Notes::new(Verbosity::Normal);
        let names: Vec<Arc<str>> = vec!["anthropic".into(), "bed\u{1b}rock".into()];
        notes.of(&at(0, EventBody::Providers(names.into())));
        let held = PoolId { provider: "bed\u{1b}rock".into(), ..pool("haiku-4.5", [None; 3]).pool };
        let wait = Duration::from_secs(12);
        let kind = LimitKind::Rate;
        let limits = RateLimits { rpm: Some(50), ..RateLimits::NONE };
        let fault = Failure { status: Some(529), ..Failure::default() };
        let outage = Outage { provider: "anthropic".into(), fault, lasted: Duration::ZERO, next_try: None };
        let bodies = [
            EventBody::Held { pool: held.clone(), wait, kind, dimension: None },
            EventBody::LimitsChanged { pool: held, limits },
            diverted("anthropic", FallbackCase::Limit),
            diverted("anthropic", FallbackCase::Model),
            diverted("anthropic", FallbackCase::Account),
            EventBody::Returned { to: "anthropic".into() },
            EventBody::Outage(Some(Box::new(outage))),
            EventBody::Outage(None),
        ];

        let told = bodies.map(|body| notes.of(&at(1, body)).unwrap_or_default());

        insta::assert_snapshot!(told.join("\n"), @r"
        haiku-4.5 at bed\u{1b}rock must wait 12 s: rate limit
        haiku-4.5 at bed\u{1b}rock: the limits are now 50 requests per minute
        rows of anthropic go to openrouter (limits)
        some rows of anthropic go to openrouter (the model is not available)
        rows of anthropic go to openrouter
        anthropic gets its own rows again
        anthropic: the endpoint is overloaded (529); rows wait or go to another provider, and single requests are sent until one is answered
        anthropic: the endpoint works again after 0 s
        ");
    }

    /// Returns the state of a run with a chain of three providers. The first provider is stopped, and the second
    /// provider waits after a 429.
    pub(in super::super) fn chain() -> Stats {
        let mut stats = Stats::default();
        let names: Vec<Arc<str>> = vec!["anthropic".into(), "bedrock".into(), "openrouter".into()];
        stats.fold(&at(0, started(Some(20_000), 0)));
        stats.fold(&at(0, EventBody::Providers(names.into())));
        for second in 1..=120 {
            for row in 0..10 {
                let provider = if row < 7 { "anthropic" } else { "openrouter" };
                stats.fold(&at(second, at_provider(provider, succeeded(Quality::Ok))));
            }
        }
        let wait = Duration::from_secs(12);
        let held = PoolStatus { held_for: Some(wait), ..of("bedrock", [Some(0.0), None, Some(0.31)]) };
        let kind = LimitKind::Rate;
        stats.fold(&at(120, EventBody::Held { pool: held.pool.clone(), wait, kind, dimension: None }));
        stats.fold(&at(120, at_provider("bedrock", failed(ErrorClass::Server))));
        stats.fold(&at(120, diverted("anthropic", FallbackCase::Limit)));
        stats.fold(&at(120, EventBody::Returned { to: "anthropic".into() }));
        stats.fold(&at(120, diverted("anthropic", FallbackCase::Limit)));
        stats.fold(&at(120, diverted("anthropic", FallbackCase::Account)));
        let pools = vec![held, of("openrouter", [Some(0.83), Some(0.12), Some(0.4)])];
        stats.fold(&at(120, status(Reason::Hold, pools)));
        stats
    }

    fn of(provider: &str, level: [Option<f64>; 3]) -> PoolStatus {
        let PoolStatus { pool: id, .. } = pool("haiku-4.5", level);
        PoolStatus { pool: PoolId { provider: provider.into(), ..id }, ..pool("haiku-4.5", level) }
    }

    fn diverted(from: &str, why: FallbackCase) -> EventBody {
        EventBody::Diverted { from: from.into(), to: "openrouter".into(), why }
    }

    /// Returns the event of a row whose last request was sent to this provider.
    pub(in super::super) fn at_provider(provider: &str, body: EventBody) -> EventBody {
        let id = Arc::new(of(provider, [None; 3]).pool);
        match body {
            EventBody::Failed { class, mut row, usage, cost, without_cache } => {
                row.pool = Some(id);
                EventBody::Failed { class, row, usage, cost, without_cache }
            }
            EventBody::Succeeded {
                row,
                model,
                quality,
                usage,
                cost,
                without_cache,
                latency,
                first_byte,
                mended,
                ..
            } => {
                let pool = Some(id);
                EventBody::Succeeded {
                    row,
                    pool,
                    model,
                    quality,
                    usage,
                    cost,
                    without_cache,
                    latency,
                    first_byte,
                    mended,
                }
            }
            other => other,
        }
    }
}
