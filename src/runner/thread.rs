//! The thread of the loop: one runtime, with the loop as a task of it.
//!
//! If the loop were the future that the runtime blocks on, each report of an attempt would wake it through the
//! operating system, although the report comes from the same thread.
//!
//! Rejected: a second thread for sockets (a third more CPU, and not faster); a pause of up to 2 ms before each wait, so
//! that one turn takes the answers of several wake-ups (a fifth more CPU at 200 ms of latency, because after a pause
//! the data of a turn is no longer in the caches; and a server's own timers make answers come together anyway).

use std::io;

use tokio::runtime::{Builder, EnterGuard, Runtime};

/// Sockets that are handled at once. An answer passes through five tasks on its way to the next request. With hundreds
/// of answers at once, the data of the first task has left the caches when the last task needs it. Of 8, 16, 32, 64 and
/// 1,024 (the default) this gave the highest rate, a tenth above the default.
const SOCKETS_A_TURN: usize = 16;

/// A runtime on the thread that makes it.
pub struct LoopThread(Runtime);

impl LoopThread {
    /// Builds the runtime.
    ///
    /// # Errors
    /// When the operating system gives no way to wait for sockets.
    pub fn new() -> io::Result<Self> {
        Ok(Self(Builder::new_current_thread().max_io_events_per_tick(SOCKETS_A_TURN).enable_all().build()?))
    }

    /// Enters the runtime, for setting up what needs one.
    pub(crate) fn enter(&self) -> EnterGuard<'_> {
        self.0.enter()
    }

    /// Runs `work` to its end. A panic in it continues here.
    pub fn run<F>(&self, work: F) -> F::Output
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        match self.0.block_on(self.0.spawn(work)) {
            Ok(output) => output,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// Ends the runtime without waiting for tasks that still run.
    pub(crate) fn shut_down(self) {
        self.0.shutdown_background();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_in_the_work_is_not_lost() {
        let thread = LoopThread::new().expect("a runtime can be built");
        let work = async { panic!("on purpose") };

        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| thread.run(work)));

        let message = caught.map(|()| "").expect_err("it panics");
        assert_eq!(message.downcast_ref::<&str>(), Some(&"on purpose"));
    }
}
