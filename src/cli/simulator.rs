//! Starts the simulator: inside this process for a run with `--simulate`, or as a program of its own.

mod settings;
mod watch;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use anyhow::{Result, anyhow};
use tokio::sync::oneshot;

pub(crate) use self::settings::config;
use self::watch::Watch;
use super::args::SimulateArgs;
use super::config::world::World;
use super::exit::Exit;
use super::{say, shell};
use crate::catalog::{Catalog, Preset};
use crate::clock::RunClock;
use crate::domain::{ProviderKind, Tier};
use crate::journal::Owners;
use crate::runner::signals::{Meaning, Signals};
use crate::sim::config::SimConfig;
use crate::sim::model::Model;
use crate::sim::model::platform::base_path;
use crate::sim::server::SimServer;
use crate::sim::transport::{SharedModel, lock};

/// The default port of the command `simulate`.
const PORT: u16 = 8080;

/// A simulator inside this process. The simulator has a thread and a runtime of its own, so that it does not slow down
/// the run that uses it.
pub(crate) struct Simulator {
    url: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Simulator {
    /// Starts a simulator on a free port of this machine.
    ///
    /// # Errors
    /// Fails if there is no free port, or if no thread can be started.
    pub(crate) fn start(config: SimConfig, clock: RunClock) -> Result<Self> {
        let path = base_path(config.kind);
        let (ready_in, ready) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("simulator".to_owned()).spawn(move || {
            let started = serve_until(config, clock, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), &ready_in, stopped);
            if let Err(error) = started {
                // Sending fails only if the caller no longer waits for the result.
                let _ = ready_in.send(Err(error));
            }
        })?;
        let url = ready.recv().map_err(|_| anyhow!("the simulator ended before it was ready"))??;
        Ok(Self { url: url + path, stop: Some(stop), thread: Some(thread) })
    }

    /// Returns the base URL of the simulator.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // The result is ignored: if the simulator panicked, the panic message has already been printed.
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
        // Sending fails only if the caller no longer waits for the address.
        let _ = ready.send(Ok(server.url().to_owned()));
        let _ = stopped.await;
        Ok(())
    })
}

/// Runs the command `simulate`: answers requests until a signal interrupts it.
pub(crate) fn serve(args: &SimulateArgs, world: &World) -> Result<Exit> {
    let tier = args.limits.tier.unwrap_or(Tier::One);
    let config = settings::from_flags(args, tier, &Catalog::builtin(), world)?;
    let journal = args.journal.as_deref().map(|path| world.resolve(path));
    let owners = if args.trust_owner { Owners::Any } else { Owners::Own };
    let watch = Watch::open(journal.as_deref(), owners, args.verbose)?;
    let journal_failed = watch.as_ref().map(Watch::failure).unwrap_or_default();
    let mut model = Model::new(config);
    if let Some(mut watch) = watch {
        model.watch(move |line| watch.line(line));
    }
    let host = args.host.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let address = SocketAddr::new(host, args.port.unwrap_or(PORT));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve_visibly(Arc::new(Mutex::new(model)), address, (tier, args.kind.unwrap_or_default())))?;
    Ok(if journal_failed.load(Ordering::Relaxed) { Exit::Output } else { Exit::Done })
}

/// Answers requests, and prints the address of the simulator. When a signal interrupts the simulator, prints a summary
/// of the requests.
async fn serve_visibly(model: SharedModel, address: SocketAddr, played: (Tier, ProviderKind)) -> Result<()> {
    let mut signals = Signals::install()?;
    let clock = RunClock::start();
    let server = SimServer::start(address, model.clone(), clock)
        .await
        .map_err(|error| anyhow!("can't listen on {address}: {error}; choose another --port, or 0 for a free one"))?;
    announce(server.url(), played);
    let told = || say::err(&format!("simulated API: {}", watch::summary(&lock(&model).stats(clock.now()).books)));
    loop {
        match signals.next().await {
            Meaning::Status => told(),
            Meaning::Steer => {}
            Meaning::End(_) => break,
        }
    }
    told();
    Ok(())
}

/// Prints the address of the simulator and some commands that use it. The whole text is printed by a single write,
/// because a script that starts the simulator waits only for the first line.
fn announce(url: &str, (tier, kind): (Tier, ProviderKind)) {
    let tier = tier.name();
    let base = format!("{url}{}", base_path(kind));
    let who = if kind == ProviderKind::Anthropic { "API" } else { kind.name() };
    let [variable, stats] = [base.clone(), format!("{url}/__sim/stats")].map(shell::quoted);
    let mut text = format!("simulated {who} on {url} (tier {tier}); Ctrl-C stops it\n");
    text.push_str(&format!("  claude-batch   {}\n", command_for(kind, tier, &base)));
    if matches!(kind, ProviderKind::Anthropic | ProviderKind::LiteLlm | ProviderKind::Messages) {
        text.push_str(&format!("  official SDKs  ANTHROPIC_API_KEY=test ANTHROPIC_BASE_URL={variable}\n"));
    }
    text.push_str(&format!("  statistics     curl {stats}"));
    // A failure is ignored, because the simulator also works if nobody reads this text.
    let _ = say::out(&text);
}

/// Returns a command that runs prompts on a simulated platform.
fn command_for(kind: ProviderKind, tier: &str, base: &str) -> String {
    let preset = Preset::of(kind);
    let mut words = vec!["run", "prompts.jsonl"];
    words.extend(Preset::of_tiers(kind).then_some(["--tier", tier]).into_iter().flatten());
    if kind != ProviderKind::Anthropic {
        words.extend(["--provider", kind.name()]);
    }
    words.extend(["--base-url", base]);
    if preset.key_variables.is_empty() && kind == ProviderKind::Google {
        words.extend(["--api-key-cmd", "echo test"]);
    }
    let key = match kind {
        ProviderKind::Messages => Some("ANTHROPIC_API_KEY"),
        _ => preset.key_variables.first().map(String::as_str),
    };
    let has_workspace = !preset.headers.is_empty();
    let places = preset.places.iter().filter(|_| has_workspace).filter_map(|place| place.variables.first());
    let variables = key.into_iter().chain(places.map(String::as_str)).map(|name| format!("{name}=test "));
    format!("{}{}", variables.collect::<String>(), shell::ours(words))
}
