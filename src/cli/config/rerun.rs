//! The settings of a run with `--rerun`.
//!
//! The program must recognize which rows of the input an earlier run has answered. To do so, the program makes the
//! request and the key of every row from the settings that the earlier run recorded. It ignores configuration files.
//! The flags `--model`, `--max-tokens` and `--system` of this call do not change how rows are recognized. `--model`,
//! `--max-tokens` and `--system` change only the rows that are run again. In these rows, the flags also replace the
//! row's own parameters. The rules for answers (`--schema` and others) are taken from the earlier run, unless this call
//! sets other rules.

use anyhow::Result;

use super::Config;
use super::layers::Layers;
use super::rows::{SourceConfig, dialect, overrides, request_defaults, source_config};
use super::world::World;
use crate::cli::args::groups::{RequestArgs, SourceArgs};
use crate::cli::args::layered::Layered;
use crate::cli::args::{RunArgs, Settings};

impl Config {
    /// Returns the settings for the command `run --rerun`. `rows` contains the row settings that the earlier run
    /// recorded. If `rows` is `None`, the settings of this call and of the configuration files are used.
    ///
    /// # Errors
    /// Fails in the same cases as [`Config::of_run`]. This function also fails if the value of `--system` contains a
    /// column.
    pub(crate) fn of_rerun(args: &RunArgs, rows: Option<&Settings>, world: &World) -> Result<Self> {
        let recorded = rows.map(|rows| {
            let Settings { source, answers, .. } = rows.clone();
            Settings { source, answers, ..Settings::default() }
        });
        let config = Self::of_run_with(args, recorded.unwrap_or_default(), world)?;
        let Layers { named, merged, lower, .. } = Layers::read(args.settings.clone(), Settings::default(), world)?;
        let overrides = overrides(named.clone(), world)?;
        let own = RequestArgs { model: None, system: None, max_tokens: None, ..named.request };
        let (read, request, wire) = match rows {
            Some(rows) => {
                let Settings { source, request, wire, .. } = rows.clone();
                (named.source.over(source), own.over(request), named.wire.over(wire))
            }
            None => (merged.source, own.over(lower.request), merged.wire),
        };
        let SourceArgs { format, id, template, .. } = read;
        let read = source_config(SourceArgs { format, id, template, ..SourceArgs::default() }, world)?;
        let SourceConfig { format, id_column, template_text, .. } = read;
        Ok(Self {
            source: SourceConfig { format, id_column, template_text, ..config.source },
            request: request_defaults(request, world)?,
            dialect: dialect(&wire),
            overrides,
            ..config
        })
    }
}
