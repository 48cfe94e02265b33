//! The members that the provider of a planner does not accept. Rows with some of these members are rejected. If the
//! provider does not accept a member but the row is not rejected, the member is left out of the request.

use std::sync::Arc;

use super::checks::{self, Fault};
use super::notice::Notice;
use crate::domain::{MemberFinder, RequestRules};

/// The rules of a provider that the planner applies to rows.
#[derive(Debug)]
pub(super) struct ProviderRules {
    /// The name of the provider.
    provider: Arc<str>,
    rules: Arc<RequestRules>,
    refused: MemberFinder,
    dropped: MemberFinder,
    /// For each member that is left out: whether the user has been warned about it.
    told: Vec<bool>,
}

impl ProviderRules {
    /// Returns the rules of the provider with this name; `None` if the provider accepts all members.
    pub(super) fn new(provider: Arc<str>, rules: Arc<RequestRules>) -> Option<Self> {
        let (refused, dropped) = (MemberFinder::new(&rules.refuse), MemberFinder::new(&rules.drop));
        let told = vec![false; rules.drop.len()];
        let is_empty = refused.is_empty() && dropped.is_empty();
        (!is_empty).then_some(Self { provider, rules, refused, dropped, told })
    }

    /// Checks that a request has no member that the provider rejects. Adds a notice about each member that is left out
    /// of requests, but only once.
    ///
    /// # Errors
    /// Returns a fault if the provider rejects a member of the request.
    pub(super) fn check(&mut self, request: &[u8], notices: &mut Vec<Notice>) -> Result<(), Fault> {
        checks::refused(&self.provider, &self.rules, &self.refused, request)?;
        if self.told.iter().all(|told| *told) {
            return Ok(());
        }
        for found in self.dropped.find(request) {
            if !std::mem::replace(&mut self.told[found.path], true) {
                let (provider, member) = (self.provider.clone(), self.rules.drop[found.path].clone());
                notices.push(Notice::Dropped { provider, member });
            }
        }
        Ok(())
    }
}
