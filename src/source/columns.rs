//! Finds which columns of an input are sent in requests, and which are not.
//!
//! For CSV the header shows this. JSON rows have columns only if a template is used; they are taken from the first
//! rows.

use super::format::Columns;
use super::{Input, InputFormat, Item, Options, SourceError, open};

/// How many JSON rows are read to find their columns.
const LOOKED_AT: usize = 100;

/// Returns the columns of an input; `None` if it has none, or if any of them may be sent.
///
/// A stream is not read for this: rows that are read from it can't be read again.
///
/// # Errors
/// Any [`SourceError`].
pub fn columns(input: &Input, options: &Options) -> Result<Option<Columns>, SourceError> {
    if !super::is_seekable(input) || options.template.as_ref().is_some_and(|template| template.is_of_whole_row()) {
        return Ok(None);
    }
    let reader = open(input, options)?;
    if let Some(columns) = reader.columns() {
        return Ok(Some(columns));
    }
    let Some(template) = options.template.as_ref().filter(|_| reader.format() == InputFormat::Jsonl) else {
        return Ok(None);
    };
    let mut columns = Columns::default();
    // The template need not be filled in to see which columns a row has.
    let options = options.clone().without_prompts();
    for item in open(input, &options)?.take(LOOKED_AT) {
        let Item::Row(row) = item? else { continue };
        let of_row = row.extra.0.iter().chain(&row.params.0).map(|(name, _)| &**name);
        // The reader adds `messages` from the template, so it is not a column of the row unless the template names it.
        for name in of_row.filter(|name| *name != "messages" || template.columns().any(|own| own == *name)) {
            let is_sent = template.columns().any(|own| own == name) || row.params.get(name).is_some();
            let into = if is_sent { &mut columns.sent } else { &mut columns.unsent };
            if !into.iter().any(|own| own == name) {
                into.push(name.to_owned());
            }
        }
    }
    Ok(Some(columns))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::super::Template;

    use super::*;

    #[test]
    fn columns_are_sent_or_the_label_or_not_sent() {
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
            (".csv", csv, Some("{% for n, v in row|items %}{{ v }}{% endfor %}"), None),
            (".csv", prompts, None, Some("columns sent: prompt, max_tokens; id is the label; not sent: note")),
            (".jsonl", json, Some("{{ body }}"), Some("columns sent: body, max_tokens; not sent: note, late")),
            (".jsonl", "{\"prompt\":\"a\",\"note\":1}\n", None, None),
            (".txt", "a\n", Some("{{ line }}"), None),
        ];

        for (suffix, text, template, expected) in cases {
            let mut file = tempfile::Builder::new().suffix(suffix).tempfile().expect("a temporary file");
            file.write_all(text.as_bytes()).expect("it can be written");
            let template = template.map(|text| Template::parse(text).expect("a good template"));
            let options = Options { template, ..Options::default() };

            let found = columns(&Input::File(file.path().to_owned()), &options).expect("it can be read");

            assert_eq!(found.map(|columns| columns.to_string()).as_deref(), expected, "{text}");
        }
    }
}
