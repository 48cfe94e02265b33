//! The orders that a run can get while it is in progress.

use crate::domain::SteeredBy;
use crate::scheduler::Steering;

/// An order to a run.
#[derive(Debug)]
pub enum Order {
    /// Use these settings from now on.
    Set(Box<Steering>),
    /// Send nothing until the run is told to continue. The requests in flight continue.
    Pause,
    /// Continue after a pause.
    Resume,
    /// End the run. Wait for the requests in flight.
    Drain,
    /// End the run. Abort the requests in flight.
    Stop,
}

/// An order, and who gives it.
#[derive(Debug)]
pub struct Steer {
    /// What the run should do.
    pub order: Order,
    /// Who tells it.
    pub by: SteeredBy,
    /// What is changed, as a sentence for people. It is empty for orders without settings: the run makes their
    /// sentence.
    pub message: String,
    /// Gets the result.
    pub applied: Applied,
}

/// A function that is called once, when an order was applied or refused. It gets the message for the person who gave
/// the order.
pub struct Applied(Option<OnApplied>);

type OnApplied = Box<dyn FnOnce(Result<String, String>) + Send>;

impl Applied {
    /// Returns a function that does nothing.
    pub(crate) fn ignored() -> Self {
        Self(None)
    }

    /// Calls `tell` with the result. It must return at once.
    pub fn tell(tell: impl FnOnce(Result<String, String>) + Send + 'static) -> Self {
        Self(Some(Box::new(tell)))
    }

    pub(super) fn call(self, result: Result<String, String>) {
        if let Some(tell) = self.0 {
            tell(result);
        }
    }
}

impl std::fmt::Debug for Applied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Applied").field(&self.0.is_some()).finish()
    }
}
