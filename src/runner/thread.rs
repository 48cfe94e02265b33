//! The thread of the loop: a runtime, in which the loop is a task.
//!
//! The loop is a task of its own, and not the future on which the runtime blocks. If the runtime blocked on the loop,
//! each report of an attempt would wake the loop through the operating system. A wake-up through the operating system
//! is slow. Because the report comes from the same thread, no such wake-up is necessary.
//!
//! Rejected:
//! - A second thread for sockets raises the CPU time of a run by a third and makes the run no faster.
//! - With a pause of up to 2 ms before each wait, one iteration of the loop handles more answers. But if the latency is
//!   200 ms, these pauses raise the CPU time of a run by a fifth. The reason is that the data of the loop leaves the
//!   CPU caches during a pause. Such a pause also brings little benefit. Even without a pause, answers come in groups,
//!   because each server sends answers when its own timers fire.

use std::io;

use tokio::runtime::{Builder, EnterGuard, Runtime};

/// The highest number of sockets that the runtime handles in one iteration. An answer passes through five tasks before
/// the next request is sent. If hundreds of answers were handled together, the data of an answer would not stay in the
/// CPU caches until its fifth task. The values 8, 16, 32, 64 and 1,024 (the default) were measured. With the value 16,
/// the rate was highest: a tenth higher than with the default.
const SOCKETS_PER_ITERATION: usize = 16;

/// A runtime (tokio) that runs on the thread that creates it.
pub struct LoopThread(Runtime);

impl LoopThread {
    /// Builds the runtime.
    ///
    /// # Errors
    /// Returns the operating system's error if the program can't wait for sockets.
    pub fn new() -> io::Result<Self> {
        Ok(Self(Builder::new_current_thread().max_io_events_per_tick(SOCKETS_PER_ITERATION).enable_all().build()?))
    }

    /// Enters the runtime, so that the caller can create things that need a runtime.
    pub(crate) fn enter(&self) -> EnterGuard<'_> {
        self.0.enter()
    }

    /// Runs `work` until it ends. If `work` panics, the panic continues in the caller.
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
