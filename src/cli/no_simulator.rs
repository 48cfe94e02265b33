//! Replaces the simulator in a program that was built without it.

use anyhow::{Result, bail};

use super::config::TextFile;
use crate::catalog::Catalog;
use crate::clock::RunClock;
use crate::domain::Tier;

/// Replaces the simulator, which this build does not have.
pub(super) enum Simulator {}

impl Simulator {
    pub(super) fn start(config: Simulator, _clock: RunClock) -> Result<Self> {
        match config {}
    }

    pub(super) fn url(&self) -> &str {
        match *self {}
    }
}

/// Refuses `--simulate`.
pub(super) fn config(_catalog: &Catalog, _tier: Tier, _faults: Option<&TextFile>) -> Result<Simulator> {
    bail!("--simulate: this program was built without the simulator (feature sim)")
}
