//! The servers of a run: for each endpoint, what makes its requests and what sends them.

use std::sync::Arc;

use crate::domain::PoolId;
use crate::provider::Provider;

/// How one endpoint is reached.
pub struct Route<T> {
    /// Sends requests to the server.
    pub transport: Arc<T>,
    /// Makes requests from rows, and replies from responses.
    pub provider: Arc<dyn Provider>,
}

impl<T> Clone for Route<T> {
    fn clone(&self) -> Self {
        Self { transport: Arc::clone(&self.transport), provider: Arc::clone(&self.provider) }
    }
}

/// How all endpoints of a run are reached.
pub struct Routes<T> {
    first: Route<T>,
    /// The other routes, by the name of their provider.
    others: Vec<(Arc<str>, Route<T>)>,
}

impl<T> Routes<T> {
    /// Returns the routes of a run. Requests of all providers that are not in `others` are sent over `first`.
    pub fn new(first: Route<T>, others: Vec<(Arc<str>, Route<T>)>) -> Self {
        Self { first, others }
    }

    /// Returns the route of a run with one endpoint.
    pub fn single(transport: Arc<T>, provider: Arc<dyn Provider>) -> Self {
        Self::new(Route { transport, provider }, Vec::new())
    }

    /// Returns the first route. Batches are sent over it.
    pub fn first(&self) -> &Route<T> {
        &self.first
    }

    /// Returns the route for the requests of a pool.
    pub fn of(&self, pool: &PoolId) -> &Route<T> {
        let other = self.others.iter().find(|(name, _)| *name == pool.provider);
        other.map_or(&self.first, |(_, route)| route)
    }
}
