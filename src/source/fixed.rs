//! Inputs whose columns are always the same: plain lines and whole texts.

use super::names::{found_list, name_list};
use super::template::{Template, missing_columns};
use super::{Options, SourceError};

/// Checks the templates and `--id` for an input called `input` that has only the columns `columns`. If the prompt and
/// the system prompt both have templates, returns the template of the system prompt.
///
/// # Errors
/// [`SourceError::NoIdColumn`] if `--id` is given, because no column of such an input contains labels.
/// [`SourceError::TemplateColumn`] or [`SourceError::SystemColumn`] if a template names a column that is not in
/// `columns`.
pub(super) fn check_columns(input: &str, options: &Options, columns: &[&str]) -> Result<Option<Template>, SourceError> {
    let found = |wrong: &[&str]| found_list(columns.iter().copied(), wrong);
    let missing_in = |template| missing_columns(template, |name| columns.contains(&name));
    let name = input.to_owned();
    if let Some(column) = options.id_column.clone() {
        let columns = found(&[&column]);
        return Err(SourceError::NoIdColumn { name, column, columns });
    }
    if let Some(missing) = options.template.as_ref().and_then(missing_in) {
        let (columns, missing) = (found(&missing), name_list(missing));
        return Err(SourceError::TemplateColumn { name, missing, columns });
    }
    let system = options.system.as_ref().filter(|_| options.template.is_some());
    if let Some(missing) = system.and_then(missing_in) {
        let (columns, missing) = (found(&missing), name_list(missing));
        return Err(SourceError::SystemColumn { name, missing, columns });
    }
    Ok(system.cloned())
}
