//! Templates: groups of rows whose answers have a similar length.
//!
//! The number that identifies a template is written to the result lines. From the result lines, later runs learn how
//! long a template's answers usually are. So a template must have the same number in all versions of this program.

use ring::digest::{Context, SHA256};

use crate::domain::Merged;

/// The parameters that have the same value in all rows of a template.
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
    /// Returns the number that identifies a row's template. Rows with the same values of the shared parameters have the
    /// same number.
    ///
    /// The number is the beginning of a SHA-256 hash. For each shared parameter of the row, the hash covers the name,
    /// the value's length (as eight bytes), and the value as it is written.
    pub(super) fn mark(&mut self, params: Merged<'_>) -> u64 {
        let is_own = |(name, last): (&str, &Option<Box<str>>)| params.own(name) == last.as_deref();
        match &self.last {
            Some((last, mark)) if SHARED.into_iter().zip(last).all(is_own) => *mark,
            _ => {
                let mark = number(params);
                self.last = Some((SHARED.map(|name| params.own(name).map(Into::into)), mark));
                mark
            }
        }
    }
}

fn number(params: Merged<'_>) -> u64 {
    let mut hash = Context::new(&SHA256);
    for (name, value) in SHARED.into_iter().filter_map(|name| Some((name, params.get(name)?))) {
        hash.update(name.as_bytes());
        hash.update(&(value.len() as u64).to_be_bytes());
        hash.update(value.as_bytes());
    }
    hash.finish().as_ref().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::tests::params;
    use super::*;

    #[test]
    fn the_number_of_a_template_depends_on_shared_parameters_and_not_on_the_row_before() {
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
    #[test]
    fn the_number_of_a_template_never_changes() {
        let row = params(r#"{"messages":[1],"model":"a","system":"x","max_tokens":5}"#);

        let number = Templates::default().mark((&row).into());

        assert_eq!(number, 0x23e5_f220_3d18_9a2f, "checked with another implementation");
    }
}
