//! A row in the scheduler: its present request, and what was tried before.

use crate::clock::Instant;
use crate::domain::{AttemptRecord, Planned};

use super::endpoint::Tally;
use super::step::GateId;

/// A row with its history in this run.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) planned: Planned,
    /// How many bytes `planned` takes of the memory for rows.
    pub(super) bytes: usize,
    pub(super) attempts: Vec<AttemptRecord>,
    /// How many tries of the present request counted.
    pub(super) tries: u32,
    pub(super) overloads: u32,
    /// Faults that may have been hidden refusals.
    pub(super) maybe_refused: u32,
    /// When the first try began after which the row had to wait, for any reason.
    pub(super) waiting_since: Option<Instant>,
    /// How often it was refused or met a fault. Rows with fewer turns are tried first.
    pub(super) turns: u32,
    /// The tally of its endpoint when this row last met a fault.
    pub(super) at_fault: Option<Tally>,
    /// Whether its request asks for a stream, once that is decided.
    pub(super) wants_stream: Option<bool>,
    /// Whether it has met a fault that was its own, not the endpoint's.
    pub(super) is_suspect: bool,
    /// The gate behind which others wait for this row.
    pub(super) leads: Option<GateId>,
}

impl Entry {
    /// Returns a row without any try yet.
    pub(super) fn new(planned: Planned) -> Self {
        Self {
            bytes: planned.bytes(),
            planned,
            attempts: Vec::new(),
            tries: 0,
            overloads: 0,
            maybe_refused: 0,
            waiting_since: None,
            turns: 0,
            wants_stream: None,
            at_fault: None,
            is_suspect: false,
            leads: None,
        }
    }

    /// Returns whether it has a paid answer that no line keeps.
    pub(super) fn holds_answer(&self) -> bool {
        self.attempts.iter().any(|attempt| attempt.failed.is_none())
    }
}
