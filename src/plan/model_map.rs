//! `--map-model`: rows that name one model are sent to another model.
//!
//! The model is replaced in the row before anything else is done with it. So the row's pool, price and key belong to
//! the model that answers. The rest of the row stays as it is written.

use crate::domain::json::string_value;
use crate::domain::{Merged, Params};

/// Models that are replaced, each with its replacement. Each model is replaced by only one other model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelMap(pub Vec<(String, String)>);

impl ModelMap {
    /// Replaces the model of a row. Returns the position of the pair that was used. If the row names no model, the
    /// default model is replaced.
    pub(super) fn apply(&self, defaults: &Params, own: &mut Params) -> Option<usize> {
        if self.0.is_empty() {
            return None;
        }
        let named = Merged::new(defaults, own).get_str("model")?;
        let at = self.0.iter().position(|(from, _)| *from == named)?;
        let model = string_value(&self.0[at].1);
        match own.get("model") {
            Some(_) => own.set("model", model),
            // The model comes first in a request. It also comes first in the defaults.
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
