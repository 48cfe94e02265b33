//! A quota for retries at an endpoint. The number of retries can exceed the number of successes by at most a fixed
//! number.

/// How many more retries than successes an endpoint can have.
const MOST: f64 = 100.0;
/// The number of retries that one success adds. With one retry per success, an endpoint that answers half of the
/// requests never runs out of retries.
const PER_SUCCESS: f64 = 1.0;

/// The number of retries that an endpoint has left.
#[derive(Debug)]
pub(crate) struct RetryQuota(f64);

impl Default for RetryQuota {
    fn default() -> Self {
        Self(MOST)
    }
}

impl RetryQuota {
    /// Adds the retries that one success allows.
    pub(crate) fn on_success(&mut self) {
        self.0 = (self.0 + PER_SUCCESS).min(MOST);
    }

    /// Uses up one retry if one is left. Returns whether a retry was used up.
    pub(crate) fn take(&mut self) -> bool {
        let has_one = self.0 >= 1.0;
        if has_one {
            self.0 -= 1.0;
        }
        has_one
    }
}
