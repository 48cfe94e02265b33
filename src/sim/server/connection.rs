//! A connection. Serves one connection, breaks it if a fault requires this, and closes it if it is idle for too long.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// The state that the parts of a connection share.
#[derive(Clone, Debug)]
pub(super) struct Wire(Arc<State>);

#[derive(Debug)]
struct State {
    is_cut: AtomicBool,
    /// How many requests on the connection are being answered.
    open: AtomicUsize,
    opened: Instant,
    /// The time at which the last answer ended, in milliseconds after the connection was opened.
    quiet_since_ms: AtomicU64,
}

impl Wire {
    /// Returns the state of a new connection.
    pub(super) fn new() -> Self {
        let (is_cut, open, quiet_since_ms) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicU64::new(0));
        Self(Arc::new(State { is_cut, open, opened: Instant::now(), quiet_since_ms }))
    }

    /// Begins a request on the connection. The request is open until the returned value is dropped.
    pub(super) fn begin(&self) -> Busy {
        self.0.open.fetch_add(1, Ordering::Relaxed);
        Busy(self.clone())
    }

    /// Returns the time at which the last open request ended; `None` while a request is open.
    fn quiet_since(&self) -> Option<Instant> {
        let passed = Duration::from_millis(self.0.quiet_since_ms.load(Ordering::Relaxed));
        (self.0.open.load(Ordering::Relaxed) == 0).then(|| self.0.opened + passed)
    }

    /// Serves a connection until it ends, or until it has been idle for the time `quiet`.
    pub(super) async fn attend(&self, connection: impl Future, quiet: Duration) {
        let mut connection = pin!(connection);
        loop {
            let look_at = self.quiet_since().unwrap_or_else(Instant::now) + quiet;
            tokio::select! {
                biased;
                _ = &mut connection => return,
                () = tokio::time::sleep_until(look_at) => {
                    if self.quiet_since().is_some_and(|since| since.elapsed() >= quiet) {
                        return;
                    }
                }
            }
        }
    }
}

/// A request that is being answered on a connection.
#[derive(Debug)]
pub(super) struct Busy(Wire);

impl Busy {
    /// Breaks the connection of the request.
    pub(super) fn cut(&self) {
        self.0.0.is_cut.store(true, Ordering::Release);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let state = &self.0.0;
        let passed = u64::try_from(state.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        state.quiet_since_ms.store(passed, Ordering::Relaxed);
        state.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection that another task can break.
pub(super) struct Cuttable {
    stream: TcpStream,
    wire: Wire,
}

impl Cuttable {
    /// Returns a connection that `wire` can break.
    pub(super) fn new(stream: TcpStream, wire: Wire) -> Self {
        Self { stream, wire }
    }

    fn check(&self) -> io::Result<()> {
        if !self.wire.0.is_cut.load(Ordering::Acquire) {
            return Ok(());
        }
        // With a linger time of zero, dropping the stream resets the connection instead of closing it normally.
        let _ = self.stream.set_zero_linger();
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

impl AsyncRead for Cuttable {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Cuttable {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_a_request_is_closed_after_the_quiet_time() {
        let (wire, began) = (Wire::new(), Instant::now());

        wire.attend(std::future::pending::<()>(), QUIET).await;

        assert_eq!(began.elapsed().as_secs(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_keeps_a_connection_open_and_the_quiet_time_restarts_at_its_end() {
        let (wire, began) = (Wire::new(), Instant::now());
        let busy = wire.begin();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(1_000)).await;
            drop(busy);
        });

        wire.attend(std::future::pending::<()>(), QUIET).await;

        assert_eq!(began.elapsed().as_secs(), 1_060);
    }
}
