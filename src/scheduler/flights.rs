//! The attempts (requests) in flight.

use crate::clock::Instant;
use crate::domain::{Ask, Cost, Money, RateSignals};
use crate::limiter::Reservation;

use super::entry::Entry;
use super::step::Ticket;
use super::warmth::Plan;

/// What an attempt sends: the request of a row, or a canary (a test request).
#[derive(Debug)]
pub(super) enum Sent {
    Row(Box<Entry>),
    Canary(Box<Ask>),
}

/// An attempt in flight.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) sent: Sent,
    pub(super) pool: usize,
    pub(super) reservation: Reservation,
    pub(super) money: Money,
    pub(super) sent_at: Instant,
    /// Whether the request of the attempt asks for a stream.
    pub(super) stream: bool,
    pub(super) head: Option<Head>,
    /// How the request of the attempt uses the prompt cache.
    pub(super) plan: Plan,
}

impl Flight {
    /// Returns the row of the attempt; `None` for a canary.
    pub(super) fn row(&self) -> Option<&Entry> {
        match &self.sent {
            Sent::Row(entry) => Some(entry),
            Sent::Canary(_) => None,
        }
    }

    /// Returns the row of the attempt, so that it can be changed; `None` for a canary.
    pub(super) fn row_mut(&mut self) -> Option<&mut Entry> {
        match &mut self.sent {
            Sent::Row(entry) => Some(entry),
            Sent::Canary(_) => None,
        }
    }

    /// Returns the request that the attempt sent.
    pub(super) fn ask(&self) -> &Ask {
        match &self.sent {
            Sent::Row(entry) => &entry.planned.ask,
            Sent::Canary(ask) => ask,
        }
    }
}

/// The content of a response head (the status line and headers). The content is kept until the attempt ends.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    /// When the response head came.
    pub(super) at: Instant,
    pub(super) signals: RateSignals,
    pub(super) limit_changed: bool,
    pub(super) request_id: Option<String>,
}

/// What is known about an attempt when it ends, except for its row.
#[derive(Debug)]
pub(super) struct End {
    pub(super) pool: usize,
    pub(super) endpoint: usize,
    pub(super) reserved: Cost,
    pub(super) sent_at: Instant,
    pub(super) head: Option<Head>,
    /// How the request of the attempt used the prompt cache.
    pub(super) plan: Plan,
    pub(super) now: Instant,
}

/// The attempts in flight, each at the index of its ticket. After an attempt has ended, a later attempt can get a
/// ticket with the same number.
#[derive(Debug, Default)]
pub(super) struct Flights {
    slots: Vec<Option<Flight>>,
    free: Vec<u32>,
}

impl Flights {
    /// Adds an attempt and returns its ticket.
    #[inline]
    pub(super) fn insert(&mut self, flight: Flight) -> Ticket {
        match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = Some(flight);
                Ticket(slot)
            }
            None => {
                self.slots.push(Some(flight));
                Ticket(u32::try_from(self.slots.len() - 1).expect("the window is far below four billion"))
            }
        }
    }

    /// Returns an attempt in flight; `None` after the attempt has ended.
    pub(super) fn get(&self, ticket: Ticket) -> Option<&Flight> {
        self.slots[ticket.0 as usize].as_ref()
    }

    /// Returns an attempt in flight, so that it can be changed; `None` after the attempt has ended.
    pub(super) fn get_mut(&mut self, ticket: Ticket) -> Option<&mut Flight> {
        self.slots[ticket.0 as usize].as_mut()
    }

    /// Removes an attempt that ends, and returns the attempt; `None` if the attempt has already ended.
    #[inline]
    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<Flight> {
        let flight = self.slots[ticket.0 as usize].take()?;
        self.free.push(ticket.0);
        Some(flight)
    }

    /// Returns the rows that are in flight.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Entry> {
        self.slots.iter().flatten().filter_map(Flight::row)
    }
}
