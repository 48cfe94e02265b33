//! The settings for reading rows, and the parameters of their requests.

use anyhow::{Result, bail};

use super::system::system_of;
use super::texts::text_of;
use super::world::World;
use crate::cli::args::Settings;
use crate::cli::args::groups::{RequestArgs, SourceArgs, WireArgs};
use crate::cli::args::values::InputFormat;
use crate::domain::Params;
use crate::plan::{Dialect, ModelMap, RequestDefaults};
use crate::source::Template;

/// `--api-version`. All models and parameters work with this version of the API.
pub(super) const API_VERSION: &str = "2023-06-01";

/// The settings for reading rows.
#[derive(Clone, Debug, Default)]
pub struct SourceConfig {
    /// The format of all inputs.
    pub format: InputFormat,
    /// The column with each row's id.
    pub id_column: Option<String>,
    /// The sheet of Excel files.
    pub sheet: Option<String>,
    /// The text of the template, which the user typed or which was read from a file.
    pub template_text: Option<String>,
    /// The highest number of rows to read. Rows that `skip` leaves out are not counted.
    pub limit: Option<u64>,
    /// The number of rows to leave out at the start.
    pub skip: u64,
    /// Whether a broken row stops the run before it starts.
    pub strict: bool,
}

/// Returns the settings for reading rows.
pub(super) fn source_config(source: SourceArgs, world: &World) -> Result<SourceConfig> {
    Ok(SourceConfig {
        format: source.format.unwrap_or_default(),
        id_column: source.id,
        sheet: source.sheet,
        template_text: text_of("template", source.template, world)?,
        limit: source.limit,
        skip: source.skip.unwrap_or(0),
        strict: source.strict.unwrap_or(false),
    })
}

/// Returns the API version and the betas that are sent in the headers of requests.
pub(super) fn dialect(wire: &WireArgs) -> Dialect {
    let api_version = wire.api_version.clone().unwrap_or_else(|| API_VERSION.to_owned());
    Dialect { api_version, betas: sorted(wire.beta.clone()) }
}

/// Returns the parameters of every request.
pub(super) fn request_defaults(request: RequestArgs, world: &World) -> Result<RequestDefaults> {
    let mut params = Params::default();
    for param in request.param {
        if params.get(&param.name).is_some() {
            bail!("--param names {:?} twice; keep one", param.name);
        }
        params.set(&param.name, param.value);
    }
    let system = system_of(request.system, &mut params, world)?;
    let pairs = &request.map_model;
    let repeated = pairs.iter().enumerate().find(|(at, (from, _))| pairs[..*at].iter().any(|(own, _)| own == from));
    if let Some((_, (from, _))) = repeated {
        bail!("--map-model names {from:?} twice; keep one");
    }
    let model_map = ModelMap(request.map_model);
    Ok(RequestDefaults { model: request.model, system, max_tokens: request.max_tokens, params, model_map })
}

/// Returns the parameters that can replace parameters of rows. These parameters come from the flags and the environment
/// of this call.
pub(super) fn overrides(named: Settings, world: &World) -> Result<RequestDefaults> {
    let RequestArgs { model, system, max_tokens, .. } = named.request;
    let overrides = request_defaults(RequestArgs { model, system, max_tokens, ..RequestArgs::default() }, world)?;
    let template = match (&overrides.system, overrides.params.get("system")) {
        (Some(text), _) => Template::of_system(text)?,
        (None, Some(blocks)) => Template::of_system_blocks(blocks)?,
        (None, None) => None,
    };
    if template.is_some() {
        bail!(
            "--system: all rows that are run again get the same system prompt, so it can't contain columns; give a \
             text without columns"
        );
    }
    Ok(overrides)
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names.dedup();
    names
}
