//! The parameters from flags, in the order in which they are sent.

use super::RequestDefaults;
use crate::catalog::Catalog;
use crate::domain::Params;
use crate::domain::json::{raw_value, string_value};

/// The value of `max_tokens` for a row without this parameter, if no flag sets it.
pub(crate) const DEFAULT_MAX_TOKENS: u32 = 1024;

/// Puts defaults into the order in which they are sent: model, max_tokens and system, then the parameters of `--param`
/// in their order.
pub(super) fn in_order(defaults: RequestDefaults, catalog: &Catalog) -> Params {
    let RequestDefaults { model, system, max_tokens, params, model_map: _ } = defaults;
    let model = model.or_else(|| params.get("model").is_none().then(|| catalog.default_model().to_owned()));
    let max_tokens = max_tokens.or_else(|| params.get("max_tokens").is_none().then_some(DEFAULT_MAX_TOKENS));
    let mut ordered =
        named(&RequestDefaults { model, system, max_tokens, params: params.clone(), ..Default::default() });
    for (name, value) in &params.0 {
        if &**name != "stream" {
            ordered.set_default(name, value);
        }
    }
    ordered
}

/// Returns the parameters `model`, `max_tokens` and `system` of these defaults, if they are set.
pub(super) fn named(defaults: &RequestDefaults) -> Params {
    let RequestDefaults { model, system, max_tokens, params, model_map: _ } = defaults;
    let named = [
        ("model", model.as_deref().map(string_value)),
        ("max_tokens", max_tokens.map(|tokens| raw_value(tokens.to_string()))),
        ("system", system.as_deref().map(string_value)),
    ];
    let mut ordered = Params::default();
    for (name, value) in named {
        let by_param = || params.get(name).map(|value| raw_value(value.to_owned()));
        if let Some(value) = value.or_else(by_param) {
            ordered.set(name, value);
        }
    }
    ordered
}
