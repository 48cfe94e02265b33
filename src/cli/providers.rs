//! The command `providers` shows the providers that a setting can name. For each provider, the command shows what is
//! set, what is missing, and what differs from the Claude API. The command sends nothing, runs no other command, and
//! shows no secret.
//!
//! `words.rs` makes the text, and `document.rs` makes the JSON document.

mod document;
mod words;

pub(super) use self::words::source_words;

use anyhow::{Result, bail};

use super::args::ProvidersArgs;
use super::config::providers::Listed;
use super::config::world::World;
use super::exit::Exit;
use super::say;
use crate::report::progress::terminal_width;
use crate::report::text::escape;
use crate::source::nearest;

/// The greatest width of a line, in columns. Only lines with a long address or path are wider than this.
const COLUMNS: usize = 80;

/// Shows all providers, or one of them.
pub(crate) fn providers(args: &ProvidersArgs, world: &World) -> Result<Exit> {
    let mut listed = Listed::read(args.local.settings(), world)?;
    listed.warnings.iter().for_each(|warning| say::err(&format!("warning: {}", escape(warning))));
    if let Some(name) = &args.name {
        check_known(&listed, name)?;
        listed.providers.retain(|provider| provider.name == *name);
    }
    if args.json {
        say::out(&document::document(&listed.providers, world))?;
        return Ok(Exit::Done);
    }
    let columns = terminal_width().unwrap_or(COLUMNS).min(COLUMNS);
    let blocks: Vec<String> = listed.providers.iter().map(|provider| words::block(provider, columns, world)).collect();
    say::out(blocks.join("\n").trim_end())?;
    if args.name.is_none() {
        say::out("")?;
        words::below(columns).iter().try_for_each(|line| say::out(line))?;
    }
    Ok(Exit::Done)
}

fn check_known(listed: &Listed, name: &str) -> Result<()> {
    let names = || listed.providers.iter().map(|provider| &*provider.name);
    if names().any(|own| own == name) {
        return Ok(());
    }
    let meant = nearest(name, names()).map(|name| format!("; did you mean {name}?"));
    bail!(
        "there is no provider {:?}{}",
        escape(name),
        meant.unwrap_or_else(|| { format!("; there are {}", names().collect::<Vec<_>>().join(", ")) })
    )
}
