//! The attempts in flight: one task for each request.

use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;
use tokio::task::AbortHandle;

use super::answer_memory::AnswerMemory;
use super::attempt::{Attempt, EndOnce, Report};
use super::routes::{Route, Routes};
use crate::clock::RunClock;
use crate::domain::{Ask, Marked};
use crate::scheduler::Ticket;
use crate::transport::Transport;

/// Starts attempts (requests) and can abort them.
pub(super) struct Attempts<T> {
    routes: Routes<T>,
    clock: RunClock,
    reports: UnboundedSender<Report>,
    memory: Arc<AnswerMemory>,
    /// The latest task of each ticket. The index of a task in this list is the number of its ticket. Aborting a task
    /// that has ended has no effect.
    tasks: Vec<Option<AbortHandle>>,
}

impl<T: Transport> Attempts<T> {
    /// Returns an `Attempts` with no attempt in flight. Each attempt will send its reports to `reports`.
    pub(super) fn new(routes: Routes<T>, clock: RunClock, reports: UnboundedSender<Report>) -> Self {
        Self { routes, clock, reports, memory: Arc::default(), tasks: Vec::new() }
    }

    /// Starts an attempt. The attempt sends the request of `ask`. The end of the attempt is reported, even if its task
    /// is aborted or panics. `marked` contains the places of the cache marks in the request. `is_awaited` says whether
    /// other rows wait until the response has begun.
    pub(super) fn start(&mut self, ticket: Ticket, ask: &Ask, marked: Option<Marked>, is_awaited: bool, stream: bool) {
        let Route { transport, provider } = self.routes.of(&ask.pool).clone();
        let attempt = Attempt {
            transport,
            provider,
            clock: self.clock,
            request: ask.request.clone(),
            marked,
            is_awaited,
            route: Arc::clone(&ask.pool),
            stream,
            end: EndOnce::new(ticket, self.reports.clone(), Arc::clone(&self.memory)),
        };
        let task = tokio::spawn(attempt.run());
        let at = ticket.0 as usize;
        if self.tasks.len() <= at {
            self.tasks.resize_with(at + 1, || None);
        }
        self.tasks[at] = Some(task.abort_handle());
    }
}

impl<T> Attempts<T> {
    /// Aborts all requests in flight. Each aborted attempt still reports its end.
    pub(super) fn abort(&self) {
        self.tasks.iter().flatten().for_each(AbortHandle::abort);
    }
}

impl<T> Drop for Attempts<T> {
    fn drop(&mut self) {
        self.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bytes::Bytes;
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::*;
    use crate::domain::Verdict;
    use crate::provider::{ReplyHead, WireRequest};
    use crate::transport::{Exchange, WireError, WireErrorKind};

    #[tokio::test]
    async fn a_ticket_is_used_again_after_its_attempt_has_ended() {
        let (mut attempts, mut reports) = attempts(Play::Fail);

        for ticket in [3, 5, 3] {
            attempts.start(Ticket(ticket), &ask(), None, false, false);
            assert!(matches!(ended(&mut reports).await, (at, Verdict::Transient { .. }) if at == ticket));
        }

        assert_eq!(attempts.routes.first().transport.sent.load(Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn an_attempt_that_panics_ends_and_the_next_attempt_is_sent() {
        let (mut attempts, mut reports) = attempts(Play::Panic);

        for _ in 0..2 {
            attempts.start(Ticket(0), &ask(), None, false, false);
            assert!(matches!(ended(&mut reports).await, (0, Verdict::Rejected { .. })));
        }

        assert_eq!(attempts.routes.first().transport.sent.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn an_aborted_attempt_reports_its_end_even_if_its_task_never_ran() {
        let (mut attempts, mut reports) = attempts(Play::Hang);
        attempts.start(Ticket(0), &ask(), None, false, false);
        tokio::task::yield_now().await;
        attempts.start(Ticket(1), &ask(), None, false, false);

        attempts.abort();

        let both = [ended(&mut reports).await, ended(&mut reports).await];
        assert!(both.iter().all(|(_, verdict)| matches!(verdict, Verdict::Aborted)), "{both:?}");
        assert_eq!(both.map(|(ticket, _)| ticket).iter().sum::<u32>(), 1);
        assert_eq!(attempts.routes.first().transport.sent.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn requests_in_flight_are_aborted_when_nobody_waits_for_them() {
        let (mut attempts, mut reports) = attempts(Play::Hang);
        attempts.start(Ticket(0), &ask(), None, false, false);

        drop(attempts);

        assert!(matches!(ended(&mut reports).await, (0, Verdict::Aborted)));
    }

    async fn ended(reports: &mut UnboundedReceiver<Report>) -> (u32, Verdict) {
        let report = reports.recv().await.expect("a report");
        assert!(report.head.is_none(), "{report:?}");
        (report.ticket.0, report.end.expect("an end").verdict)
    }

    fn attempts(play: Play) -> (Attempts<Stage>, UnboundedReceiver<Report>) {
        let (reports_in, reports) = unbounded_channel();
        let provider = crate::provider::anthropic::Anthropic::new("2023-06-01", &[], http::HeaderMap::new());
        let provider = Arc::new(provider.expect("a provider"));
        let stage = Arc::new(Stage { play, sent: AtomicUsize::new(0) });
        let routes = Routes::single(stage, provider);
        (Attempts::new(routes, RunClock::start(), reports_in), reports)
    }

    fn ask() -> Ask {
        crate::scheduler::tests::planned("a", 1, 1).ask
    }

    #[derive(Clone, Copy)]
    enum Play {
        Fail,
        Hang,
        Panic,
    }

    struct Stage {
        play: Play,
        sent: AtomicUsize,
    }

    impl Transport for Stage {
        type Exchange = Never;

        async fn send(&self, _request: WireRequest) -> Result<Never, WireError> {
            self.sent.fetch_add(1, Ordering::Relaxed);
            match self.play {
                Play::Fail => {
                    Err(WireError { kind: WireErrorKind::Broken, maybe_sent: true, message: "broken".to_owned() })
                }
                Play::Hang => std::future::pending().await,
                Play::Panic => panic!("on purpose"),
            }
        }
    }

    struct Never;

    impl Exchange for Never {
        fn head(&self) -> &ReplyHead {
            unreachable!("no answer comes")
        }

        async fn chunk(&mut self) -> Result<Option<Bytes>, WireError> {
            Ok(None)
        }
    }
}
