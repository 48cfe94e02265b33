//! The outbox of a run: a queue and a thread for each target of notices.

use std::sync::Arc;

use secrecy::SecretString;

use super::document::Notice;
use super::queue::Queue;
use super::sender::{Sender, Target, Tries};

/// The queues with the notices of a run. Each target has a thread that sends the notices in its queue.
#[derive(Debug)]
pub(crate) struct Outbox {
    queues: Vec<Arc<Queue>>,
}

impl Outbox {
    /// Starts a thread for each target. Notices to addresses are signed with `secret`.
    ///
    /// # Errors
    /// Returns the error of the operating system if a thread can't be started.
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

    /// Returns the warnings that all queues have collected since the last call.
    pub(crate) fn take_warnings(&self) -> Vec<String> {
        self.queues.iter().flat_map(|queue| queue.take_warnings()).collect()
    }

    /// Closes all queues: no more notices are accepted.
    pub(crate) fn close(&self) {
        self.queues.iter().for_each(|queue| queue.close());
    }

    /// Returns whether all queues are empty and no notice is being sent.
    pub(crate) fn is_done(&self) -> bool {
        self.queues.iter().all(|queue| queue.is_done())
    }

    /// Removes all unsent notices from the queues, and returns their number.
    pub(crate) fn give_up(&self) -> usize {
        self.queues.iter().map(|queue| queue.give_up()).sum()
    }
}
