//! Changes the limits of the running simulator, and simulates other clients that use these limits.

use std::time::Duration;

use crate::clock::Instant;
use crate::domain::{ModelClass, RateLimits};
use crate::sim::config::OtherManner;

use super::limits::ClassLimits;
use super::state::{BATCHES, Event, Model, TOKEN_COUNT};

impl Model {
    pub(super) fn schedule_changes(&mut self) {
        for at in 0..self.config.changes.len() {
            self.schedule(self.config.changes[at].at, Event::Change(at));
        }
        for at in 0..self.config.others.len() {
            let other = &self.config.others[at];
            let (from, until) = (other.from, other.until);
            match other.manner {
                OtherManner::Steady => {
                    self.schedule(from, Event::OtherStarts(at));
                    self.schedule(until, Event::OtherStops(at));
                }
                OtherManner::Bursts(_) => self.schedule(from, Event::OtherBurst(at)),
            }
        }
    }

    pub(super) fn change(&mut self, change: usize, at: Instant) {
        let change = self.config.changes[change].clone();
        for class in self.classes_of(change.class.as_ref()) {
            let limits = &mut self.classes[class].limits;
            *limits = RateLimits {
                rpm: change.limits.rpm.or(limits.rpm),
                itpm: change.limits.itpm.or(limits.itpm),
                otpm: change.limits.otpm.or(limits.otpm),
            };
            self.accounts_of(class).for_each(|account| account.set(change.limits, at));
        }
    }

    pub(super) fn other_steady(&mut self, other: usize, starts: bool, at: Instant) {
        let (class, permille) = (self.config.others[other].class.clone(), self.config.others[other].permille);
        for class in self.classes_of(class.as_ref()) {
            let total = &mut self.classes[class].others_permille;
            *total = if starts { *total + permille } else { total.saturating_sub(permille) };
            let total = *total;
            self.accounts_of(class).for_each(|account| {
                account.advance(at);
                account.set_others(total);
            });
        }
    }

    pub(super) fn other_burst(&mut self, other: usize, at: Instant) {
        let other_client = self.config.others[other].clone();
        let OtherManner::Bursts(every) = other_client.manner else { return };
        if at >= other_client.until {
            return;
        }
        for class in self.classes_of(other_client.class.as_ref()) {
            // A limit has no bucket until a request uses the limit, so this loop skips unused limits. Skipping unused
            // limits makes little difference, because a bucket refills within a minute.
            self.accounts_of(class).for_each(|account| {
                account.advance(at);
                account.take_share(other_client.permille);
            });
        }
        self.schedule(at + every.max(Duration::from_millis(1)), Event::OtherBurst(other));
    }

    pub(super) fn classes_of(&self, name: Option<&ModelClass>) -> Vec<usize> {
        let is_meant = |at: &usize| match name {
            Some(name) => self.classes[*at].name == *name,
            None => ![TOKEN_COUNT, BATCHES].contains(at),
        };
        (0..self.classes.len()).filter(is_meant).collect()
    }

    pub(super) fn accounts_of(&mut self, class: usize) -> impl Iterator<Item = &mut ClassLimits> {
        self.accounts.iter_mut().filter(move |((_, own), _)| *own == class).map(|(_, limits)| limits)
    }
}
