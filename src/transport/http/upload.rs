//! The time limits of a request whose body is read from a source while it is sent.
//!
//! Such a body is large, so there is no time limit for sending all of it. But sending must not stall: each piece must
//! be sent within `idle_timeout` after the previous piece. After the last piece was sent, the headers of the response
//! must arrive within `timeout`.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::exchange::after;
use super::faults::{stalled, timed_out, unreadable};
use crate::transport::wire::WireError;

/// The progress of sending a body. When the HTTP client can send a piece, it asks for the piece.
#[derive(Debug, Default)]
pub(super) struct Upload {
    stage: Mutex<Stage>,
    /// The reason why the source can't be read. The reason is stored here, because the HTTP client does not always
    /// return it.
    unreadable: OnceLock<String>,
}

#[derive(Clone, Copy, Debug, Default)]
enum Stage {
    /// The client has not asked for a piece yet.
    #[default]
    Waiting,
    /// The time when the client took the latest piece; further pieces follow.
    Sending(Instant),
    /// The time when the client took the last piece.
    Sent(Instant),
}

/// The time limits that apply to a request until the status line and the headers of its response have arrived.
pub(super) struct Patience<'u> {
    /// The time limit of a request whose body is in memory. For an upload, this time limit applies only until the
    /// upload begins.
    pub(super) deadline: Instant,
    /// The progress of the body, if the body is read from a source.
    pub(super) upload: Option<&'u Upload>,
    pub(super) timeout: Duration,
    pub(super) idle_timeout: Duration,
}

impl Upload {
    /// Records that the HTTP client has taken a piece of the body.
    pub(super) fn on_piece(&self, is_last: bool) {
        let now = Instant::now();
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) =
            if is_last { Stage::Sent(now) } else { Stage::Sending(now) };
    }

    /// Records that the source of the body can't be read.
    pub(super) fn on_fault(&self, error: &std::io::Error) {
        let _ = self.unreadable.set(error.to_string());
    }

    /// Returns the error to report for a failed request. `error` is the HTTP client's error.
    ///
    /// If the client did not take the last piece, the server can't have received the whole request.
    pub(super) fn failed(&self, error: WireError) -> WireError {
        match (self.unreadable.get(), self.stage()) {
            (Some(cause), _) => unreadable(cause),
            (None, Stage::Sent(_)) => error,
            (None, Stage::Waiting | Stage::Sending(_)) => WireError { maybe_sent: false, ..error },
        }
    }

    fn stage(&self) -> Stage {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Patience<'_> {
    /// Returns the time at which the time limits must be checked again. Before this time, no time limit can be
    /// exceeded.
    pub(super) fn next_look(&self) -> Instant {
        match self.upload {
            Some(_) => after(Instant::now(), self.timeout.min(self.idle_timeout)).min(self.limit().0),
            None => self.deadline,
        }
    }

    /// Returns an error if a time limit is exceeded.
    pub(super) fn fault(&self) -> Option<WireError> {
        let (limit, is_stall) = self.limit();
        if self.upload.is_some() && Instant::now() < limit {
            return None;
        }
        Some(match is_stall {
            true => stalled(self.idle_timeout),
            false => timed_out(self.timeout, "no answer began"),
        })
    }

    /// Returns the moment at which the time limit of the current stage is exceeded. Also returns whether this time
    /// limit is the limit for a stalled upload.
    fn limit(&self) -> (Instant, bool) {
        match self.upload.map_or(Stage::Waiting, Upload::stage) {
            Stage::Waiting => (self.deadline, false),
            Stage::Sending(at) => (after(at, self.idle_timeout), true),
            Stage::Sent(at) => (after(at, self.timeout), false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::WireErrorKind;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn an_upload_may_take_any_time_if_it_does_not_stall() {
        let upload = Upload::default();
        let patience = patience(&upload);

        for piece in 1..=100 {
            tokio::time::advance(2 * SECOND).await;
            upload.on_piece(piece == 100);
            assert!(patience.fault().is_none(), "piece {piece}");
            assert!(patience.next_look() <= Instant::now() + 3 * SECOND);
        }
        tokio::time::advance(9 * SECOND).await;
        assert!(patience.fault().is_none());
        tokio::time::advance(SECOND).await;
        assert_eq!(patience.fault().map(|error| (error.kind, error.maybe_sent)), Some((WireErrorKind::Timeout, true)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_that_stalls_ends_at_the_idle_timeout() {
        let upload = Upload::default();
        let patience = patience(&upload);

        upload.on_piece(false);
        tokio::time::advance(3 * SECOND).await;

        assert_eq!(patience.fault().map(|error| (error.kind, error.maybe_sent)), Some((WireErrorKind::Idle, false)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_that_never_begins_is_a_timeout() {
        let upload = Upload::default();
        let patience = patience(&upload);

        tokio::time::advance(9 * SECOND).await;
        assert!(patience.fault().is_none());
        tokio::time::advance(SECOND).await;

        assert_eq!(patience.fault().map(|error| error.kind), Some(WireErrorKind::Timeout));
    }

    fn patience(upload: &Upload) -> Patience<'_> {
        let deadline = Instant::now() + 10 * SECOND;
        Patience { deadline, upload: Some(upload), timeout: 10 * SECOND, idle_timeout: 3 * SECOND }
    }
}
