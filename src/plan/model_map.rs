//! `--map-model`: rows that name one model are sent with another.
//!
//! The model is replaced in the row before anything is known of it: its pool, price and key are those of the model that
//! answers. Everything else of the row stays as it is written.

use crate::domain::json::string_value;
use crate::domain::{Merged, Params};

/// Models that are replaced, each with its replacement. Names on the left are unique.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelMap(pub Vec<(String, String)>);

impl ModelMap {
    /// Replaces the model of a row, and returns which pair did it. The row's own model counts, else the default one.
    pub(super) fn apply(&self, defaults: &Params, own: &mut Params) -> Option<usize> {
        if self.0.is_empty() {
            return None;
        }
        let named = Merged::new(defaults, own).get_str("model")?;
        let at = self.0.iter().position(|(from, _)| *from == named)?;
        let model = string_value(&self.0[at].1);
        match own.get("model") {
            Some(_) => own.set("model", model),
            // The model stands first in a request, as it does among the defaults.
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
    fn the_model_of_a_row_is_replaced_once_and_in_its_place() {
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
    fn the_model_that_flags_give_is_replaced_too() {
        let defaults = r#"{"model":"a","max_tokens":5}"#;

        assert_eq!(applied(defaults, r#"{"messages":[]}"#), (Some(0), r#"{"model":"b","messages":[]}"#.to_owned()));
        assert_eq!(applied(defaults, r#"{"model":"x"}"#), (None, r#"{"model":"x"}"#.to_owned()));
    }
}
