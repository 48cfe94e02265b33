//! Notes and warnings before a run about the columns of its inputs.

use std::collections::BTreeSet;

use crate::report::text::escape;
use crate::runner::input::InputPlan;
use crate::source::{self, Columns, Placeholder, Template};

/// Returns notes about columns that are not sent, and warnings about placeholders that are not filled in. No text
/// appears twice.
///
/// The inputs have been read before. If one of them can't be read now, the run will report this when it reads the
/// input.
pub(super) fn notes(plan: &InputPlan, system: Option<&str>) -> BTreeSet<String> {
    let mut notes = BTreeSet::new();
    for input in &plan.inputs {
        let Ok(Some(columns)) = source::columns(input, &plan.options) else { continue };
        let name = input.name();
        notes.extend((!columns.unsent.is_empty()).then(|| format!("note: {}: {columns}", escape(&name))));
        let template = plan.options.template.as_ref();
        let unfilled = template.into_iter().flat_map(|template| in_template(template, &columns));
        let unfilled = unfilled.chain(system.into_iter().flat_map(|system| in_system(system, &columns)));
        notes.extend(unfilled.map(|text| format!("warning: {}", escape(&text))));
    }
    notes
}

/// Returns warnings about placeholders in the syntax of other template languages. There is no warning about a column
/// that the template also uses in the correct syntax.
fn in_template(template: &Template, columns: &Columns) -> Vec<String> {
    let is_used = |column: &str| template.columns().any(|own| own == column);
    let is_meant = |own: &&Placeholder| columns.has(&own.column) && !is_used(&own.column);
    let words = |Placeholder { written, column }: &Placeholder| {
        let expression = Template::expression(column);
        format!("{written} in the template is sent unchanged; write {{{{ {expression} }}}} to send the column")
    };
    template.placeholders().iter().filter(is_meant).map(words).collect()
}

/// Returns warnings about column names in brackets in a system text, which is not a template.
fn in_system(system: &str, columns: &Columns) -> Vec<String> {
    let found = source::placeholders(&system.replace("{{", "{").replace("}}", "}"));
    // Angle brackets cause no warning, because prompts contain tags.
    let is_meant = |own: &&Placeholder| own.written.starts_with(['{', '$']) && columns.has(&own.column);
    let words = |own: &Placeholder| {
        let column = Template::expression(&own.column);
        format!("--system is sent unchanged: the column {column} is not filled in; only --template fills in columns")
    };
    found.iter().filter(is_meant).map(words).collect()
}
