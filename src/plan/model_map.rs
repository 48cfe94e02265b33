//! Applies `--map-model`: rows that name one model are sent to another model.
//!
//! The model of a row is replaced first, before the row is identified and measured. So the row's pool, price and key
//! belong to the new model. All other parameters of the row keep their bytes.

use crate::domain::json::string_value;
use crate::domain::{Merged, Params};

/// The models that are replaced, each with its replacement. Each model has at most one replacement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelMap(pub Vec<(String, String)>);

impl ModelMap {
    /// Replaces the model of a row. Returns the position of the pair (model and replacement) that was used. If the row
    /// names no model, the default model is replaced.
    pub(super) fn apply(&self, defaults: &Params, own: &mut Params) -> Option<usize> {
        if self.0.is_empty() {
            return None;
        }
        let named = Merged::new(defaults, own).get_str("model")?;
        let at = self.0.iter().position(|(from, _)| *from == named)?;
        let model = string_value(&self.0[at].1);
        match own.get("model") {
            Some(_) => own.set("model", model),
            // The new model is put at the start of the row's parameters, because `model` is the first parameter of a
            // request.
            None => own.0.insert(0, ("model".into(), model)),
        }
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::params;
    use super::*;

    fn applied(defaults: &str, own: &str) -> (Option<usize>, String) {
        let map = ModelMap([("a", "b"), ("b", "c")].map(|(from, to)| (from.to_owned(), to.to_owned())).into());
        let mut own = params(own);
        let at = map.apply(&params(defaults), &mut own);
        let mut out = Vec::new();
        own.write_object(&mut out);
        (at, String::from_utf8(out).expect("JSON is text"))
    }

    #[test]
    fn the_model_of_a_row_is_replaced_once_and_stays_in_its_position() {
        assert_eq!(
            applied("{}", r#"{"temperature":0.50,"model":"\u0061","messages":[]}"#),
            (Some(0), r#"{"temperature":0.50,"model":"b","messages":[]}"#.to_owned())
        );
        assert_eq!(applied("{}", r#"{"model":"b"}"#), (Some(1), r#"{"model":"c"}"#.to_owned()));
        for other in [r#"{"model":"x"}"#, r#"{"model":7}"#, r#"{"messages":[]}"#] {
            assert_eq!(applied("{}", other), (None, other.to_owned()));
        }
    }

    #[test]
    fn a_model_from_flags_is_replaced_too() {
        let defaults = r#"{"model":"a","max_tokens":5}"#;

        assert_eq!(applied(defaults, r#"{"messages":[]}"#), (Some(0), r#"{"model":"b","messages":[]}"#.to_owned()));
        assert_eq!(applied(defaults, r#"{"model":"x"}"#), (None, r#"{"model":"x"}"#.to_owned()));
    }
}
