//! What the flags give a request, in the order in which it is sent.

use serde_json::value::RawValue;

use super::RequestDefaults;
use crate::catalog::Catalog;
use crate::domain::Params;
use crate::domain::json::write_json_str;

/// `max_tokens` when neither row nor flag gives it.
const DEFAULT_MAX_TOKENS: u32 = 1024;
/// Puts defaults into the order in which they are sent: model, max_tokens, system, then `--param` as given.
pub(super) fn in_order(defaults: RequestDefaults, catalog: &Catalog) -> Params {
    let RequestDefaults { model, system, max_tokens, params } = defaults;
    let model = model.or_else(|| params.get("model").is_none().then(|| catalog.default_model().to_owned()));
    let max_tokens = max_tokens.or_else(|| params.get("max_tokens").is_none().then_some(DEFAULT_MAX_TOKENS));
    let named = [
        ("model", model.map(|model| json_string(&model))),
        ("max_tokens", max_tokens.map(|tokens| raw(tokens.to_string()))),
        ("system", system.map(|system| json_string(&system))),
    ];
    let mut ordered = Params::default();
    for (name, value) in named {
        let by_param = || params.get(name).map(|value| raw(value.to_owned()));
        if let Some(value) = value.or_else(by_param) {
            ordered.set(name, value);
        }
    }
    for (name, value) in &params.0 {
        if &**name != "stream" {
            ordered.set_default(name, value);
        }
    }
    ordered
}

fn json_string(text: &str) -> Box<RawValue> {
    let mut json = Vec::new();
    write_json_str(text, &mut json);
    raw(String::from_utf8(json).expect("JSON text is UTF-8"))
}

fn raw(json: String) -> Box<RawValue> {
    RawValue::from_string(json).expect("numbers, quoted strings and raw values are JSON")
}
