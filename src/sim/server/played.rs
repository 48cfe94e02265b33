//! The body of a response of the simulator. The body sends bytes at the planned times, and breaks the connection if the
//! plan says so.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::super::model::Step;
use super::super::transport::OpenCall;
use super::bounds::Share;
use super::connection::Busy;
use crate::clock::{Instant, RunClock};

/// The delay before a connection is reset. During the delay, the bytes before the reset are sent.
const FLUSH: Duration = Duration::from_millis(2);

/// The resources that a request uses until it is answered.
#[derive(Debug)]
pub(super) struct Open {
    /// While this value exists, the request is counted as open on its connection.
    pub busy: Busy,
    /// The request's share of the memory budget for requests and answers.
    pub share: Share,
}

/// A body that is sent in steps that the model has planned.
pub(super) struct Played {
    steps: VecDeque<Step>,
    call: Option<OpenCall>,
    clock: RunClock,
    sleep: Option<Pin<Box<tokio::time::Sleep>>>,
    open: Open,
    has_length: bool,
}

impl Played {
    /// Returns a body that is sent in the given `steps`. `has_length` says whether the headers state the length of the
    /// body.
    pub(super) fn new(
        steps: VecDeque<Step>,
        has_length: bool,
        call: Option<OpenCall>,
        clock: RunClock,
        open: Open,
    ) -> Self {
        Self { steps, call, clock, sleep: None, open, has_length }
    }

    /// Returns a body that is sent immediately and in one piece.
    pub(super) fn whole(bytes: Vec<u8>, clock: RunClock, open: Open) -> Self {
        let steps = VecDeque::from([Step::Bytes { at: Instant::ZERO, bytes: bytes.into() }]);
        Self::new(steps, true, None, clock, open)
    }

    fn end(&mut self) {
        if let Some(call) = self.call.take() {
            call.end();
        }
    }
}

impl Body for Played {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = &mut *self;
        let due = match this.steps.front() {
            Some(Step::Bytes { at, .. } | Step::Part { at, .. }) => *at,
            // If the reset is already late (on a busy machine), the pause before the reset begins now. Without a pause
            // before the reset, the bytes that precede the reset would never be sent.
            Some(Step::Reset { at }) if this.sleep.is_none() => (*at).max(this.clock.now()) + FLUSH,
            Some(Step::Reset { at }) => *at,
            Some(Step::Stall) => return Poll::Pending,
            None => {
                this.end();
                return Poll::Ready(None);
            }
        };
        if this.sleep.is_some() || due > this.clock.now() {
            let Some(deadline) = this.clock.deadline(due) else { return Poll::Pending };
            let sleep = this.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            this.sleep = None;
        }
        match this.steps.pop_front() {
            Some(Step::Bytes { bytes, .. }) => {
                if this.steps.is_empty() {
                    this.end();
                }
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Some(Step::Part { at, part }) => {
                let (bytes, next) = this.call.as_ref().map(|call| call.write_part(part)).unwrap_or_default();
                this.steps.extend(next.map(|part| Step::Part { at, part }));
                if this.steps.is_empty() {
                    this.end();
                }
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Some(Step::Reset { .. } | Step::Stall) | None => {
                this.end();
                this.open.busy.cut();
                Poll::Ready(Some(Err(io::Error::from(io::ErrorKind::ConnectionReset))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        if !self.has_length {
            return SizeHint::default();
        }
        let length = |step: &Step| if let Step::Bytes { bytes, .. } = step { bytes.len() as u64 } else { 0 };
        SizeHint::with_exact(self.steps.iter().map(length).sum())
    }
}
