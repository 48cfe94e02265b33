//! Senders: tasks that each send one request after another.
//!
//! A task for each request would be made, aligned and thrown away forty thousand times a second; so a sender that is done
//! waits for its next request. There are as many senders as requests were ever in flight at once.
//!
//! A sender may die, by a panic or because it is cut off. What lies on its desk then ends as aborted, and the next request
//! meant for it gets a new sender.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use tokio::sync::mpsc::UnboundedSender;
use tokio::task::AbortHandle;

use super::attempt::{EndOnce, Report, Sent, exchange};
use super::room::Room;
use crate::clock::RunClock;
use crate::domain::{Ask, PoolId, Request};
use crate::provider::Provider;
use crate::scheduler::Ticket;
use crate::transport::Transport;

/// All senders of a run.
pub(super) struct Senders<T> {
    transport: Arc<T>,
    provider: Arc<dyn Provider>,
    clock: RunClock,
    reports: UnboundedSender<Report>,
    room: Arc<Room>,
    senders: Vec<Sender>,
    idle: Vec<usize>,
    /// The sender of each ticket, by its number.
    sender_of: Vec<usize>,
}

struct Sender {
    desk: Arc<Desk>,
    task: AbortHandle,
}

impl<T: Transport> Senders<T> {
    /// Returns none yet; what their requests come to is told over `reports`.
    pub(super) fn new(
        transport: Arc<T>,
        provider: Arc<dyn Provider>,
        clock: RunClock,
        reports: UnboundedSender<Report>,
    ) -> Self {
        Self {
            transport,
            provider,
            clock,
            reports,
            room: Arc::default(),
            senders: Vec::new(),
            idle: Vec::new(),
            sender_of: Vec::new(),
        }
    }

    /// Sends what is asked for a row. Its end is reported from here on, whatever happens to the sender.
    pub(super) fn send(&mut self, ticket: Ticket, ask: &Ask, stream: bool) {
        let end = EndOnce::new(ticket, self.reports.clone(), Arc::clone(&self.room));
        let work = Work { request: ask.request.clone(), route: ask.pool.clone(), stream, end };
        let sender = self.put(work);
        let at = ticket.0 as usize;
        if self.sender_of.len() <= at {
            self.sender_of.resize(at + 1, 0);
        }
        self.sender_of[at] = sender;
    }

    /// Notes that a request has ended, so that its sender is free.
    pub(super) fn ended(&mut self, ticket: Ticket) {
        if let Some(&sender) = self.sender_of.get(ticket.0 as usize) {
            self.idle.push(sender);
        }
    }

    /// Cuts off what is in flight; each request still reports its end.
    pub(super) fn cut_off(&mut self) {
        self.senders.iter().for_each(|sender| sender.task.abort());
    }

    fn put(&mut self, work: Work) -> usize {
        let Some(at) = self.idle.pop() else {
            let sender = self.open(work);
            self.senders.push(sender);
            return self.senders.len() - 1;
        };
        if let Some(work) = self.senders[at].desk.put(work) {
            self.senders[at] = self.open(work);
        }
        at
    }

    fn open(&self, work: Work) -> Sender {
        let desk = Arc::new(Desk(Mutex::new(OnDesk { work: Some(work), ..OnDesk::default() })));
        let sender = go(self.transport.clone(), self.provider.clone(), self.clock, Seat(desk.clone()));
        Sender { desk, task: tokio::spawn(sender).abort_handle() }
    }
}

impl<T> Drop for Senders<T> {
    fn drop(&mut self) {
        self.senders.iter().for_each(|sender| sender.task.abort());
    }
}

/// Sends what is put on the desk, for ever.
async fn go<T: Transport>(transport: Arc<T>, provider: Arc<dyn Provider>, clock: RunClock, seat: Seat) {
    loop {
        let Work { request, route, stream, end } = seat.0.next().await;
        let sent = Sent { request: &request, route: &route, stream };
        exchange(&*transport, &*provider, sent, clock, end).await;
    }
}

/// A request to be sent. It gets its wire form where it is sent: that is large, and each hand it goes through would
/// copy it.
struct Work {
    request: Request,
    route: Arc<PoolId>,
    stream: bool,
    end: EndOnce,
}

/// Where a sender's next request is put.
struct Desk(Mutex<OnDesk>);

#[derive(Default)]
struct OnDesk {
    work: Option<Work>,
    waiter: Option<Waker>,
    /// Nobody takes anything from here any more.
    is_left: bool,
}

impl Desk {
    /// Puts work there; gives it back when the sender is dead.
    fn put(&self, work: Work) -> Option<Work> {
        let mut desk = self.open();
        if desk.is_left {
            return Some(work);
        }
        desk.work = Some(work);
        let waiter = desk.waiter.take();
        drop(desk);
        waiter.into_iter().for_each(Waker::wake);
        None
    }

    async fn next(&self) -> Work {
        poll_fn(|context| {
            let mut desk = self.open();
            match desk.work.take() {
                Some(work) => Poll::Ready(work),
                None => {
                    desk.waiter = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    fn open(&self) -> MutexGuard<'_, OnDesk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sender's own hold on its desk: leaves it for good when the sender dies, and ends what lies there.
struct Seat(Arc<Desk>);

impl Drop for Seat {
    fn drop(&mut self) {
        let mut desk = self.0.open();
        desk.is_left = true;
        let left_behind = desk.work.take();
        drop(desk);
        drop(left_behind);
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
    async fn a_sender_that_is_done_sends_the_next_request() {
        let (mut senders, mut reports) = senders(Play::Fail);

        for ticket in [3, 5, 3] {
            senders.send(Ticket(ticket), &ask(), false);
            assert!(matches!(ended(&mut reports).await, (at, Verdict::Transient { .. }) if at == ticket));
            senders.ended(Ticket(ticket));
        }

        assert_eq!((senders.senders.len(), senders.transport.sent.load(Ordering::Relaxed)), (1, 3));
    }

    #[tokio::test]
    async fn requests_at_once_have_a_sender_each() {
        let (mut senders, _reports) = senders(Play::Hang);

        senders.send(Ticket(0), &ask(), false);
        senders.send(Ticket(1), &ask(), false);

        assert_eq!(senders.senders.len(), 2);
    }

    #[tokio::test]
    async fn a_sender_that_panicked_is_replaced() {
        let (mut senders, mut reports) = senders(Play::Panic);

        for _ in 0..2 {
            senders.send(Ticket(0), &ask(), false);
            assert!(matches!(ended(&mut reports).await, (0, Verdict::Rejected { .. })));
            senders.ended(Ticket(0));
        }

        assert_eq!((senders.senders.len(), senders.transport.sent.load(Ordering::Relaxed)), (1, 2));
    }

    #[tokio::test]
    async fn what_is_cut_off_ends_whether_it_was_begun_or_not() {
        let (mut senders, mut reports) = senders(Play::Hang);
        senders.send(Ticket(0), &ask(), false);
        tokio::task::yield_now().await;
        senders.send(Ticket(1), &ask(), false);

        senders.cut_off();

        let both = [ended(&mut reports).await, ended(&mut reports).await];
        assert!(both.iter().all(|(_, verdict)| matches!(verdict, Verdict::Aborted)), "{both:?}");
        assert_eq!(both.map(|(ticket, _)| ticket).iter().sum::<u32>(), 1);
    }

    async fn ended(reports: &mut UnboundedReceiver<Report>) -> (u32, Verdict) {
        match reports.recv().await.expect("a report") {
            Report::End(end) if end.head.is_none() => (end.ticket.0, end.verdict),
            other => panic!("{other:?}"),
        }
    }

    fn senders(play: Play) -> (Senders<Stage>, UnboundedReceiver<Report>) {
        let (reports_in, reports) = unbounded_channel();
        let provider = crate::provider::anthropic::Anthropic::new("2023-06-01", &[], http::HeaderMap::new());
        let provider = Arc::new(provider.expect("a provider"));
        let stage = Arc::new(Stage { play, sent: AtomicUsize::new(0) });
        (Senders::new(stage, provider, RunClock::start(), reports_in), reports)
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
