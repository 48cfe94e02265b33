//! Recognizes an input: its format, the columns that are sent in requests, and the columns that are not sent.
//!
//! For CSV, the header shows the columns. For JSON, the members of the first rows are the columns.

use super::format::Columns;
use super::{Input, InputFormat, Item, Options, Row, SourceError, Template, open};

/// How many JSON rows are read to find their columns.
const LOOKED_AT: usize = 100;

/// The format and the columns of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recognized {
    /// The format and the compression of the input, as a text for messages.
    pub(crate) kind: String,
    /// The columns; `None` if the input has none.
    pub(crate) columns: Option<Columns>,
}

/// Returns the format and the columns of an input; `None` for a stream, because its rows can't be read twice.
///
/// # Errors
/// Any [`SourceError`].
pub(crate) fn recognize(input: &Input, options: &Options) -> Result<Option<Recognized>, SourceError> {
    if !super::is_seekable(input) {
        return Ok(None);
    }
    let reader = open(input, options)?;
    let kind = reader.kind();
    let columns = if reader.format() == InputFormat::Jsonl { of_rows(input, options)? } else { reader.columns() };
    Ok(Some(Recognized { kind, columns }))
}

/// Returns the columns of the first JSON rows. Without a template, the columns are the members of a row that are not
/// sent. The members that are sent are request fields.
fn of_rows(input: &Input, options: &Options) -> Result<Option<Columns>, SourceError> {
    // Only the names of the columns are needed. So the user's template is not filled in, and `Template::plain` takes
    // its place.
    let template = options.template.as_ref().map(|_| Template::plain());
    let plain = Options { template, system: None, ..options.clone() };
    let is_whole_row = templates(options).any(Template::is_of_whole_row);
    let mut columns = Columns { is_whole_row, ..Columns::default() };
    for item in open(input, &plain)?.take(LOOKED_AT) {
        // Faults of rows are ignored here, because another part of the program reports them.
        let Ok(Item::Row(row)) = item else { continue };
        match &options.template {
            Some(_) => add_of_templates(&mut columns, &row, options),
            None => row.extra.0.iter().for_each(|(name, _)| add(&mut columns.unsent, name)),
        }
    }
    Ok((!columns.sent.is_empty() || !columns.unsent.is_empty()).then_some(columns))
}

fn add_of_templates(columns: &mut Columns, row: &Row, options: &Options) {
    let is_named = |name: &str| templates(options).any(|template| template.can_send(name));
    let of_row = row.extra.0.iter().chain(&row.params.0).map(|(name, _)| &**name);
    // The reader makes `messages` from the template. So `messages` is a column of the row only if the template names
    // this column.
    let names_messages = templates(options).any(|template| template.columns().any(|own| own == "messages"));
    for name in of_row.filter(|name| *name != "messages" || names_messages) {
        let is_sent = is_named(name) || row.params.get(name).is_some();
        add(if is_sent { &mut columns.sent } else { &mut columns.unsent }, name);
    }
}

fn add(names: &mut Vec<String>, name: &str) {
    if !names.iter().any(|own| own == name) {
        names.push(name.to_owned());
    }
}

fn templates(options: &Options) -> impl Iterator<Item = &Template> {
    options.template.iter().chain(&options.system)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::super::Template;

    use super::*;

    #[test]
    fn columns_are_grouped_into_sent_columns_the_label_and_columns_not_sent() {
        let csv = "id,subject,body,date\n1,a,b,c\n";
        let prompts = "id,prompt,max_tokens,note\n1,a,5,n\n";
        let json = "{\"id\":1,\"body\":\"b\",\"max_tokens\":5,\"note\":\"n\"}\n{\"id\":2,\"body\":\"b\",\"late\":[]}\n";
        let cases = [
            (
                ".csv",
                csv,
                Some("{{ body }}: {{ row.subject }}"),
                Some("columns sent: subject, body; id is the label; not sent: date"),
            ),
            (".csv", csv, Some("{{ id }} {{ body }}"), Some("columns sent: id, body; not sent: subject, date")),
            (
                ".csv",
                csv,
                Some("{% for n, v in row|items %}{{ v }}{% endfor %}"),
                Some("columns that can be sent: id, subject, body, date"),
            ),
            (".jsonl", json, Some("{{ row }}"), Some("columns that can be sent: body, note, max_tokens, late")),
            (".csv", prompts, None, Some("columns sent: prompt, max_tokens; id is the label; not sent: note")),
            (".jsonl", json, Some("{{ body }}"), Some("columns sent: body, max_tokens; not sent: note, late")),
            (".jsonl", "{\"prompt\":\"a\",\"note\":1}\n{broken\n", None, Some("not sent: note")),
            (".jsonl", "\"a\"\n", None, None),
            (".txt", "a\n", Some("{{ text }}"), None),
        ];

        for (suffix, text, template, expected) in cases {
            let mut file = tempfile::Builder::new().suffix(suffix).tempfile().expect("a temporary file");
            file.write_all(text.as_bytes()).expect("it can be written");
            let template = template.map(|text| Template::parse(text).expect("a good template"));
            let options = Options { template, ..Options::default() };

            let found = recognize(&Input::File(file.path().to_owned()), &options).expect("it can be read");

            let columns = found.and_then(|found| found.columns);
            assert_eq!(columns.map(|columns| columns.to_string()).as_deref(), expected, "{text}");
        }
    }
}
