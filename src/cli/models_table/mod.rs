//! The command `models` shows what the catalog knows about models and their prices. The command sends nothing.
//!
//! `table.rs` makes one line for each model. `one.rs` shows everything about one model. `json.rs` makes a JSON
//! document. `words.rs` has the phrases that `table.rs` and `one.rs` share.

mod json;
mod one;
mod table;
mod words;

use anyhow::{Result, bail};

use super::args::ModelsArgs;
use super::config::Config;
use super::config::world::World;
use super::exit::Exit;
use super::{catalogs, say};
use crate::catalog::Catalog;
use crate::domain::Speed;
use crate::plan::UnknownModel;
use crate::report::progress::terminal_width;
use crate::report::text::escape;

/// The greatest width of a line, in columns.
const COLUMNS: usize = 100;

/// Shows the models of the catalog, or everything about one model.
pub(crate) fn models(args: &ModelsArgs, world: &World) -> Result<Exit> {
    let config = Config::of_settings(args.settings(), world)?;
    config.warnings.iter().for_each(|warning| say::err(&format!("warning: {}", escape(warning))));
    let catalog = catalogs::catalog(&config)?;
    let columns = terminal_width().unwrap_or(COLUMNS).min(COLUMNS);
    let today = jiff::tz::TimeZone::UTC.to_datetime(jiff::Timestamp::now()).date();
    if let Some(name) = &args.name {
        check_known(&catalog, name)?;
    }
    match (&args.name, args.json) {
        (name, true) => say::out(&json::document(&catalog, name.as_deref()))?,
        (Some(name), false) => one::lines(&catalog, name, today, columns).iter().try_for_each(|line| say::out(line))?,
        (None, false) => {
            let shown = if args.all { table::Shown::All } else { table::Shown::Served };
            table::lines(&catalog, shown, today, columns).iter().try_for_each(|line| say::out(line))?;
        }
    }
    Ok(Exit::Done)
}

/// Rejects a model name that neither the catalog nor the price file contains.
pub(super) fn check_known(catalog: &Catalog, name: &str) -> Result<()> {
    if name.is_empty() {
        bail!("the name of the model is empty; claude-batch models shows all names");
    }
    match UnknownModel::find(catalog, name) {
        Some(unknown) if catalog.prices(Speed::Standard, name).is_none() => {
            bail!("unknown model {unknown}; claude-batch models shows all names")
        }
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_refused_and_an_empty_name_is_called_empty() {
        let fault = |name| check_known(&Catalog::builtin(), name).expect_err("there is no such model").to_string();

        assert!(fault("claude-haku-4-5").contains("did you mean claude-haiku-4-5"));
        assert!(fault("").starts_with("the name of the model is empty"));
    }
}
