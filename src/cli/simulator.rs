//! The simulator as people start it: beside a rehearsal, in the same process, or by itself.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow};
use tokio::sync::oneshot;

use super::args::SimulateArgs;
use super::config::TextFile;
use super::config::world::World;
use super::exit::Exit;
use crate::catalog::Catalog;
use crate::clock::RunClock;
use crate::domain::Tier;
use crate::runner::signals;
use crate::sim::config::SimConfig;
use crate::sim::faults::FaultPlan;
use crate::sim::model::Model;
use crate::sim::presets;
use crate::sim::server::SimServer;

/// Port of a simulator that is started by itself.
const PORT: u16 = 8080;

/// A simulator on a thread and a runtime of its own, so that it takes no turns from the run it answers.
pub struct Simulator {
    url: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Simulator {
    /// Starts one on a free port of this machine.
    ///
    /// # Errors
    /// When no port or thread is to be had.
    pub fn start(config: SimConfig, clock: RunClock) -> Result<Self> {
        let (ready_in, ready) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("simulator".to_owned()).spawn(move || {
            let started = serve_until(config, clock, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), &ready_in, stopped);
            if let Err(error) = started {
                // Nobody waits any more when this fails.
                let _ = ready_in.send(Err(error));
            }
        })?;
        let url = ready.recv().map_err(|_| anyhow!("the simulator ended before it began"))??;
        Ok(Self { url, stop: Some(stop), thread: Some(thread) })
    }

    /// Returns its base URL.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A simulator that panicked has said so.
            let _ = thread.join();
        }
    }
}

fn serve_until(
    config: SimConfig,
    clock: RunClock,
    address: SocketAddr,
    ready: &mpsc::Sender<Result<String>>,
    stopped: oneshot::Receiver<()>,
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let model = Arc::new(Mutex::new(Model::new(config)));
        let server = SimServer::start(address, model, clock).await?;
        // Whoever started it may have given up.
        let _ = ready.send(Ok(server.url().to_owned()));
        let _ = stopped.await;
        Ok(())
    })
}

/// Returns a simulated API that keeps the limits of a tier.
///
/// # Errors
/// What is wrong with the fault file, by line and field.
pub fn config(catalog: &Catalog, tier: Tier, faults: Option<&TextFile>) -> Result<SimConfig> {
    let models = presets::models_with(|_, class| Some(catalog.limits(tier, class).limits));
    let config = SimConfig::new(models).with_seed(1);
    let Some(file) = faults else { return Ok(config) };
    Ok(config.with_faults(FaultPlan::parse(&file.text, &file.path.display().to_string())?))
}

/// Serves until interrupted.
pub fn serve(args: &SimulateArgs, world: &World) -> Result<Exit> {
    let catalog = Catalog::builtin();
    let faults = match &args.faults {
        Some(path) => {
            let bytes = world.read(path).with_context(|| format!("--faults: can't read {}", path.display()))?;
            let text =
                String::from_utf8(bytes).with_context(|| format!("--faults: {} is not UTF-8", path.display()))?;
            Some(TextFile { path: path.clone(), text })
        }
        None => None,
    };
    let tier = args.tier.unwrap_or(Tier::One);
    let config = config(&catalog, tier, faults.as_ref())?.with_seed(args.seed.unwrap_or(1));
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port.unwrap_or(PORT)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupts = signals::listen()?;
        let model = Arc::new(Mutex::new(Model::new(config)));
        let server = SimServer::start(address, model, RunClock::start())
            .await
            .with_context(|| format!("can't listen on {address}; choose another --port, or 0 for a free one"))?;
        let url = server.url();
        println!("simulated API on {url} (tier {}); any key will do; Ctrl-C stops it", tier.name());
        println!("  ANTHROPIC_API_KEY=test claude-batch run prompts.jsonl --tier {} --base-url {url}", tier.name());
        println!("  official SDKs: ANTHROPIC_API_KEY=test ANTHROPIC_BASE_URL={url}");
        loop {
            match interrupts.recv().await {
                Some(signals::Interrupt::Status) => {}
                Some(signals::Interrupt::End(_)) | None => return Ok(Exit::Done),
            }
        }
    })
}
