//! Attacks on `simulate`: web pages that send requests to the simulator, slow clients, and clients that try to use up
//! its memory.

mod hosts;
mod memory;
mod secrets;
mod slow;
mod wire;

use super::super::page::{Seen, Size};

pub fn page(size: Size) -> Vec<Seen> {
    let mut seen = hosts::page(size);
    seen.extend(slow::page(size));
    seen.extend(memory::page(size));
    seen.extend(secrets::page(size));
    seen
}
