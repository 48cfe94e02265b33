//! The official SDKs, unchanged, against the simulator.
//!
//! Needs the SDKs: `SDK_PYTHON` names a Python that can `import anthropic`, `SDK_FOLDER` a folder whose `node_modules`
//! has `@anthropic-ai/sdk`. `tests/sdk/run` installs both and runs these; by themselves they are ignored.
#![cfg(feature = "sim")]

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::Duration;

use claude_batch::domain::RateLimits;
use claude_batch::sim::config::{Latency, SimConfig};
use claude_batch::sim::faults::FaultPlan;
use claude_batch::sim::presets;
use claude_batch::sim::server::SimServer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the Python SDK: run tests/sdk/run"]
async fn the_python_sdk_passes() {
    let server = start().await;
    let python = std::env::var("SDK_PYTHON").expect("SDK_PYTHON names a Python with the SDK");
    let mut command = Command::new(python);
    command.arg("tests/sdk/python_sdk.py").arg(server.url());

    assert!(passes(command).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the TypeScript SDK: run tests/sdk/run"]
async fn the_typescript_sdk_passes() {
    let server = start().await;
    let mut command = Command::new("node");
    command.args(["--test", "tests/sdk/typescript_sdk.mjs"]).env("SIMULATOR_URL", server.url());

    assert!(passes(command).await);
}

async fn start() -> SimServer {
    let faults = FaultPlan::parse(include_str!("sdk/faults.json"), "tests/sdk/faults.json").expect("a good plan");
    let config = SimConfig::new(presets::models())
        .with_limits(RateLimits::new(10_000, 10_000_000, 2_000_000))
        .with_latency(Latency { first_token: Duration::from_millis(20), tokens_per_second: 5_000.0, ..Latency::ZERO })
        .with_faults(faults);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    SimServer::serve(config, address).await.expect("a free port").0
}

/// Runs a script without any setting of the user's that the SDKs would take up.
async fn passes(mut command: Command) -> bool {
    for name in ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "ANTHROPIC_PROFILE"] {
        command.env_remove(name);
    }
    command.env("NO_PROXY", "127.0.0.1").current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
    let run = move || command.status().expect("the script starts").success();
    tokio::task::spawn_blocking(run).await.expect("the script ends")
}
