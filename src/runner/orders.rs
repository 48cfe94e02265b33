//! The orders that a user can give to a run in progress.

use crate::domain::SteeredBy;
use crate::scheduler::Steering;

/// An order to a run in progress.
#[derive(Debug)]
pub enum Order {
    /// Use these settings from now on.
    Set(Box<Steering>),
    /// Pause: send no requests until the run is told to continue. The requests in flight continue.
    Pause,
    /// Continue after a pause.
    Resume,
    /// End the run after the requests in flight have ended.
    Drain,
    /// End the run immediately: abort the requests in flight.
    Stop,
}

/// An order, and the person or program that gives it.
#[derive(Debug)]
pub struct Steer {
    /// What the run should do.
    pub order: Order,
    /// The name of the person or program that gives the order.
    pub by: SteeredBy,
    /// The changes of settings, as a sentence for people. If an order changes no settings, the text is empty, because
    /// the run itself writes a sentence for such an order.
    pub message: String,
    /// The function that gets the result of the order.
    pub applied: Applied,
}

/// A function that is called once, when an order has been applied or rejected. The argument of the function is the
/// message for the person who gave the order.
pub struct Applied(Option<OnApplied>);

type OnApplied = Box<dyn FnOnce(Result<String, String>) + Send>;

impl Applied {
    /// Returns a function that does nothing.
    pub(crate) fn ignored() -> Self {
        Self(None)
    }

    /// Returns a value that calls the function `tell` with the result of the order. The function must return without
    /// delay.
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
