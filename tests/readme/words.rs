//! Checks that all commands, flags and exit codes on the pages exist.

use clap::{CommandFactory, Parser};
use claude_batch::cli::args::Cli;
use claude_batch::cli::exit::TABLE;

use crate::page::{Page, pages, readme};
use crate::shell::words;

/// Flags of other programs.
const OF_OTHERS: [&str; 7] = ["release", "path", "locked", "features", "no-default-features", "bench", "help"];

#[test]
fn the_table_of_exit_codes_equals_the_table_of_the_program() {
    let readme = readme();
    let rows = readme.section("## Exit codes").lines();
    let rows = rows.filter(|line| line.starts_with("| ") && !line.starts_with("| code "));
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let documented: Vec<_> = rows.map(cells).collect();

    let mut built: Vec<Vec<String>> = Vec::new();
    for line in TABLE.lines().map(str::trim_end) {
        match (line.trim().split_once("  "), built.last_mut()) {
            (Some((code, meaning)), _) => built.push(vec![code.to_owned(), meaning.trim().to_owned()]),
            (None, Some(row)) if line.starts_with("   ") => row[1].push_str(&format!(" {}", line.trim())),
            (None, _) => {}
        }
    }

    assert_eq!(documented, built);
    assert!(built.len() >= 9, "{built:?}");
}

#[test]
fn every_subcommand_is_on_a_page() {
    let pages = pages();
    for command in Cli::command().get_subcommands() {
        let call = format!("claude-batch {}", command.get_name());

        assert!(pages.iter().any(|page| page.text.contains(&call)), "{call}");
    }
}

#[test]
fn every_flag_on_a_page_exists() {
    let mut flags = Vec::new();
    flags_of(&Cli::command(), &mut flags);
    for page in pages() {
        let words = page.text.split(|char: char| !(char.is_ascii_alphanumeric() || char == '-'));
        let words = words.filter_map(|word| word.strip_prefix("--"));
        for word in words.filter(|word| !word.is_empty() && !word.starts_with('-')) {
            let is_known = flags.iter().any(|flag| flag == word) || OF_OTHERS.contains(&word);
            assert!(is_known, "{}: --{word}", page.path);
        }
    }
}

#[test]
fn the_program_understands_every_command_on_a_page() {
    let mut wrong = Vec::new();
    let mut checked = 0;
    for page in pages() {
        for command in commands(&page) {
            checked += 1;
            if let Err(error) = Cli::try_parse_from(words(&command))
                && error.use_stderr()
            {
                wrong.push(format!("{}: {command}\n{error}", page.path));
            }
        }
    }

    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(checked >= 60, "only {checked} commands were found");
}

/// Returns the commands that call the program. Such commands appear in code blocks, or as code within the text.
fn commands(page: &Page) -> Vec<String> {
    let blocks = page.blocks();
    let typed = blocks.iter().filter(|block| block.language == "sh").map(|block| block.text.replace("\\\n", " "));
    let typed: Vec<String> = typed.collect();
    let typed = typed.iter().flat_map(|text| text.split("claude-batch ").skip(1).map(whole_command));
    let prose = page.prose();
    let code = prose.split('`').skip(1).step_by(2).filter_map(|code| code.strip_prefix("claude-batch "));
    // A word in capitals stands for a value that the user chooses, and dots mean that more values can follow.
    let code = code.filter(|code| !code.contains('…') && !code.contains("RUN") && !code.contains("SHELL"));
    let code: Vec<String> = code.map(|code| code.replace('\n', " ")).collect();
    typed.chain(code).map(|rest| format!("claude-batch {rest}")).collect()
}

/// Returns the part of `rest` that belongs to the command. A command ends at the first line break that is not inside
/// quotation marks.
fn whole_command(rest: &str) -> String {
    let mut quote = None;
    let is_part = |char: &char| {
        match (quote, *char) {
            (Some(open), char) if open == char => quote = None,
            (None, '\'' | '"') => quote = Some(*char),
            (None, '\n') => return false,
            _ => {}
        }
        true
    };
    rest.chars().take_while(is_part).collect()
}

/// Collects the long names of all flags of a command and of its subcommands.
fn flags_of(command: &clap::Command, flags: &mut Vec<String>) {
    flags.extend(command.get_arguments().filter_map(|arg| arg.get_long().map(str::to_owned)));
    command.get_subcommands().for_each(|command| flags_of(command, flags));
}
