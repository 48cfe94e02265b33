//! The routes of a run: each endpoint has a provider that makes the requests and a transport that sends them.

use std::sync::Arc;

use crate::domain::PoolId;
use crate::provider::Provider;

/// The transport and the provider that are used for one endpoint.
pub struct Route<T> {
    /// The transport, which sends requests to the server.
    pub transport: Arc<T>,
    /// The provider, which turns rows into requests and responses into replies.
    pub provider: Arc<dyn Provider>,
}

impl<T> Clone for Route<T> {
    fn clone(&self) -> Self {
        Self { transport: Arc::clone(&self.transport), provider: Arc::clone(&self.provider) }
    }
}

/// The routes to all endpoints of a run.
pub struct Routes<T> {
    first: Route<T>,
    /// The other routes, each with the name of its provider.
    others: Vec<(Arc<str>, Route<T>)>,
}

impl<T> Routes<T> {
    /// Returns the routes of a run. Requests for providers that are not in `others` are sent over `first`.
    pub fn new(first: Route<T>, others: Vec<(Arc<str>, Route<T>)>) -> Self {
        Self { first, others }
    }

    /// Returns the routes of a run with only one endpoint.
    pub fn single(transport: Arc<T>, provider: Arc<dyn Provider>) -> Self {
        Self::new(Route { transport, provider }, Vec::new())
    }

    /// Returns the first route. Batches are always sent over the first route.
    pub fn first(&self) -> &Route<T> {
        &self.first
    }

    /// Returns the route for the requests of a pool.
    pub fn of(&self, pool: &PoolId) -> &Route<T> {
        let other = self.others.iter().find(|(name, _)| *name == pool.provider);
        other.map_or(&self.first, |(_, route)| route)
    }
}
