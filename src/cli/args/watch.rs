//! The arguments of the commands that show or steer runs: `status`, `ctl` and `report`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::groups::PlaceArgs;
use super::settings::{LocalArgs, Settings};

/// Arguments of `status`.
#[derive(Clone, Debug, Default, Args)]
pub struct StatusArgs {
    /// The run, named by its results file, error log, run folder, output or input [default: all runs below the working
    /// folder]
    #[arg(value_name = "RUN", value_hint = ValueHint::FilePath)]
    pub run: Option<PathBuf>,
    /// Show the status again every second (every ten seconds without a terminal) until the run ends
    #[arg(long)]
    pub watch: bool,
    /// Write one JSON document instead of text
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub(crate) local: LocalArgs,
}

/// Arguments of `ctl`.
#[derive(Clone, Debug, Default, Args)]
pub struct CtlArgs {
    /// The run in progress, named by its results file, error log, run folder, output or input
    #[arg(value_name = "RUN", value_hint = ValueHint::FilePath)]
    pub run: PathBuf,
    /// What the run must do: pause, resume, drain, stop, or set NAME=VALUE
    #[arg(value_name = "VERB", required = true)]
    pub words: Vec<String>,
    #[command(flatten)]
    place: PlaceArgs,
}

impl CtlArgs {
    /// Returns the flags as settings.
    pub(crate) fn settings(&self) -> Settings {
        let Self { place, .. } = self.clone();
        Settings { place, ..Settings::default() }
    }
}

/// Arguments of `report`.
#[derive(Clone, Debug, Default, Args)]
pub struct ReportArgs {
    /// The run, named by its results file, error log, run folder, output or input
    #[arg(value_name = "RUN", value_hint = ValueHint::FilePath)]
    pub run: PathBuf,
    /// HTML file to write, or - for standard output [default: report.html in the run folder]
    #[arg(short, long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) local: LocalArgs,
}
