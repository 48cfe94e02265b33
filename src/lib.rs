//! Runs a file of prompts through the Claude Messages API at the limit an organization has, and goes on where it
//! stopped.
//!
//! ```text
//! source ─► plan ─► scheduler(limiter) ─► attempt: provider.encode ─► transport ─► provider.decode ─► classify
//!                       ▲      ▲                                │ head: RateSignals                      │ Verdict
//!                       └──────┴────────────────────────────────┴────────────────────────────────────────┘
//!                       │ Outcome
//!                       ▼
//!                    journal (results, errors) ─► report
//! ```
//!
//! The core (`domain, plan, limiter, scheduler, provider, classify`) is pure: it is given `now`, never reads a clock, a
//! file or a socket, and returns what to do. One task owns all scheduling state; attempts answer over one channel.
//!
//! Layers, each using only those to its left: `clock, domain, catalog` < `source, sink, plan, limiter, provider, answer` <
//! `scheduler, classify, transport, journal, report` < `runner, sim` < `cli`. `sim` never uses `limiter` or
//! `scheduler`: it is their judge.

// What is visible outside is used outside. Tests and benches are programs, where `pub` can't reach further.
#![warn(unreachable_pub)]

pub mod answer;
pub mod catalog;
pub mod classify;
pub mod cli;
pub mod clock;
pub mod domain;
pub mod journal;
pub mod limiter;
pub mod plan;
pub mod provider;
pub mod report;
pub mod runner;
pub mod scheduler;
pub mod sim;
pub mod sink;
pub mod source;
pub mod transport;
