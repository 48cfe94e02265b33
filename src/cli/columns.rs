//! Notes and warnings before a run about the columns of its inputs.

use std::collections::BTreeSet;

use crate::report::text::{escape, plural};
use crate::runner::input::InputPlan;
use crate::source::{self, Columns, Placeholder, Template};

/// Returns notes about columns that are not sent, and warnings about placeholders that are not filled in. Each appears
/// once.
///
/// The inputs have been read before. If one can't be read now, the run will say so when it reads it.
pub(super) fn notes(plan: &InputPlan, system: Option<&str>) -> BTreeSet<String> {
    let mut notes = BTreeSet::from_iter(of_templates(plan));
    for input in &plan.inputs {
        let Ok(Some(columns)) = source::columns(input, &plan.options) else { continue };
        let name = input.name();
        notes.extend((!columns.unsent.is_empty()).then(|| format!("note: {}: {columns}", escape(&name))));
        let template = plan.options.template.as_ref();
        let unfilled = template.into_iter().flat_map(|template| in_template(template, &columns));
        let plain_system = system.filter(|_| plan.options.system.is_none());
        let unfilled = unfilled.chain(plain_system.into_iter().flat_map(|system| in_system(system, &columns)));
        notes.extend(unfilled.map(|text| format!("warning: {}", escape(&text))));
    }
    notes
}

/// Returns notes about a template that is a list of messages, and about a system prompt that is a template. Both could
/// also be meant as plain text.
pub(super) fn of_templates(plan: &InputPlan) -> Vec<String> {
    let messages = plan.options.template.as_ref().and_then(Template::messages);
    let messages = messages.map(|count| {
        let count = plural(count as u64, "message", "messages");
        format!("note: --template is a list of {count}, whose texts are filled in from each row")
    });
    messages.into_iter().chain(system_note(plan)).collect()
}

fn system_note(plan: &InputPlan) -> Option<String> {
    let system = plan.options.system.as_ref()?;
    let columns = system.columns().map(Template::expression).collect::<Vec<_>>().join(", ");
    let columns = match (columns.as_str(), system.is_of_whole_row()) {
        (_, true) => "the whole row",
        ("", false) => "none",
        (columns, false) => columns,
    };
    let columns = escape(columns);
    Some(match plan.options.template {
        Some(_) => format!("note: --system is a template, filled in from each row (columns: {columns})"),
        None => format!(
            "note: --system is a template (columns: {columns}): it is filled in for rows of a table, and sent unchanged \
             to other rows, unless there is a --template"
        ),
    })
}

/// Returns warnings about placeholders written in the syntax of other template languages. A column that the template
/// also uses in its own syntax causes no warning.
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
    // Angle brackets are left out: prompts contain tags.
    let is_meant = |own: &&Placeholder| own.written.starts_with(['{', '$']) && columns.has(&own.column);
    let words = |own: &Placeholder| {
        let column = Template::expression(&own.column);
        format!("--system is sent unchanged: the column {column} in it is not filled in, as it would be in --template")
    };
    found.iter().filter(is_meant).map(words).collect()
}
