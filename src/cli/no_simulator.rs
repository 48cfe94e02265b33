//! Replaces the module `simulator` in a program that was built without the simulator.

use anyhow::{Result, bail};

use super::config::Config;
use super::config::providers::ProviderConfig;
use crate::catalog::Catalog;
use crate::clock::RunClock;

/// A type without values that replaces the simulator in this build.
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
pub(super) fn config(_catalog: &Catalog, _config: &Config, _provider: &ProviderConfig) -> Result<Simulator> {
    bail!("--simulate: this program was built without the simulator (feature sim)")
}
