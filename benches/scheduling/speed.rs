//! Measures how many rows per second the scheduler sends, and how many finished rows per second it handles. The
//! scheduler runs on one core.

use std::time::Instant as WallInstant;

use bytes::Bytes;
use claude_batch::clock::Instant;
use claude_batch::domain::{Message, Quality, RateLimits, Usage, Verdict};
use claude_batch::scheduler::{Scheduler, Step, Window};

use crate::support;

const ROWS: u64 = 200_000;

/// Returns two rates: how many rows per second the scheduler sends, and how many finished rows per second it handles.
/// Limits are set in all dimensions, and all rows are in flight at once.
pub fn measure() -> (f64, f64) {
    let limits = RateLimits::new(u32::MAX, u32::MAX, u32::MAX);
    let mut scheduler = Scheduler::new(support::config(limits, Window::fixed(ROWS as usize), 1));
    let now = Instant::from_secs(1);
    (0..ROWS).for_each(|row| scheduler.offer(support::planned(row, "haiku-4.5", 20, 20), now));
    scheduler.close_input();
    let mut tickets = Vec::with_capacity(ROWS as usize);
    let (mut now, mut admitting) = (now, std::time::Duration::ZERO);
    while tickets.len() < ROWS as usize {
        let started = WallInstant::now();
        let step = loop {
            match scheduler.poll(now) {
                Step::Dispatch { ticket, .. } => tickets.push(ticket),
                step => break step,
            }
        };
        admitting += started.elapsed();
        if let Step::Wait { until, .. } = step {
            now = now.max(until.min(now + std::time::Duration::from_secs(1)));
        }
    }
    let started = WallInstant::now();
    for ticket in tickets {
        let usage = Usage { input_tokens: 20, output_tokens: 20, ..Usage::default() };
        let message = Message { json: Bytes::new(), usage, quality: Quality::Ok, content: 0..0 };
        drop(scheduler.on_end(ticket, Verdict::Answered(message), now));
    }
    (ROWS as f64 / admitting.as_secs_f64(), ROWS as f64 / started.elapsed().as_secs_f64())
}
