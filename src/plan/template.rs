//! Templates: groups of rows whose answers have a similar length.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::domain::Merged;

/// The parameters that rows of one template share.
const SHARED: [&str; 7] = ["model", "max_tokens", "system", "tools", "tool_choice", "output_config", "thinking"];

/// Finds the template that a row belongs to. All rows must have the same defaults.
///
/// The parameters of the last row are kept. The next row usually has the same parameters, and comparing them is faster
/// than hashing them.
#[derive(Debug, Default)]
pub(super) struct Templates {
    last: Option<([Option<Box<str>>; SHARED.len()], u64)>,
}

impl Templates {
    /// Returns the number of a row's template: rows with the same values of the shared parameters have the same number.
    /// The number is valid only within one run.
    pub(super) fn mark(&mut self, params: Merged<'_>) -> u64 {
        let is_own = |(name, last): (&str, &Option<Box<str>>)| params.own(name) == last.as_deref();
        match &self.last {
            Some((last, mark)) if SHARED.into_iter().zip(last).all(is_own) => *mark,
            _ => {
                let mut hasher = DefaultHasher::new();
                SHARED.map(|name| params.get(name)).hash(&mut hasher);
                let mark = hasher.finish();
                self.last = Some((SHARED.map(|name| params.own(name).map(Into::into)), mark));
                mark
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::tests::params;
    use super::*;

    #[test]
    fn a_mark_depends_on_what_is_shared_and_not_on_the_row_before() {
        let defaults = params(r#"{"model":"a"}"#);
        let mut templates = Templates::default();
        let rows = [
            r#"{"model":"a","system":"x"}"#,
            r#"{"system":"x","messages":[1],"model":"a"}"#,
            r#"{"model":"a","tools":"x"}"#,
            r#"{"system":"x"}"#,
            r#"{"model":"x","system":"x"}"#,
            r#"{"system":"a","max_tokens":"x"}"#,
            "{}",
        ]
        .map(params);

        let marks = rows.each_ref().map(|row| templates.mark(Merged::new(&defaults, row)));

        let fresh = rows.each_ref().map(|row| Templates::default().mark(Merged::new(&defaults, row)));
        assert_eq!(marks, fresh);
        assert_eq!((marks[0], marks[0]), (marks[1], marks[3]));
        let different = [marks[0], marks[2], marks[4], marks[5], marks[6]];
        assert_eq!(HashSet::from(different).len(), different.len());
    }
}
