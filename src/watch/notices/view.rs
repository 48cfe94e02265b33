//! Turns the events of a run into notices.

use std::sync::Arc;

use super::decide::Decider;
use super::document::Notice;
use super::facts::RunFacts;
use super::outbox::Outbox;
use super::rule::{NoticeForm, NoticeRule};
use crate::domain::RunEvent;
use crate::report::{Stats, View};

/// A view that turns events into notices and puts them into the outbox.
pub(crate) struct NoticeView {
    decider: Decider,
    facts: RunFacts,
    form: NoticeForm,
    outbox: Arc<Outbox>,
}

impl NoticeView {
    /// Returns a view that puts notices into `outbox`, for these rules and facts.
    pub(crate) fn new(rules: &[NoticeRule], facts: RunFacts, form: NoticeForm, outbox: Arc<Outbox>) -> Self {
        Self { decider: Decider::new(rules, facts.purse()), facts, form, outbox }
    }
}

impl View for NoticeView {
    fn show(&mut self, event: &RunEvent, stats: &Stats) {
        for happened in self.decider.on_event(event, stats) {
            self.outbox.push(&Notice::new(&happened, event, stats, &self.facts, self.form));
        }
    }

    fn answer(&mut self, _stats: &Stats) {}

    fn take_warnings(&mut self) -> Vec<String> {
        self.outbox.take_warnings()
    }
}
