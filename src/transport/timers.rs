//! Timers that are used for several requests, one after the other.
//!
//! If each request had a new timer, the runtime would add each timer to its list, and would nearly always remove the
//! timer before the deadline. Moving an existing timer to a later time is cheaper than adding a timer, because the move
//! only changes a number.

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

/// The unused timers. The list never has more timers than the largest number of timers that were in use at the same
/// time.
#[derive(Default)]
pub(super) struct Timers(Mutex<Vec<Pin<Box<Sleep>>>>);

impl Timers {
    /// Returns a timer that fires at `deadline`.
    pub(super) fn until(&self, deadline: Instant) -> Timer<'_> {
        let idle = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let sleep = match idle {
            Some(mut sleep) => {
                sleep.as_mut().reset(deadline);
                sleep
            }
            None => Box::pin(sleep_until(deadline)),
        };
        Timer { of: self, sleep: Some(sleep) }
    }
}

/// A timer in use. When this value is dropped, the timer is added to the unused timers again.
pub(super) struct Timer<'t> {
    of: &'t Timers,
    /// `None` only while the timer is being dropped.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer<'_> {
    /// Returns `Ready` when the deadline has passed.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.sleep.as_mut().map_or(Poll::Pending, |sleep| sleep.as_mut().poll(context))
    }
}

impl Drop for Timer<'_> {
    fn drop(&mut self) {
        let mut idle = self.of.0.lock().unwrap_or_else(PoisonError::into_inner);
        idle.extend(self.sleep.take());
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_timer_that_is_used_again_fires_at_its_new_deadline() {
        let timers = Timers::default();
        let start = Instant::now();
        for secs in [5, 60, 7] {
            let mut unused = timers.until(start + Duration::from_secs(secs));
            assert!(poll_fn(|context| Poll::Ready(unused.poll(context))).await.is_pending());
        }

        let mut timer = timers.until(start + Duration::from_secs(9));
        poll_fn(|context| timer.poll(context)).await;

        assert_eq!(start.elapsed(), Duration::from_secs(9));
        drop(timer);
        assert_eq!(timers.0.lock().map(|idle| idle.len()).ok(), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_that_has_fired_can_be_used_again() {
        let timers = Timers::default();
        let start = Instant::now();
        for secs in [5, 11] {
            let mut timer = timers.until(start + Duration::from_secs(secs));
            poll_fn(|context| timer.poll(context)).await;
        }

        assert_eq!(start.elapsed(), Duration::from_secs(11));
    }
}
