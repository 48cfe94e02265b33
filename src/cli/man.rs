//! The command `man`: makes manual pages from the help.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use clap::{Command, CommandFactory};
use clap_mangen::Man;

use super::args::{Cli, ManArgs};
use super::config::world::World;
use super::exit::Exit;
use super::help;
use super::say;
use crate::report::text::escape;

/// Prints the manual page of the program, or writes all manual pages into a folder.
pub(crate) fn man(args: &ManArgs, world: &World) -> Result<Exit> {
    let pages = pages();
    let Some(folder) = &args.output else {
        let (_, page) = pages.first().expect("the program has a page");
        say::printed(std::io::Write::write_all(&mut say::results(), page))?;
        return Ok(Exit::Done);
    };
    let place = world.resolve(folder);
    fs::create_dir_all(&place).with_context(|| format!("--output: can't make the folder {}", folder.display()))?;
    for (name, page) in &pages {
        write(&place.join(name), page).with_context(|| format!("can't write {}", folder.join(name).display()))?;
    }
    say::out(&format!("wrote {} pages into {}", pages.len(), escape(&folder.display().to_string())))?;
    Ok(Exit::Done)
}

fn write(path: &Path, page: &[u8]) -> Result<()> {
    Ok(fs::write(path, page)?)
}

/// Returns the file name and the content of each manual page. The manual page of the program comes first.
fn pages() -> Vec<(String, Vec<u8>)> {
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let mut pages = Vec::new();
    collect(&program, "claude-batch", &mut pages);
    pages
}

fn collect(command: &Command, name: &str, pages: &mut Vec<(String, Vec<u8>)>) {
    let mut page = Vec::new();
    // clap needs names that stay in memory, so the name is leaked. The program makes the pages once and then ends.
    let named = help::without_switch_values(command.clone()).name(name.to_owned().leak() as &str).display_name(name);
    Man::new(named).title(name.to_uppercase()).render(&mut page).expect("writing to memory does not fail");
    pages.push((format!("{name}.1"), page));
    let visible = command.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help");
    for inner in visible {
        collect(inner, &format!("{name}-{}", inner.get_name()), pages);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_with_its_flags() {
        let pages = pages();
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();

        assert_eq!(names[..2], ["claude-batch.1", "claude-batch-run.1"]);
        for name in ["claude-batch-config-show.1", "claude-batch-batches-list.1", "claude-batch-man.1"] {
            assert!(names.contains(&name), "{name}");
        }
        let run = String::from_utf8_lossy(&pages[1].1).replace("\\-", "-");
        for flag in Cli::command().find_subcommand("run").expect("there is run").get_arguments() {
            let Some(long) = flag.get_long().filter(|_| !flag.is_hide_set()) else { continue };
            assert!(run.contains(&format!("--{long}")), "--{long}");
        }
        assert!(!run.contains("BOOL"));
    }
}
