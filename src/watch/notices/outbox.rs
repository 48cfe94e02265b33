//! Where the notices of a run go: one queue and one thread for each target.

use std::sync::Arc;

use secrecy::SecretString;

use super::document::Notice;
use super::queue::Queue;
use super::sender::{Sender, Target, Tries};

/// The notices of a run, and the threads that send them.
#[derive(Debug)]
pub(crate) struct Outbox {
    queues: Vec<Arc<Queue>>,
}

impl Outbox {
    /// Starts a thread for each target. `secret` signs the notices to addresses.
    ///
    /// # Errors
    /// The system's error if it has no more threads.
    pub(crate) fn open(targets: Vec<Target>, secret: Option<SecretString>) -> std::io::Result<Self> {
        let secret = secret.map(Arc::new);
        let start = |target: Target| {
            let queue = Arc::<Queue>::default();
            let (queue_of_sender, secret, tries) = (queue.clone(), secret.clone(), Tries::default());
            let sender = Sender { target, queue: queue_of_sender, secret, tries };
            std::thread::Builder::new().name("notices".to_owned()).spawn(move || sender.run())?;
            Ok(queue)
        };
        Ok(Self { queues: targets.into_iter().map(start).collect::<std::io::Result<_>>()? })
    }

    /// Puts a notice into the queue of each target.
    pub(super) fn push(&self, notice: &Notice) {
        self.queues.iter().for_each(|queue| queue.push(notice.clone()));
    }

    /// Returns the warnings since the last call.
    pub(crate) fn take_warnings(&self) -> Vec<String> {
        self.queues.iter().flat_map(|queue| queue.take_warnings()).collect()
    }

    /// Accepts no more notices.
    pub(crate) fn close(&self) {
        self.queues.iter().for_each(|queue| queue.close());
    }

    /// Returns whether every notice was sent or given up.
    pub(crate) fn is_done(&self) -> bool {
        self.queues.iter().all(|queue| queue.is_done())
    }

    /// Gives up all notices that were not sent, and returns their number.
    pub(crate) fn give_up(&self) -> usize {
        self.queues.iter().map(|queue| queue.give_up()).sum()
    }
}
