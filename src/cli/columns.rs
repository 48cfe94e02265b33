//! Makes messages about the inputs of a run: their formats, and which columns are sent. The messages are printed before
//! the run.

use std::collections::BTreeSet;

use crate::report::text::{count, escape, plural};
use crate::runner::input::{InputPlan, Survey};
use crate::source::{self, Columns, Input, Placeholder, Recognized, Template, Texts};

/// Inputs with the same format and columns.
struct Group {
    recognized: Recognized,
    /// The name of the first input in the group.
    first: String,
    inputs: u64,
    rows: u64,
}

/// Returns a line for each kind of input, followed by warnings about placeholders that are not filled in. Each warning
/// is printed only once.
///
/// If an input can't be read, this function ignores the error: the run reads the input again and reports the error.
pub(super) fn lines(plan: &InputPlan, survey: &Survey, system: Option<&str>) -> Vec<String> {
    let mut lines = Vec::new();
    let mut groups: Vec<Group> = Vec::new();
    for (at, input) in plan.inputs.iter().enumerate() {
        let rows = survey.rows_of_inputs.get(at).copied().unwrap_or(0);
        if let Input::Texts(texts) = input {
            lines.push(line_of_texts(texts));
            continue;
        }
        let Ok(Some(recognized)) = source::recognize(input, &plan.options) else { continue };
        match groups.iter_mut().find(|group| group.recognized == recognized) {
            Some(group) => (group.inputs, group.rows) = (group.inputs + 1, group.rows + rows),
            None => groups.push(Group { recognized, first: input.name(), inputs: 1, rows }),
        }
    }
    lines.extend(groups.iter().map(line_of));
    lines.extend(survey.recognized.iter().map(|text| escape(text).into_owned()));
    lines.extend(of_templates(plan));
    let plain_system = system.filter(|_| plan.options.system.is_none());
    lines.extend(unfilled(&groups, plan.options.template.as_ref(), plain_system));
    lines
}

/// Returns a line about a group of inputs, for example `tickets.csv: CSV, 10 rows; columns sent: subject, body; id is
/// the label; not sent: date`.
fn line_of(group: &Group) -> String {
    let Group { recognized: Recognized { kind, columns }, first, inputs, rows } = group;
    let others = if *inputs > 1 { format!(" and {} more", count(inputs - 1)) } else { String::new() };
    let columns = columns.as_ref().map(|columns| format!("; {columns}")).unwrap_or_default();
    escape(&format!("{first}{others}: {kind}, {}{columns}", plural(*rows, "row", "rows"))).into_owned()
}

/// Returns a line about an input of text files, for example `letters: 10 text files, a row each; left out: 1 file of
/// another kind (list.csv)`.
fn line_of_texts(texts: &Texts) -> String {
    let left_out = texts.left_out().map(|files| format!("; left out: {files}")).unwrap_or_default();
    let files = plural(texts.count(), "text file", "text files");
    escape(&format!("{}: {files}, a row each{left_out}", texts.name())).into_owned()
}

fn unfilled(groups: &[Group], template: Option<&Template>, system: Option<&str>) -> BTreeSet<String> {
    let columns = groups.iter().filter_map(|group| group.recognized.columns.as_ref());
    let warnings = columns.flat_map(|columns| {
        let in_template = template.into_iter().flat_map(|template| in_template(template, columns));
        in_template.chain(system.into_iter().flat_map(|system| in_system(system, columns)))
    });
    warnings.map(|text| format!("warning: {}", escape(&text))).collect()
}

/// Returns notes about a template that is a list of messages, and about a system prompt that is a template. The user
/// may have meant the template or the prompt as plain text.
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

/// Returns warnings about placeholders in the syntax of other template languages. If the template also uses a column in
/// the correct syntax, this column causes no warning.
fn in_template(template: &Template, columns: &Columns) -> Vec<String> {
    let is_used = |column: &str| template.columns().any(|own| own == column);
    let is_meant = |own: &&Placeholder| columns.has(&own.column) && !is_used(&own.column);
    let words = |Placeholder { written, column }: &Placeholder| {
        let expression = Template::expression(column);
        format!("{written} in the template is sent unchanged; write {{{{ {expression} }}}} to send the column")
    };
    template.placeholders().iter().filter(is_meant).map(words).collect()
}

/// Returns warnings about a system prompt that is not a template but contains column names in brackets.
fn in_system(system: &str, columns: &Columns) -> Vec<String> {
    let found = source::placeholders(&system.replace("{{", "{").replace("}}", "}"));
    // Angle brackets cause no warning, because prompts often contain tags.
    let is_meant = |own: &&Placeholder| own.written.starts_with(['{', '$']) && columns.has(&own.column);
    let words = |own: &Placeholder| {
        let column = Template::expression(&own.column);
        format!(
            "--system is sent unchanged: the column {column} is not filled in, because only --template fills in \
             columns"
        )
    };
    found.iter().filter(is_meant).map(words).collect()
}
