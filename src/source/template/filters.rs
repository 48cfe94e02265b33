//! The names of the filters and tests that a template can use. Unknown names are rejected.

use minijinja::{Environment, ErrorKind};

use super::super::names::{nearest, short};
use super::error::{Line, TemplateError};
use super::uses::Uses;

/// Known names of filters and tests. If a template uses an unknown name, the most similar known name is suggested.
pub(super) const KNOWN: [&str; 63] = [
    "abs",
    "attr",
    "batch",
    "bool",
    "boolean",
    "capitalize",
    "chain",
    "count",
    "default",
    "defined",
    "dictsort",
    "divisibleby",
    "endingwith",
    "even",
    "false",
    "filter",
    "first",
    "float",
    "format",
    "from_json",
    "fromjson",
    "groupby",
    "in",
    "indent",
    "int",
    "integer",
    "items",
    "iterable",
    "join",
    "last",
    "length",
    "lines",
    "list",
    "lower",
    "map",
    "mapping",
    "max",
    "min",
    "none",
    "number",
    "odd",
    "pprint",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "select",
    "selectattr",
    "sequence",
    "slice",
    "sort",
    "split",
    "startingwith",
    "string",
    "sum",
    "title",
    "trim",
    "true",
    "undefined",
    "unique",
    "upper",
    "zip",
];

/// Rejects unknown filters, and unknown template tests (the words after `is`).
pub(super) fn check_names(environment: &Environment<'_>, uses: &Uses) -> Result<(), TemplateError> {
    let mut state = environment.empty_state();
    let check = |kind, name: &str, line, found: Result<(), minijinja::Error>| match found {
        Err(error) if matches!(error.kind(), ErrorKind::UnknownFilter | ErrorKind::UnknownTest) => {
            let nearest = nearest(name, KNOWN);
            let nearest = nearest.map(|known| format!("; did you mean `{known}`?")).unwrap_or_default();
            Err(TemplateError::NoSuch { line: Line::from(line), kind, name: short(name), nearest })
        }
        // If the filter or test exists, the error is only about its missing arguments.
        Ok(()) | Err(_) => Ok(()),
    };
    for (name, line) in &uses.filters {
        let found = state.apply_filter(name, &[]).map(drop);
        check("filter", name, *line, found)?;
    }
    for (name, line) in &uses.tests {
        let found = state.perform_test(name, &[]).map(drop);
        check("test", name, *line, found)?;
    }
    Ok(())
}
